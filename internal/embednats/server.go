package embednats

import (
	"context"
	"errors"
	"fmt"
	"net"
	"os"
	"strconv"
	"sync"

	"github.com/nats-io/nats-server/v2/server"
	"github.com/nats-io/nats.go"
	"github.com/rs/zerolog"

	"github.com/jetvol/jetvol/volume"
)

// Options say how to run the server. Only Dir is required.
type Options struct {
	// Dir holds the lock and everything that JetStream stores. It is made if missing.
	Dir string
	// Listen is HOST:PORT. Empty means [DefaultHost] and [DefaultPort], an empty host
	// DefaultHost, port 0 any free port.
	Listen string
	// ServerName is how the server calls itself; empty lets it choose.
	ServerName string
	// Logger gets the server's lines. Its zero value discards them.
	Logger zerolog.Logger
	// SyncAlways makes the disk keep each write before it is acknowledged. Without it
	// a crash of the process loses nothing, but a power cut may lose the acknowledged
	// writes of the last two minutes.
	SyncAlways bool
	// Domain is JetStream's domain; empty for none.
	Domain string
	// ConfigFile, if set, is a file in the server's own format. The options above have the
	// last word, and so has Users if there are any.
	ConfigFile string
	// Users are who may connect. None means that anybody may.
	Users []User
	// Cluster makes the server one of several; then ServerName is required and must stay
	// the same over restarts. Nil means that the server stands alone.
	Cluster *Cluster
}

// Server is a running NATS server. Its methods may be called concurrently.
type Server struct {
	nats *server.Server
	lock *os.File
	url  string

	stop    sync.Once
	stopped chan struct{} // closed once the lock is released
	stopErr error         // written before stopped is closed
}

// Start runs a server and returns when it accepts connections and JetStream has
// recovered what is stored in the directory. It installs no signal handlers. It returns
// [volume.ErrInvalidArgument] for bad options, [ErrDirectoryInUse] or [ErrAddressInUse]
// if another process holds what it needs, the system's error if the directory or the
// address cannot be used, and [volume.ErrInternal] with the server's own words for
// everything else. After an error nothing is left running or locked.
func Start(opts Options) (*Server, error) {
	s, err := start(opts)
	if err != nil {
		return nil, fmt.Errorf("start nats server in %s: %w", opts.Dir, err)
	}
	return s, nil
}

func start(opts Options) (*Server, error) {
	if opts.Dir == "" {
		return nil, volume.Errorf(volume.ErrInvalidArgument, "directory: want one to store streams in")
	}
	host, port, err := parseListen(opts.Listen)
	if err != nil {
		return nil, err
	}
	if err := opts.Cluster.validate(); err != nil {
		return nil, err
	}
	if err := os.MkdirAll(opts.Dir, 0o750); err != nil {
		return nil, err
	}
	// Lock before anything else: two servers in one directory destroy its streams.
	lock, err := lockDirectory(opts.Dir)
	if err != nil {
		return nil, err
	}
	nats, err := run(opts, host, port)
	if err != nil {
		return nil, errors.Join(err, lock.Close())
	}
	return &Server{nats: nats, lock: lock, url: clientURL(nats.Addr()), stopped: make(chan struct{})}, nil
}

// run starts the server proper. Its Start returns once the port is open or it gave up.
func run(opts Options, host string, port int) (*server.Server, error) {
	if err := checkFree(context.Background(), host, port); err != nil {
		return nil, err
	}
	wanted, err := serverOptions(opts, host, port)
	if err != nil {
		return nil, err
	}
	if opts.Cluster != nil {
		if err := checkFree(context.Background(), wanted.Cluster.Host, wanted.Cluster.Port); err != nil {
			return nil, err
		}
	}
	nats, err := server.NewServer(wanted)
	if err != nil {
		return nil, volume.Errorf(volume.ErrInvalidArgument, "options: %w", err)
	}
	log := &serverLog{Logger: opts.Logger}
	nats.SetLogger(log, false, false)
	nats.Start()
	if cause := log.cause(); cause != "" || nats.Addr() == nil {
		nats.Shutdown()
		nats.WaitForShutdown()
		return nil, volume.Errorf(volume.ErrInternal, "nats server: %s", cause)
	}
	return nats, nil
}

func serverOptions(opts Options, host string, port int) (*server.Options, error) {
	if port == 0 {
		port = server.RANDOM_PORT // 0 is the server's default port
	}
	options, err := fileOptions(opts.ConfigFile)
	if err != nil {
		return nil, err
	}
	options.Host, options.Port = host, port
	options.JetStream, options.StoreDir, options.SyncAlways = true, opts.Dir, opts.SyncAlways
	options.NoSigs = true
	if opts.ServerName != "" {
		options.ServerName = opts.ServerName
	}
	if opts.Domain != "" {
		options.JetStreamDomain = opts.Domain
	}
	if opts.Users != nil {
		options.Users = serverUsers(opts.Users)
	}
	return options, opts.Cluster.apply(options)
}

// fileOptions reads a file in the server's format; no file has no options. It returns
// [volume.ErrInvalidArgument] with the server's words for one that it does not take.
func fileOptions(path string) (*server.Options, error) {
	if path == "" {
		return &server.Options{}, nil
	}
	options, err := server.ProcessConfigFile(path)
	if err != nil {
		return nil, volume.Errorf(volume.ErrInvalidArgument, "config file: %w", err)
	}
	return options, nil
}

// clientURL returns where clients on this host reach a server that listens on addr. A
// server that listens everywhere is named by the loopback address.
func clientURL(addr net.Addr) string {
	tcp, ok := addr.(*net.TCPAddr)
	if !ok {
		return "nats://" + addr.String()
	}
	host := tcp.IP.String()
	if tcp.IP.IsUnspecified() {
		host = DefaultHost
	}
	return "nats://" + net.JoinHostPort(host, strconv.Itoa(tcp.Port))
}

// URL returns the server's address for clients on this host: "nats://127.0.0.1:4222".
func (s *Server) URL() string { return s.url }

// Connect connects within the process, without a TCP socket. The caller closes the
// connection. It returns the client's error, after Shutdown always.
func (s *Server) Connect(opts ...nats.Option) (*nats.Conn, error) {
	return nats.Connect(s.url, append([]nats.Option{nats.InProcessServer(s.nats)}, opts...)...)
}

// Shutdown closes all connections, flushes the streams to disk, releases the directory
// and returns when that is done. It may be repeated; every call waits for the same end.
// If ctx ends first it returns the context's error and the shutdown goes on.
func (s *Server) Shutdown(ctx context.Context) error {
	s.stop.Do(func() { go s.shutdown() })
	select {
	case <-s.stopped:
		return s.stopErr
	case <-ctx.Done():
		return fmt.Errorf("shut down nats server %s: %w", s.url, context.Cause(ctx))
	}
}

func (s *Server) shutdown() {
	defer close(s.stopped)
	s.nats.Shutdown()
	s.nats.WaitForShutdown()
	// Release last: the next server must not find this one still writing.
	s.stopErr = s.lock.Close()
}
