package main

import (
	"context"
	"errors"
	"io"
	"net"
	"sync"
	"time"
)

// proxy is what a worker takes for a server: it passes connections on to it, until it is
// told to cut or to hold them.
type proxy struct {
	target   string // HOST:PORT
	listener net.Listener
	running  sync.WaitGroup

	mu    sync.Mutex // guards all below
	conns map[net.Conn]bool
	cut   time.Time // no connection is taken until then
	held  time.Time // nothing is passed on until then
}

func newProxy(ctx context.Context, target string) (*proxy, error) {
	listener, err := (&net.ListenConfig{}).Listen(ctx, "tcp", "127.0.0.1:0")
	if err != nil {
		return nil, err
	}
	p := &proxy{target: target, listener: listener, conns: map[net.Conn]bool{}}
	p.running.Go(p.accept)
	return p, nil
}

func (p *proxy) url() string { return "nats://" + p.listener.Addr().String() }

// cutOff ends all connections at once and takes none for a while.
func (p *proxy) cutOff(d time.Duration) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.cut = time.Now().Add(d)
	p.endAll()
}

// hold passes nothing on for a while; both sides see an open connection that is silent.
func (p *proxy) hold(d time.Duration) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.held = time.Now().Add(d)
}

// endAll needs p.mu.
func (p *proxy) endAll() {
	for conn := range p.conns {
		if tcp, ok := conn.(*net.TCPConn); ok {
			_ = tcp.SetLinger(0) // a reset, as of a peer that is gone
		}
		_ = conn.Close()
	}
}

// close ends everything and returns when it is gone.
func (p *proxy) close() {
	_ = p.listener.Close()
	p.mu.Lock()
	p.cut, p.held = time.Now().Add(time.Hour), time.Time{}
	p.endAll()
	p.mu.Unlock()
	p.running.Wait()
}

func (p *proxy) accept() {
	for {
		conn, err := p.listener.Accept()
		if errors.Is(err, net.ErrClosed) {
			return
		}
		if err == nil {
			p.running.Go(func() { p.serve(conn) })
		}
	}
}

// serve connects a client to the target until one of them ends.
func (p *proxy) serve(client net.Conn) {
	defer func() { _ = client.Close() }() // the other side's end is all there is to tell
	if !p.add(client) {
		return
	}
	defer p.drop(client)
	server, err := (&net.Dialer{Timeout: time.Second}).DialContext(context.Background(), "tcp", p.target)
	if err != nil {
		return
	}
	defer func() { _ = server.Close() }()
	if !p.add(server) {
		return
	}
	defer p.drop(server)
	p.running.Go(func() {
		p.pass(server, client)
		_ = server.Close()
	})
	p.pass(client, server)
}

// add notes an open connection, and reports false if there must be none now.
func (p *proxy) add(conn net.Conn) bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	if time.Now().Before(p.cut) {
		return false
	}
	p.conns[conn] = true
	return true
}

func (p *proxy) drop(conn net.Conn) {
	p.mu.Lock()
	defer p.mu.Unlock()
	delete(p.conns, conn)
}

// pass copies from one to the other until one of them ends.
func (p *proxy) pass(to io.Writer, from io.Reader) {
	buffer := make([]byte, 64<<10)
	for {
		n, err := from.Read(buffer)
		p.awaitRelease()
		if _, failed := to.Write(buffer[:n]); failed != nil || err != nil {
			return
		}
	}
}

func (p *proxy) awaitRelease() {
	p.mu.Lock()
	until := p.held
	p.mu.Unlock()
	pause(context.Background(), time.Until(until))
}

// pause waits, but not beyond the end of ctx.
func pause(ctx context.Context, d time.Duration) {
	if d <= 0 {
		return
	}
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-timer.C:
	case <-ctx.Done():
	}
}
