package embednats

import (
	"context"
	"errors"
	"fmt"
	"net"
	"strconv"
	"syscall"

	"github.com/nats-io/nats-server/v2/server"

	"github.com/jetvol/jetvol/volume"
)

// ErrAddressInUse says that another process listens on the wanted address. Its class
// is [volume.Busy].
var ErrAddressInUse = fmt.Errorf("address in use by another process: %w", volume.Busy)

// Where the server listens if [Options.Listen] leaves it open.
const (
	DefaultHost = "127.0.0.1"
	DefaultPort = server.DEFAULT_PORT // 4222
)

// parseListen splits "HOST:PORT". No text at all means the defaults, no host means
// [DefaultHost], port 0 any free port. Anything else is a [volume.ErrInvalidArgument].
func parseListen(listen string) (host string, port int, err error) {
	if listen == "" {
		return DefaultHost, DefaultPort, nil
	}
	host, digits, err := net.SplitHostPort(listen)
	if err != nil {
		return "", 0, volume.Errorf(volume.ErrInvalidArgument, "listen address %q: want HOST:PORT: %w", listen, err)
	}
	number, err := strconv.ParseUint(digits, 10, 16)
	if err != nil {
		return "", 0, volume.Errorf(volume.ErrInvalidArgument, "listen address %q: want a port from 0 to 65535", listen)
	}
	if host == "" {
		host = DefaultHost
	}
	return host, int(number), nil
}

// checkFree returns [ErrAddressInUse] if nobody else could listen there now. The server
// would find out by itself, but only after it has recovered every stream, and would
// tell it in words alone.
func checkFree(ctx context.Context, host string, port int) error {
	address := net.JoinHostPort(host, strconv.Itoa(port))
	listener, err := (&net.ListenConfig{}).Listen(ctx, "tcp", address)
	if errors.Is(err, syscall.EADDRINUSE) {
		return fmt.Errorf("listen on %s: stop what listens there or choose another address (port 0: any free one): %w",
			address, ErrAddressInUse)
	}
	if err != nil {
		return err // it says "listen tcp ADDRESS: CAUSE" itself
	}
	return listener.Close()
}
