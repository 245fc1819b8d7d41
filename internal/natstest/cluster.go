package natstest

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"
	"golang.org/x/sync/errgroup"

	"github.com/jetvol/jetvol/internal/embednats"
)

// clusterTimeout bounds each wait for a leader or for replicas. An election takes up to
// nine seconds, a second one follows if votes were split, and -race slows all of it.
const clusterTimeout = time.Minute

// askTimeout bounds one question to the cluster and askPause stands between two.
const (
	askTimeout = time.Second
	askPause   = 50 * time.Millisecond
)

// startTries is how often a cluster is started on other ports because one of the chosen
// ones was taken meanwhile.
const startTries = 3

// Cluster is a number of servers that replicate streams and live as long as their test.
// What starts and stops servers is for the test's goroutine, the rest for any.
type Cluster struct {
	servers []*Server
	asking  jetstream.JetStream // the cluster's own connection
}

// StartCluster starts size servers, each with a directory of the test, and returns when
// streams with so many replicas can be made. It fails the test on any error.
func StartCluster(t testing.TB, size int) *Cluster {
	t.Helper()
	c := startServers(t, size)
	c.asking = c.JetStream(t)
	ctx, cancel := context.WithTimeout(t.Context(), clusterTimeout)
	defer cancel()
	if err := embednats.AwaitReplicas(ctx, c.asking, size); err != nil {
		t.Fatalf("test cluster does not come up: %v", err)
	}
	return c
}

// StartLeaderless does the same and returns as soon as clients can connect: the cluster
// has no leader yet and answers no question about streams.
func StartLeaderless(t testing.TB, size int) *Cluster {
	t.Helper()
	c := startServers(t, size)
	c.asking = c.JetStream(t)
	return c
}

func startServers(t testing.TB, size int) *Cluster {
	t.Helper()
	for try := 1; ; try++ {
		c := newCluster(t, size)
		err := c.start()
		if err == nil {
			return c
		}
		for _, s := range c.servers {
			s.Stop(t)
		}
		if try == startTries || !errors.Is(err, embednats.ErrAddressInUse) {
			t.Fatalf("start test cluster: %v", err)
		}
	}
}

func newCluster(t testing.TB, size int) *Cluster {
	t.Helper()
	addresses, err := embednats.FreeAddresses(t.Context(), 2*size)
	if err != nil {
		t.Fatalf("start test cluster: %v", err)
	}
	clients, routes := addresses[:size], addresses[size:]
	c := &Cluster{}
	for i := range size {
		s := &Server{url: scheme + clients[i], options: embednats.Options{
			Dir: t.TempDir(), Listen: clients[i], ServerName: serverName(i),
			Cluster: &embednats.Cluster{Name: "test", Listen: routes[i], Routes: routes},
		}}
		t.Cleanup(func() { s.Stop(t) })
		c.servers = append(c.servers, s)
	}
	return c
}

func serverName(i int) string { return fmt.Sprintf("n%d", i+1) }

// start starts all servers at once: one that finds the others missing waits a second
// before it looks for them again.
func (c *Cluster) start() error {
	var starts errgroup.Group
	for _, s := range c.servers {
		starts.Go(s.start)
	}
	return starts.Wait()
}

// URLs returns the addresses of all servers, running or not.
func (c *Cluster) URLs() []string {
	var urls []string
	for _, s := range c.servers {
		urls = append(urls, s.URL())
	}
	return urls
}

// Server returns one of the servers, counted from 0.
func (c *Cluster) Server(i int) *Server { return c.servers[i] }

// Connect returns a client's connection to any of the servers, which goes to another one
// when that is stopped and is closed when the test ends. Options are applied after the
// test's own.
func (c *Cluster) Connect(t testing.TB, opts ...nats.Option) *nats.Conn {
	t.Helper()
	return connect(t, strings.Join(c.URLs(), ","), opts)
}

// JetStream returns a JetStream context on a connection of its own.
func (c *Cluster) JetStream(t testing.TB, opts ...jetstream.JetStreamOpt) jetstream.JetStream {
	t.Helper()
	return newJetStream(t, c.Connect(t), opts)
}

// Stop stops a server in order: it hands over what it leads. To stop a stopped one does
// nothing.
func (c *Cluster) Stop(t testing.TB, i int) {
	t.Helper()
	c.servers[i].Stop(t)
}

// Restart starts a server again, and stops it before if it runs. It does not wait until
// the server has caught up; see [Cluster.AwaitCurrent].
func (c *Cluster) Restart(t testing.TB, i int) {
	t.Helper()
	c.servers[i].Restart(t)
}

// LeaderOf waits until the stream has a leader and returns which server that is.
func (c *Cluster) LeaderOf(t testing.TB, stream string) int {
	t.Helper()
	return c.leader(t, stream, func(ctx context.Context) (string, error) {
		return embednats.LeaderOf(ctx, c.asking, stream)
	})
}

// ConsumerLeaderOf does the same for a consumer of the stream.
func (c *Cluster) ConsumerLeaderOf(t testing.TB, stream, consumer string) int {
	t.Helper()
	return c.leader(t, stream+" > "+consumer, func(ctx context.Context) (string, error) {
		return embednats.ConsumerLeaderOf(ctx, c.asking, stream, consumer)
	})
}

// leader asks until a leader is known that runs: a stopped one may still be told.
func (c *Cluster) leader(t testing.TB, of string, ask func(context.Context) (string, error)) int {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), clusterTimeout)
	defer cancel()
	pause := time.NewTicker(askPause)
	defer pause.Stop()
	for {
		attempt, end := context.WithTimeout(ctx, askTimeout)
		name, err := ask(attempt)
		end()
		for i, s := range c.servers {
			if err == nil && name == serverName(i) && s.run != nil {
				return i
			}
		}
		select {
		case <-pause.C:
		case <-ctx.Done():
			t.Fatalf("test cluster: leader of %s: got %q, %v", of, name, err)
		}
	}
}

// StopLeader stops the server that leads the stream and returns which one that was.
func (c *Cluster) StopLeader(t testing.TB, stream string) int {
	t.Helper()
	i := c.LeaderOf(t, stream)
	c.Stop(t, i)
	return i
}

// AwaitCurrent returns when every replica of every stream holds what its leader does: from
// then on any one server can be stopped and the others can go on.
func (c *Cluster) AwaitCurrent(t testing.TB) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), clusterTimeout)
	defer cancel()
	if err := embednats.AwaitCurrent(ctx, c.asking); err != nil {
		t.Fatalf("test cluster: %v", err)
	}
}
