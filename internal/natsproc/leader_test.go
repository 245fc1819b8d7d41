package natsproc_test

import (
	"context"
	"fmt"
	"slices"
	"sync"
	"testing"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"

	"github.com/jetvol/jetvol/internal/embednats"
	"github.com/jetvol/jetvol/internal/natsproc"
	"github.com/jetvol/jetvol/internal/provision"
)

// written are the streams whose leaders are killed, with a subject that they store.
var written = []struct{ stream, subject string }{
	{"VOLUME_COMMANDS", "volume.command.default.v.create"},
	{"VOLUME_EVENTS", "volume.tx.default.v.created"},
	{"KV_volumes", "$KV.volumes.default.v"},
}

// writer stores a message every few milliseconds, one after the other, and notes the
// longest time in which none was acknowledged.
type writer struct {
	js      jetstream.JetStream
	subject string
	timeout time.Duration // of one publish

	mu      sync.Mutex // guards the two below
	last    time.Time  // acknowledgement
	longest time.Duration
	acked   chan struct{}
}

const writePause = 5 * time.Millisecond

func (w *writer) run(ctx context.Context) {
	ticker := time.NewTicker(writePause)
	defer ticker.Stop()
	for ctx.Err() == nil {
		<-ticker.C
		attempt, cancel := context.WithTimeout(ctx, w.timeout)
		_, err := w.js.Publish(attempt, w.subject, nil, jetstream.WithRetryAttempts(0))
		cancel()
		if err == nil {
			w.ack()
		}
	}
}

func (w *writer) ack() {
	w.mu.Lock()
	defer w.mu.Unlock()
	now := time.Now()
	w.longest = max(w.longest, now.Sub(w.last))
	w.last = now
	select {
	case w.acked <- struct{}{}:
	default:
	}
}

// begin forgets what was noted.
func (w *writer) begin() {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.last, w.longest = time.Now(), 0
	select {
	case <-w.acked:
	default:
	}
}

// pausedFor returns the longest time without a write since begin, once writes flow again.
func (w *writer) pausedFor(b *testing.B) time.Duration {
	b.Helper()
	for range 2 { // the first may have been acknowledged before the kill
		select {
		case <-w.acked:
		case <-time.After(limit):
			b.Fatalf("%s: no write within %s", w.subject, limit)
		}
	}
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.longest
}

// BenchmarkCluster_LeaderKilled measures how long nothing can be stored when the leader of
// a stream is killed: -benchtime 10x kills each stream's leader ten times.
func BenchmarkCluster_LeaderKilled(b *testing.B) {
	for _, timeout := range []time.Duration{500 * time.Millisecond, 2 * time.Second, 5 * time.Second} {
		for i, victim := range written {
			b.Run(fmt.Sprintf("timeout=%s/killed=%s", timeout, victim.stream), func(b *testing.B) { measure(b, timeout, i) })
		}
	}
}

func measure(b *testing.B, timeout time.Duration, victim int) {
	ctx, cancel := context.WithCancel(b.Context())
	defer cancel()
	fail := func(err error) {
		b.Helper()
		if err != nil {
			b.Fatal(err)
		}
	}
	cluster, err := natsproc.StartCluster(ctx, 3, natsproc.Options{Dir: b.TempDir()})
	fail(err)
	b.Cleanup(func() { fail(cluster.Kill()) })
	open := func() jetstream.JetStream {
		conn, err := nats.Connect(cluster.URL(), nats.MaxReconnects(-1), nats.ReconnectWait(50*time.Millisecond))
		fail(err)
		b.Cleanup(conn.Close)
		js, err := jetstream.New(conn, jetstream.WithDefaultTimeout(time.Second))
		fail(err)
		return js
	}
	js := open()
	_, err = provision.Apply(ctx, js, provision.Options{Replicas: 3})
	fail(err)
	var writing sync.WaitGroup
	defer writing.Wait()
	defer cancel()
	writers := make([]*writer, 0, len(written))
	for _, at := range written {
		w := &writer{js: open(), subject: at.subject, timeout: timeout, acked: make(chan struct{}, 1)}
		writers = append(writers, w)
		writing.Go(func() { w.run(ctx) })
	}
	var pauses, others []time.Duration
	for b.Loop() {
		awaitCurrent(ctx, b, js)
		leader, err := cluster.LeaderOf(ctx, js, written[victim].stream)
		fail(err)
		fail(leader.Kill())
		for _, w := range writers {
			w.begin()
		}
		for i, w := range writers {
			if pause := w.pausedFor(b); i == victim {
				pauses = append(pauses, pause)
			} else {
				others = append(others, pause)
			}
		}
		fail(leader.Start(ctx))
	}
	report(b, pauses, "")
	report(b, others, "other-")
}

func awaitCurrent(ctx context.Context, b *testing.B, js jetstream.JetStream) {
	b.Helper()
	ctx, cancel := context.WithTimeout(ctx, limit)
	defer cancel()
	if err := embednats.AwaitCurrent(ctx, js); err != nil {
		b.Fatal(err)
	}
}

func report(b *testing.B, pauses []time.Duration, prefix string) {
	b.Helper()
	slices.Sort(pauses)
	b.ReportMetric(pauses[0].Seconds(), prefix+"min-s")
	b.ReportMetric(pauses[len(pauses)/2].Seconds(), prefix+"median-s")
	b.ReportMetric(pauses[len(pauses)-1].Seconds(), prefix+"max-s")
}
