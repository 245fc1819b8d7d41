package embednats

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"net"
	"sync"
)

// Ports are taken from below those that systems give to outgoing connections: one of the
// clients' own attempts to reconnect might otherwise take the port of a stopped server.
const (
	firstPort = 20000
	lastPort  = 30000
	portTries = 100 // for each port
)

// handedOut are the ports that this process has chosen and must not choose again: their
// servers may not have started yet, or may be stopped for a while.
var handedOut struct {
	mu    sync.Mutex // guards ports
	ports map[int]bool
}

// FreeAddresses chooses n loopback addresses that nobody listens on, for servers that have
// to know each other before they start, or that come back to the same port. Each call of
// one process chooses others; another process may choose the same, and its server is then
// told [ErrAddressInUse]. It returns the system's error if ports run out.
func FreeAddresses(ctx context.Context, n int) ([]string, error) {
	addresses := make([]string, 0, n)
	for range n {
		address, err := freeAddress(ctx)
		if err != nil {
			return nil, fmt.Errorf("find a free port: %w", err)
		}
		addresses = append(addresses, address)
	}
	return addresses, nil
}

func freeAddress(ctx context.Context) (string, error) {
	var tried []error
	for range portTries {
		port := firstPort + rand.IntN(lastPort-firstPort)
		if !hand(port) {
			continue
		}
		err := checkFree(ctx, DefaultHost, port)
		if err == nil {
			return net.JoinHostPort(DefaultHost, fmt.Sprint(port)), nil
		}
		tried = append(tried, err)
	}
	return "", fmt.Errorf("%d tries: %w", portTries, errors.Join(tried...))
}

// hand reports whether the port was not chosen before, and notes that it is now.
func hand(port int) bool {
	handedOut.mu.Lock()
	defer handedOut.mu.Unlock()
	if handedOut.ports[port] {
		return false
	}
	if handedOut.ports == nil {
		handedOut.ports = map[int]bool{}
	}
	handedOut.ports[port] = true
	return true
}
