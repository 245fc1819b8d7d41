package bench

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"strconv"
	"sync"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"

	"github.com/jetvol/jetvol/backends/null"
	"github.com/jetvol/jetvol/commands"
	"github.com/jetvol/jetvol/internal/embednats"
	"github.com/jetvol/jetvol/internal/natsproc"
	"github.com/jetvol/jetvol/internal/preload"
	"github.com/jetvol/jetvol/internal/provision"
	"github.com/jetvol/jetvol/internal/trial"
	"github.com/jetvol/jetvol/query"
)

// How the lines begin that the processes print when they take commands.
const (
	workerReady  = "jetvol worker ready:"
	CeilingReady = "jetvol ceiling worker ready:"
)

// Bounds of what may take a while.
const (
	serverTimeout = 30 * time.Second
	shareTimeout  = 30 * time.Second // until every worker has its partitions
	sharePause    = 100 * time.Millisecond
)

// stage is everything that runs: servers, workers and those of the ceiling.
type stage struct {
	options Options
	place   trial.Place
	target  Target
	log     *os.File
	servers []*natsproc.Process // empty for a given server
	workers []*trial.Process
	ceiling []*trial.Process
	endings []func() error // of what was started, in its order
}

// newStage starts servers and workers. After an error nothing is left.
func newStage(ctx context.Context, o Options, place trial.Place) (s *stage, err error) {
	s = &stage{options: o, place: place}
	defer func() {
		if err != nil {
			err = errors.Join(err, s.close())
		}
	}()
	if s.log, err = os.OpenFile(place.Path("bench.log"), os.O_CREATE|os.O_APPEND|os.O_WRONLY, 0o600); err != nil {
		return s, err
	}
	s.endings = append(s.endings, s.log.Close)
	if err := s.startServers(ctx); err != nil {
		return s, err
	}
	if err := s.preload(ctx); err != nil {
		return s, fmt.Errorf("preload: %w", err)
	}
	return s, s.startWorkers(ctx)
}

func (s *stage) startServers(ctx context.Context) error {
	if s.options.Target != nil {
		s.target = *s.options.Target
		return s.refuseOthers(ctx)
	}
	ctx, cancel := context.WithTimeout(ctx, serverTimeout)
	defer cancel()
	o := natsproc.Options{
		Dir: s.place.Path("nats"), Log: s.output(), SyncAlways: s.options.Sync == SyncAlways,
		Args: []string{"bench", "nats-server"},
	}
	if s.options.Servers == 1 {
		one, err := natsproc.Start(ctx, o)
		if err != nil {
			return err
		}
		s.servers = []*natsproc.Process{one}
		s.endings = append(s.endings, one.Kill)
	} else {
		cluster, err := natsproc.StartCluster(ctx, s.options.Servers, o)
		if err != nil {
			return err
		}
		for i := range cluster.Size() {
			s.servers = append(s.servers, cluster.Server(i))
		}
		s.endings = append(s.endings, cluster.Kill)
	}
	s.target.Connect = func(more ...nats.Option) (*nats.Conn, error) { return nats.Connect(s.servers[0].URL(), more...) }
	if s.options.Servers == 1 {
		return nil
	}
	conn, js, err := s.connect("jetvol bench")
	if err != nil {
		return err
	}
	defer conn.Close()
	return embednats.AwaitReplicas(ctx, js, s.options.Servers)
}

// refuseOthers returns an error if another bench uses the given server.
func (s *stage) refuseOthers(ctx context.Context) error {
	conn, js, err := s.connect("jetvol bench")
	if err != nil {
		return err
	}
	defer conn.Close()
	return vacant(ctx, js)
}

// preload stores volumes, and before them the streams, as a worker would make them.
func (s *stage) preload(ctx context.Context) error {
	n := s.options.Preload
	if n == 0 {
		return nil
	}
	conn, js, err := s.connect("jetvol bench preload")
	if err != nil {
		return err
	}
	defer conn.Close()
	if _, err := provision.Apply(ctx, js, provision.Options{Replicas: s.options.Servers}); err != nil {
		return err
	}
	return preload.Fill(ctx, js, n, func(stored int) { s.options.tell("storing volumes: %d of %d", stored, n) })
}

func (s *stage) startWorkers(ctx context.Context) error {
	flags := []string{"--reconcile-interval", "0", "--log-level", "warn", "--replicas", strconv.Itoa(s.options.Servers)}
	if s.options.Target != nil {
		flags = flags[:len(flags)-2] // streams that are there have theirs
	}
	backend, err := s.backendFlags(ctx)
	if err != nil {
		return err
	}
	flags = append(append(flags, backend...), s.options.WorkerFlags...)
	if s.workers, err = s.startAll(ctx, s.options.Workers, workerReady, func(i int) []string {
		return append([]string{"worker", "--id", workerID(i)}, flags...)
	}); err != nil {
		return fmt.Errorf("workers: %w, see %s", err, s.log.Name())
	}
	return s.awaitShares(ctx)
}

