package worker_test

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"testing"
	"time"

	"github.com/nats-io/nats.go/jetstream"
	"github.com/rs/zerolog"

	"github.com/jetvol/jetvol/backends"
	"github.com/jetvol/jetvol/backends/local"
	"github.com/jetvol/jetvol/commands"
	"github.com/jetvol/jetvol/events"
	"github.com/jetvol/jetvol/internal/natstest"
	"github.com/jetvol/jetvol/internal/provision"
	"github.com/jetvol/jetvol/kv"
	"github.com/jetvol/jetvol/volume"
	"github.com/jetvol/jetvol/worker"
)

// replicas of every stream in these tests, and servers.
const replicas = 3

// clusterLimit bounds a whole test on a cluster, in which every election may take nine
// seconds.
const clusterLimit = 2 * time.Minute

// Timings of clients of a cluster: a server that is stopped takes requests and answers
// with it.
const (
	clusterRequest = 2 * time.Second
	clusterResend  = 2 * time.Second
)

// clustered is a system on three servers.
type clustered struct {
	*system
	cluster *natstest.Cluster
}

// prepareCluster starts everything but the workers.
func prepareCluster(t *testing.T, options ...commands.Option) *clustered {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), clusterLimit)
	t.Cleanup(cancel)
	s := &clustered{cluster: natstest.StartCluster(t, replicas), system: &system{t: t, ctx: ctx, dir: t.TempDir()}}
	s.nc = s.cluster.Connect(t)
	var err error
	s.js, err = jetstream.New(s.nc, jetstream.WithDefaultTimeout(clusterRequest))
	s.must(err)
	_, err = provision.Apply(ctx, s.js, provision.Options{Replicas: replicas})
	s.must(err)
	s.records = kv.NewVolumes(s.js)
	s.client, err = commands.New(s.nc, append([]commands.Option{commands.WithResendAfter(clusterResend)}, options...)...)
	s.must(err)
	t.Cleanup(func() { s.must(s.client.Close()) })
	driver, err := local.Open(local.Options{Dir: s.dir})
	s.must(err)
	s.backend = &hooked{Driver: driver}
	return s
}

// startWorkers starts so many workers, which share one backend.
func (s *clustered) startWorkers(n int) {
	s.t.Helper()
	backend := backends.New("local", s.backend, backends.Options{})
	s.t.Cleanup(func() { s.must(backend.Close()) })
	for i := range n {
		stop := s.startOn(s.cluster.Connect(s.t), worker.Config{
			ID:             fmt.Sprint("worker-", i+1),
			Backends:       map[string]*backends.Backend{"local": backend},
			DefaultBackend: "local",
			Retry:          quickRetry(),
			Logger:         zerolog.New(zerolog.NewTestWriter(s.t)).Level(zerolog.ErrorLevel),
		})
		s.t.Cleanup(func() { s.must(stop()) })
	}
}

func TestCluster_WholeLife_ThreeWitnessesAgree(t *testing.T) {
	s := prepareCluster(t)
	s.startWorkers(2)
	for _, config := range provision.Configs(provision.Options{}) {
		stream := config.Name
		made, err := s.js.Stream(s.ctx, stream)
		s.must(err)
		if got := made.CachedInfo().Config.Replicas; got != replicas {
			t.Errorf("stream %s: got %d replicas, want %d", stream, got, replicas)
		}
	}
	life := &life{name: "db-01"}
	for range stages {
		s.must(life.step(s.ctx, s.client))
	}
	s.wantWitnesses(life.name, life.want...)
}

// life is what happens to one volume, over and over, with the events that have to come
// of it.
type life struct {
	name string
	at   int
	want []volume.Event
}

// A stage of a life is a command with the reply and the events that it must get.
type stage struct {
	verb   volume.Verb
	args   volume.Args
	state  volume.State
	events []volume.Event
}

