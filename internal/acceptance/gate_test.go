package acceptance

import (
	"bufio"
	"net"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
)

// gate stands between one program and the NATS server and tells when the server has
// taken a subscription of the program: when it has answered to anything that the
// program sent after it. That a program prints "Subscribing" is no such sign.
type gate struct {
	url        string
	subscribed chan struct{} // closed then

	once    sync.Once
	pending atomic.Bool // a subscription was sent
}

// newGate returns a gate to the server with the given url.
func newGate(t *testing.T, url string) *gate {
	t.Helper()
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	g := &gate{url: "nats://" + listener.Addr().String(), subscribed: make(chan struct{})}
	var running sync.WaitGroup
	running.Go(func() {
		for {
			client, err := listener.Accept()
			if err != nil {
				return // closed by the cleanup
			}
			running.Go(func() { g.serve(t, client, strings.TrimPrefix(url, "nats://")) })
		}
	})
	t.Cleanup(func() {
		_ = listener.Close()
		running.Wait()
	})
	return g
}

func (g *gate) serve(t *testing.T, client net.Conn, address string) {
	defer client.Close()
	server, err := net.Dial("tcp", address)
	if err != nil {
		t.Error(err)
		return
	}
	defer server.Close()
	var toClient sync.WaitGroup
	toClient.Go(func() {
		forward(server, client, g.answered)
		_ = client.Close()
	})
	forward(client, server, g.sent)
	_ = server.Close()
	toClient.Wait()
}

// forward copies the protocol's lines until either side is closed, showing each before
// it goes on.
func forward(from, to net.Conn, show func(line string)) {
	reader := bufio.NewReader(from)
	for {
		line, err := reader.ReadString('\n')
		show(line)
		if _, failed := to.Write([]byte(line)); err != nil || failed != nil {
			return
		}
	}
}

func (g *gate) sent(line string) {
	if strings.HasPrefix(line, "SUB ") {
		g.pending.Store(true)
	}
}

func (g *gate) answered(line string) {
	if !g.pending.Load() {
		return
	}
	for _, answer := range []string{"PONG", "MSG ", "HMSG "} {
		if strings.HasPrefix(line, answer) {
			g.once.Do(func() { close(g.subscribed) })
		}
	}
}