func workerID(i int) string { return fmt.Sprintf("bench-%d", i+1) }

func (s *stage) backendFlags(ctx context.Context) ([]string, error) {
	if s.options.Backend == null.DriverName {
		return []string{"--backend", null.DriverName, "--null-latency", s.options.BackendDelay.String()}, nil
	}
	store, end, err := s.place.Store(ctx, s.options.Backend)
	if err != nil {
		return nil, err
	}
	s.endings = append(s.endings, end)
	if disk, isDisk := store.(trial.Disk); isDisk {
		return []string{"--dir", disk.Dir}, nil // without the journal, which is for trials
	}
	return store.Flags(), nil
}

// startAll starts processes of the program and returns when all are ready.
func (s *stage) startAll(ctx context.Context, number int, ready string, args func(i int) []string) ([]*trial.Process, error) {
	var started []*trial.Process
	for i := range number {
		p, err := trial.Start(s.output(), ready, s.options.Program, append(args(i), s.flags(i)...)...)
		if err != nil {
			return started, err
		}
		started = append(started, p)
		s.endings = append(s.endings, func() error { _, err := p.Kill(); return err })
	}
	for _, p := range started {
		if err := p.AwaitReady(ctx); err != nil {
			return started, err
		}
	}
	return started, nil
}

// awaitShares returns when the workers have shared all partitions among themselves.
func (s *stage) awaitShares(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, shareTimeout)
	defer cancel()
	conn, _, err := s.connect("jetvol bench")
	if err != nil {
		return err
	}
	defer conn.Close()
	for {
		reply, err := query.New(conn).Workers(ctx)
		if err == nil && s.shared(reply) {
			return nil
		}
		if pause(ctx, sharePause) != nil {
			return fmt.Errorf("the workers have not shared the partitions after %s: %+v, %w", shareTimeout, reply.Workers, errors.Join(err, ctx.Err()))
		}
	}
}

// shared reports whether each of the bench's workers, and nobody else, has partitions.
func (s *stage) shared(reply query.WorkersReply) bool {
	sum := 0
	for _, w := range reply.Workers {
		if len(w.Partitions) == 0 {
			return false
		}
		sum += len(w.Partitions)
	}
	return len(reply.Workers) == s.options.Workers && sum == commands.Partitions
}

// startCeiling makes the ceiling's streams and starts its processes.
func (s *stage) startCeiling(ctx context.Context, js jetstream.JetStream) error {
	made, err := mirror(ctx, js)
	s.endings = append(s.endings, func() error { return unmirror(js, made) })
	if err != nil {
		return err
	}
	if len(s.servers) > 1 {
		if err := align(ctx, js); err != nil {
			return err
		}
	}
	s.ceiling, err = s.startAll(ctx, s.options.Workers, CeilingReady, func(i int) []string {
		return []string{"bench", "ceiling-worker", "--index", strconv.Itoa(i), "--of", strconv.Itoa(s.options.Workers)}
	})
	return err
}

// flags make process i connect. In a cluster a worker and that of the ceiling connect to the
// same server, and both clients to the first.
func (s *stage) flags(i int) []string {
	if s.options.Target != nil {
		return s.target.Flags
	}
	return []string{"--server", s.servers[i%len(s.servers)].URL()}
}

func (s *stage) connect(name string) (*nats.Conn, jetstream.JetStream, error) {
	conn, err := s.target.Connect(nats.Name(name))
	if err != nil {
		return nil, nil, err
	}
	js, err := jetstream.New(conn)
	return conn, js, err
}

// closeLater closes the connection before what was started earlier ends.
func (s *stage) closeLater(conn *nats.Conn) {
	s.endings = append(s.endings, func() error {
		conn.Close()
		return nil
	})
}

// alive returns an error if one of the processes has ended.
func (s *stage) alive() error {
	for _, p := range append(append([]*trial.Process(nil), s.workers...), s.ceiling...) {
		select {
		case <-p.Ended():
			return fmt.Errorf("process %d ended by itself, see %s", p.Pid(), s.log.Name())
		default:
		}
	}
	return nil
}

// close ends everything, the last started first.
func (s *stage) close() error {
	var errs []error
	for i := len(s.endings) - 1; i >= 0; i-- {
		errs = append(errs, s.endings[i]())
	}
	s.endings = nil
	return errors.Join(errs...)
}

// output is the log of all processes, which also goes to whoever asked for it.
func (s *stage) output() io.Writer {
	return &lockedWriter{to: io.MultiWriter(s.log, s.options.Log)}
}

// lockedWriter is for what several goroutines write.
type lockedWriter struct {
	mu sync.Mutex // guards to
	to io.Writer
}

// Write passes on.
func (w *lockedWriter) Write(data []byte) (int, error) {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.to.Write(data)
}