var stages = []stage{
	{volume.VerbCreate, volume.Args{Size: volume.MiB}, volume.StateAvailable, []volume.Event{volume.EventCreate, volume.EventReady}},
	{volume.VerbAttach, volume.Args{Node: "n1", Mode: volume.ReadWrite}, volume.StateAttached, []volume.Event{volume.EventAttach, volume.EventAttached}},
	{volume.VerbResize, volume.Args{Size: 2 * volume.MiB}, volume.StateAttached, []volume.Event{volume.EventExtend, volume.EventExtended}},
	{volume.VerbDetach, volume.Args{}, volume.StateAvailable, []volume.Event{volume.EventDetach, volume.EventDetached}},
	{volume.VerbDelete, volume.Args{}, volume.StateDeleted, []volume.Event{volume.EventDelete, volume.EventDeleted}},
}

// step gives the next command and returns an error unless the reply is the right one.
func (l *life) step(ctx context.Context, client *commands.Client) error {
	next := stages[l.at%len(stages)]
	wanted := next.events
	if next.verb == volume.VerbCreate && l.at > 0 {
		wanted = []volume.Event{volume.EventRecreate, volume.EventReady}
	}
	reply, err := client.Do(ctx, commands.Request{Key: key(l.name), Verb: next.verb, Args: next.args})
	l.at++
	l.want = append(l.want, wanted...)
	if err != nil || reply.State != next.state || reply.Generation != uint64(len(l.want)) {
		return fmt.Errorf("%s %s: got %+v, %w, want %s at generation %d", next.verb, l.name, reply, err, next.state, len(l.want))
	}
	return nil
}

// flow is a load of lives side by side.
type flow struct {
	*clustered
	lives   []*life
	replied chan struct{} // one for each right reply
	halt    chan struct{}
	ended   sync.WaitGroup
	errs    []error
}

func (s *clustered) startFlow(volumes int) *flow {
	f := &flow{clustered: s, replied: make(chan struct{}, 1<<20), halt: make(chan struct{}), errs: make([]error, volumes)}
	for i := range volumes {
		l := &life{name: fmt.Sprint("v", i)}
		f.lives = append(f.lives, l)
		f.ended.Go(func() { f.errs[i] = f.run(l) })
	}
	return f
}

func (f *flow) run(l *life) error {
	for {
		select {
		case <-f.halt:
			return nil
		default:
		}
		if err := l.step(f.ctx, f.client); err != nil {
			return err
		}
		f.replied <- struct{}{}
	}
}

// await returns when n more commands have been answered rightly.
func (f *flow) await(n int) {
	f.t.Helper()
	for range n {
		select {
		case <-f.replied:
		case <-f.ctx.Done():
			f.t.Fatal("commands do not flow on")
		}
	}
}

// drain forgets the replies that have come.
func (f *flow) drain() {
	for {
		select {
		case <-f.replied:
		default:
			return
		}
	}
}

// end lets every command end and compares the witnesses of every volume.
func (f *flow) end() {
	f.t.Helper()
	close(f.halt)
	f.ended.Wait()
	f.must(errors.Join(f.errs...))
	for _, l := range f.lives {
		f.wantWitnesses(l.name, l.want...)
	}
}

// Slower, never wrong, and it goes on alone: whoever leads what, its server may stop and
// come back while commands flow.
func TestCluster_LeaderStopped_CommandsFlowOn(t *testing.T) {
	s := prepareCluster(t)
	s.startWorkers(2)
	const volumes, some = 12, 40
	flow := s.startFlow(volumes)
	leaders := []struct {
		of    string
		index func() int
	}{
		{"commands", func() int { return s.cluster.LeaderOf(t, commands.StreamName) }},
		{"events", func() int { return s.cluster.LeaderOf(t, events.StreamName) }},
		{"records", func() int { return s.cluster.LeaderOf(t, "KV_"+kv.VolumesBucket) }},
		{"leases", func() int { return s.cluster.LeaderOf(t, "KV_"+kv.LeasesBucket) }},
		{"consumer", func() int { return s.cluster.ConsumerLeaderOf(t, commands.StreamName, "partition-0") }},
	}
	for _, leader := range leaders {
		flow.await(some)
		index := leader.index()
		began := time.Now()
		s.cluster.Stop(t, index)
		flow.drain()
		flow.await(volumes + 1) // one of them at least was given after the server had gone
		t.Logf("leader of %s stopped: %d commands answered within %s", leader.of, volumes+1, time.Since(began).Round(time.Millisecond))
		s.cluster.Restart(t, index)
		s.cluster.AwaitCurrent(t)
	}
	flow.await(some)
	flow.end()
}

