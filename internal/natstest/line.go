package natstest

import (
	"context"
	"net"
	"sync"
	"time"
)

// dialTimeout bounds the wait for a connection.
const dialTimeout = 10 * time.Second

// Line dials connections on which nothing gets through while it is held, in neither
// direction: what a stopped process, or a network that swallows everything, looks like
// from outside. Give it to a client with nats.SetCustomDialer.
type Line struct {
	held sync.RWMutex
}

// Dial connects as net.Dial does.
func (l *Line) Dial(network, address string) (net.Conn, error) {
	dialer := net.Dialer{Timeout: dialTimeout}
	conn, err := dialer.DialContext(context.Background(), network, address)
	if err != nil {
		return nil, err
	}
	return &lineConn{Conn: conn, line: l}, nil
}

// Hold stops everything until Release.
func (l *Line) Hold() { l.held.Lock() }

// Release lets through what was held up, and everything after it.
func (l *Line) Release() { l.held.Unlock() }

type lineConn struct {
	net.Conn
	line *Line
}

func (c *lineConn) Read(b []byte) (int, error) {
	n, err := c.Conn.Read(b)
	c.line.held.RLock()
	defer c.line.held.RUnlock()
	return n, err
}

func (c *lineConn) Write(b []byte) (int, error) {
	c.line.held.RLock()
	defer c.line.held.RUnlock()
	return c.Conn.Write(b)
}
