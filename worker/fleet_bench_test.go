package worker_test

import (
	"context"
	"fmt"
	"slices"
	"sync"
	"testing"
	"time"

	"github.com/rs/zerolog"

	"github.com/jetvol/jetvol/backends"
	"github.com/jetvol/jetvol/backends/null"
	"github.com/jetvol/jetvol/commands"
	"github.com/jetvol/jetvol/volume"
	"github.com/jetvol/jetvol/worker/ownership"
)

// BenchmarkWorkers_JoinAndDrain measures what a volume notices when a worker joins or
// leaves that does not concern its partition: the 99th percentile of the time to an
// answer within a second after the change, as a ratio to the same with nothing going on.
// The rest is about volumes whose partition does change hands.
func BenchmarkWorkers_JoinAndDrain(b *testing.B) {
	f := newFleet(b)
	var quiet, unaffected, moved []time.Duration
	for range b.N {
		for n := 1; n < 8; n++ {
			quiet = append(quiet, f.quiet()...)
			stay, go_ := f.change(n, n+1)
			unaffected, moved = append(unaffected, stay...), append(moved, go_...)
		}
		for n := 8; n > 1; n-- {
			quiet = append(quiet, f.quiet()...)
			stay, go_ := f.change(n, n-1)
			unaffected, moved = append(unaffected, stay...), append(moved, go_...)
		}
	}
	p99 := percentile(quiet, 99)
	b.ReportMetric(float64(p99)/float64(time.Millisecond), "quiet-p99-ms")
	b.ReportMetric(float64(percentile(unaffected, 99))/float64(p99), "unaffected/quiet-p99")
	b.ReportMetric(float64(percentile(moved, 99))/float64(p99), "moved/quiet-p99")
	b.ReportMetric(float64(len(quiet)+len(unaffected)+len(moved)), "answers")
	b.ReportMetric(0, "ns/op")
}

// observed is how long after a change answers count.
const observed = time.Second

// fleet is workers under a steady load of one client for each of the volumes.
type fleet struct {
	*system
	b     *testing.B
	peers []func() error
	// partition of each volume
	partition map[string]int

	mu      sync.Mutex
	answers []answer // guarded by mu
}

type answer struct {
	volume string
	asked  time.Time
	took   time.Duration
}

func newFleet(b *testing.B) *fleet {
	b.Helper()
	f := &fleet{system: prepare(b), b: b, partition: map[string]int{}}
	backend := backends.New("local", null.New(null.Options{}), backends.Options{})
	f.config.Backends = map[string]*backends.Backend{"local": backend}
	f.config.Logger = zerolog.Nop()
	f.join()
	ctx, stop := context.WithCancel(f.ctx)
	var load sync.WaitGroup
	for _, name := range volumeNames(32) {
		f.create(name, volume.MiB)
		load.Go(func() { f.ask(ctx, name) })
	}
	b.Cleanup(func() {
		stop()
		load.Wait()
		for _, stop := range f.peers {
			f.must(stop())
		}
	})
	return f
}

func (f *fleet) join() {
	config := f.config
	config.ID = fmt.Sprintf("w%d", len(f.peers))
	f.peers = append(f.peers, f.startOn(f.server.Connect(f.b), config))
}

// ask has the volume attached and detached in turn, with a short rest between, so that
// the answers show the workers and not a processor without time.
func (f *fleet) ask(ctx context.Context, name string) {
	requests := []commands.Request{
		{Key: key(name), Verb: volume.VerbAttach, Args: volume.Args{Node: "n", Mode: volume.ReadWrite}},
		{Key: key(name), Verb: volume.VerbDetach},
	}
	for i := 0; ctx.Err() == nil; i++ {
		asked := time.Now()
		reply, err := f.client.Do(ctx, requests[i%2])
		if err != nil && ctx.Err() == nil {
			f.b.Errorf("%s: %+v, %v", name, reply, err)
			return
		}
		f.mu.Lock()
		f.answers = append(f.answers, answer{name, asked, time.Since(asked)})
		f.mu.Unlock()
		timer := time.NewTimer(20 * time.Millisecond)
		select {
		case <-timer.C:
		case <-ctx.Done():
		}
		timer.Stop()
	}
}

// within returns the answers to what was asked during a second from now on.
func (f *fleet) within() []answer {
	from := time.Now()
	timer := time.NewTimer(observed)
	<-timer.C
	f.mu.Lock()
	defer f.mu.Unlock()
	return slices.DeleteFunc(slices.Clone(f.answers), func(a answer) bool { return a.asked.Before(from) })
}

func (f *fleet) quiet() []time.Duration {
	var took []time.Duration
	for _, a := range f.within() {
		took = append(took, a.took)
	}
	return took
}

// change has one worker join or leave and tells the answers of volumes whose partition
// stays where it is from those of the others.
func (f *fleet) change(from, to int) (stay, moved []time.Duration) {
	before, after := ownership.Assign(ids(from), commands.Partitions), ownership.Assign(ids(to), commands.Partitions)
	done := make(chan error, 1)
	go func() {
		if to > from {
			f.join()
			done <- nil
			return
		}
		last := f.peers[to]
		f.peers = f.peers[:to]
		done <- last()
	}()
	answers := f.within()
	f.must(<-done)
	for _, a := range answers {
		if p := f.partitionOf(a.volume); before[p] == after[p] {
			stay = append(stay, a.took)
		} else {
			moved = append(moved, a.took)
		}
	}
	return stay, moved
}

func ids(n int) []string {
	names := make([]string, n)
	for i := range names {
		names[i] = fmt.Sprintf("w%d", i)
	}
	return names
}

// partitionOf learns a volume's partition from the subject of a stored command.
func (f *fleet) partitionOf(name string) int {
	if p, known := f.partition[name]; known {
		return p
	}
	stream, err := f.js.Stream(f.ctx, commands.StreamName)
	f.must(err)
	for f.ctx.Err() == nil {
		msg, err := stream.GetLastMsgForSubject(f.ctx, "volume.command.*."+key(name).String()+".*")
		if err != nil {
			continue // ended before it could be looked at
		}
		address, err := commands.ParseSubject(msg.Subject)
		f.must(err)
		f.partition[name] = address.Partition
		break
	}
	return f.partition[name]
}

func percentile(took []time.Duration, p int) time.Duration {
	slices.Sort(took)
	return took[min(len(took)-1, len(took)*p/100)]
}