// With one server of three nothing can be stored. Publishers are told so, and what was
// accepted before is carried out when a second server is back.
func TestCluster_QuorumLost_RefusedAndResumes(t *testing.T) {
	for name, leaderStays := range map[string]bool{"follower stays": false, "leader stays": true} {
		t.Run(name, func(t *testing.T) {
			t.Parallel() // most of it is waiting for elections
			s := prepareCluster(t, commands.WithPublishTimeout(time.Second), commands.WithUnavailableAfter(2*time.Second))
			s.startWorkers(2)
			entered, release := s.gate("create", "held")
			accepted := map[string]commands.Receipt{}
			for _, name := range append(volumeNames(4), "held") {
				accepted[name] = s.publish(commands.Request{Key: key(name), Verb: volume.VerbCreate, Args: volume.Args{Size: volume.MiB}})
			}
			s.awaitCall(entered)
			stopped := s.stopTwo(leaderStays)
			s.backend.hook(nil, nil) // what cannot be stored is begun again
			close(release)
			late := commands.Request{ID: "late", Key: key("late"), Verb: volume.VerbCreate, Args: volume.Args{Size: volume.MiB}}
			s.wantRefused(late, leaderStays)
			for _, index := range stopped {
				s.cluster.Restart(t, index)
			}
			s.cluster.AwaitCurrent(t)
			for name, receipt := range accepted {
				s.awaitEvent(name, ofCommand(receipt.CommandID))
			}
			s.wantReply(s.do(late), volume.Succeeded, volume.StateAvailable, "")
			accepted["late"] = commands.Receipt{}
			for name := range accepted {
				s.await("rest of "+name, func() bool { return s.record(name).Op == nil })
				s.wantWitnesses(name, volume.EventCreate, volume.EventReady)
			}
		})
	}
}

// stopTwo stops all but one server, which leads the commands or does not.
func (s *clustered) stopTwo(leaderStays bool) []int {
	s.t.Helper()
	leader := s.cluster.LeaderOf(s.t, commands.StreamName)
	if leaderStays {
		others := []int{(leader + 1) % replicas, (leader + 2) % replicas}
		s.cluster.Stop(s.t, others[0])
		s.cluster.Stop(s.t, others[1])
		return others
	}
	s.cluster.Stop(s.t, leader)
	next := s.cluster.StopLeader(s.t, commands.StreamName)
	return []int{leader, next}
}

// wantRefused checks what a publisher is told while there is no quorum. A leader that is
// left alone takes some seconds to find out, and meanwhile does not answer.
func (s *clustered) wantRefused(request commands.Request, silent bool) {
	s.t.Helper()
	ctx, cancel := context.WithTimeout(s.ctx, 4*time.Second)
	defer cancel()
	reply, err := s.client.Do(ctx, request)
	_, pending := errors.AsType[*commands.PendingError](err)
	switch {
	case reply.Outcome != "":
		s.t.Errorf("without a quorum: got %+v", reply)
	case silent && !pending:
		s.t.Errorf("leader without a quorum: got %v, want that the command may still be carried out", err)
	case !silent && !errors.Is(err, volume.Unavailable):
		s.t.Errorf("no leader: got %v, want unavailable", err)
	}
}
