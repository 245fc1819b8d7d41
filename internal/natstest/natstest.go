// Package natstest gives tests a real NATS server with JetStream on disk. There is no
// mock of NATS in jetvol: what a test sees is what the server does.
package natstest

import (
	"context"
	"strings"
	"testing"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"

	"github.com/jetvol/jetvol/internal/embednats"
)

// stopTimeout bounds how long a server may take to stop before the test fails.
const stopTimeout = 30 * time.Second

// reconnectWait keeps the pause short that clients make while a server restarts.
const reconnectWait = 20 * time.Millisecond

// anyPort lets the system choose, so that tests can run side by side.
const anyPort = "127.0.0.1:0"

// scheme comes before the address in a server's URL.
const scheme = "nats://"

// Server is a NATS server that lives as long as its test. Start, Restart and Stop are
// for the test's goroutine, the other methods for any.
type Server struct {
	options embednats.Options
	url     string
	run     *embednats.Server // nil while stopped
}

// Option changes how a server is run.
type Option func(*embednats.Options)

// User is one who may connect, and what that user may publish.
type User = embednats.User

// WithUsers lets only these connect, with [nats.UserInfo].
func WithUsers(users ...User) Option {
	return func(o *embednats.Options) { o.Users = users }
}

// WithDomain gives JetStream a domain.
func WithDomain(name string) Option {
	return func(o *embednats.Options) { o.Domain = name }
}

// WithConfigFile runs the server by a file in its own format. Address and directory are
// the test's own all the same.
func WithConfigFile(path string) Option {
	return func(o *embednats.Options) { o.ConfigFile = path }
}

// Start runs a server that stores its streams in a directory of the test, on a port of
// its own, and stops it when the test ends. It fails the test on any error.
func Start(t testing.TB, options ...Option) *Server {
	t.Helper()
	s := &Server{options: embednats.Options{Dir: t.TempDir(), Listen: anyPort}}
	for _, change := range options {
		change(&s.options)
	}
	if err := s.start(); err != nil {
		t.Fatalf("start test server: %v", err)
	}
	t.Cleanup(func() { s.Stop(t) })
	return s
}

// start starts the server, from the second time on where it was.
func (s *Server) start() error {
	run, err := embednats.Start(s.options)
	if err != nil {
		return err
	}
	s.run, s.url = run, run.URL()
	s.options.Listen = strings.TrimPrefix(s.url, scheme)
	return nil
}

// URL returns the server's address; it stays the same over a Restart.
func (s *Server) URL() string { return s.url }

// Connect returns a client's connection over TCP that survives a Restart and is closed
// when the test ends. Options are applied after the test's own.
func (s *Server) Connect(t testing.TB, opts ...nats.Option) *nats.Conn {
	t.Helper()
	return connect(t, s.url, opts)
}

func connect(t testing.TB, urls string, opts []nats.Option) *nats.Conn {
	t.Helper()
	own := []nats.Option{
		nats.Name(t.Name()), nats.MaxReconnects(-1), nats.ReconnectWait(reconnectWait),
		nats.ReconnectJitter(reconnectWait, reconnectWait),
	}
	conn, err := nats.Connect(urls, append(own, opts...)...)
	if err != nil {
		t.Fatalf("connect to test server %s: %v", urls, err)
	}
	t.Cleanup(conn.Close)
	return conn
}

// JetStream returns a JetStream context on a connection of its own.
func (s *Server) JetStream(t testing.TB, opts ...jetstream.JetStreamOpt) jetstream.JetStream {
	t.Helper()
	return newJetStream(t, s.Connect(t), opts)
}

// Dial is [Server.Connect] and JetStream on that connection, for a server that was not started
// by this package.
func Dial(t testing.TB, url string) (*nats.Conn, jetstream.JetStream) {
	t.Helper()
	conn := connect(t, url, nil)
	return conn, newJetStream(t, conn, nil)
}

func newJetStream(t testing.TB, conn *nats.Conn, opts []jetstream.JetStreamOpt) jetstream.JetStream {
	t.Helper()
	js, err := jetstream.New(conn, opts...)
	if err != nil {
		t.Fatalf("jetstream context: %v", err)
	}
	return js
}

// Restart stops the server, if it runs, and starts it again with the same streams on the
// same port. Clients reconnect by themselves.
func (s *Server) Restart(t testing.TB) {
	t.Helper()
	s.Stop(t)
	if err := s.start(); err != nil {
		t.Fatalf("restart test server: %v", err)
	}
}

// Stop stops the server; Restart brings it back. To stop a stopped one does nothing.
func (s *Server) Stop(t testing.TB) {
	t.Helper()
	if s.run == nil {
		return
	}
	ctx, cancel := context.WithTimeout(context.Background(), stopTimeout)
	defer cancel()
	if err := s.run.Shutdown(ctx); err != nil {
		t.Errorf("stop test server: %v", err)
	}
	s.run = nil
}
