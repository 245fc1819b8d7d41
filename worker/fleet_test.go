package worker_test

import (
	"context"
	"fmt"
	"sync"
	"time"

	"github.com/nats-io/nats.go"

	"github.com/jetvol/jetvol/backends"
	"github.com/jetvol/jetvol/backends/local"
	"github.com/jetvol/jetvol/internal/natstest"
	"github.com/jetvol/jetvol/worker"
)

// peer is another worker on the same server and directory. Its backend is one of its
// own, as in another process.
type peer struct {
	*hooked
	stop func() error
	line *natstest.Line
}

// startPeer starts a worker beside the others and stops it at the end of the test.
func (s *system) startPeer(id string, prepare ...func(*peer)) *peer {
	s.t.Helper()
	driver, err := local.Open(local.Options{Dir: s.dir})
	s.must(err)
	p := &peer{hooked: &hooked{Driver: driver}, line: &natstest.Line{}}
	for _, f := range prepare {
		f(p)
	}
	backend := backends.New("local", p.hooked, backends.Options{})
	s.t.Cleanup(func() { s.must(backend.Close()) })
	config := s.config
	config.ID = id
	config.Backends = map[string]*backends.Backend{"local": backend}
	config.Registerer = nil
	p.stop = s.startOn(s.server.Connect(s.t, nats.SetCustomDialer(p.line)), config)
	s.t.Cleanup(func() { s.must(p.stop()) })
	return p
}

// startOn starts a worker on the connection and returns how to drain it.
func (s *system) startOn(conn *nats.Conn, config worker.Config) (stop func() error) {
	s.t.Helper()
	w, err := worker.New(s.ctx, conn, config)
	s.must(err)
	ctx, cancel := context.WithCancel(s.ctx)
	ended := make(chan error, 1)
	go func() { ended <- w.Run(ctx) }()
	select {
	case <-w.Ready():
	case <-s.ctx.Done():
		s.t.Fatalf("worker %s did not become ready", config.ID)
	}
	return sync.OnceValue(func() error {
		cancel()
		return <-ended
	})
}

// freeze makes the peer's next call of that name for the volume wait, and holds its line
// once the call is there. It returns what tells that, and what lets both go.
func (p *peer) freeze(call, name string) (frozen <-chan struct{}, thaw func()) {
	entered, released := make(chan struct{}), make(chan struct{})
	var once sync.Once
	p.hook(func(_ context.Context, c string, ref backends.Ref) error {
		if c == call && ref.Key == key(name) {
			once.Do(func() {
				p.line.Hold()
				close(entered)
				<-released
			})
		}
		return nil
	}, nil)
	return entered, func() {
		p.line.Release()
		close(released)
	}
}

// await polls until ok holds.
func (s *system) await(what string, ok func() bool) {
	s.t.Helper()
	ctx, cancel := context.WithTimeout(s.ctx, limit)
	defer cancel()
	ticker := time.NewTicker(10 * time.Millisecond)
	defer ticker.Stop()
	for !ok() {
		select {
		case <-ticker.C:
		case <-ctx.Done():
			s.t.Fatal("did not come: " + what)
		}
	}
}

func volumeNames(n int) []string {
	names := make([]string, n)
	for i := range names {
		names[i] = fmt.Sprintf("v%d", i)
	}
	return names
}
