package bench

import (
	"context"
	"errors"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"
	"github.com/rs/zerolog"

	"github.com/jetvol/jetvol/commands"
	"github.com/jetvol/jetvol/events"
	"github.com/jetvol/jetvol/internal/embednats"
	"github.com/jetvol/jetvol/internal/natstest"
	"github.com/jetvol/jetvol/internal/provision"
	"github.com/jetvol/jetvol/volume"
	"github.com/jetvol/jetvol/worker"
)

const testProject = volume.Project("bench-test")

// testLimit bounds every wait.
const testLimit = 30 * time.Second

// limits is the ceiling on a real server, with its worker in this process.
type limits struct {
	js     jetstream.JetStream
	bare   *bareClient
	source *source
}

func newLimits(t *testing.T) *limits {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), testLimit)
	t.Cleanup(cancel)
	server := natstest.Start(t)
	js := server.JetStream(t)
	original(ctx, t, js, 1)
	_, err := mirror(ctx, js)
	must(t, err)
	l := &limits{js: js}
	l.bare, err = newBareClient(js.Conn(), js)
	must(t, err)
	l.bare.templates.Store(&templates)
	l.source = newSource(Options{Workload: Life}, testProject, l.bare)
	serve(t, server.JetStream(t).Conn(), js.Conn())
	return l
}

// original makes jetvol's streams, and its consumers as a worker does.
func original(ctx context.Context, t *testing.T, js jetstream.JetStream, replicas int) {
	t.Helper()
	_, err := provision.Apply(ctx, js, provision.Options{Replicas: replicas})
	must(t, err)
	for partition := range commands.Partitions {
		_, err := js.CreateConsumer(ctx, commands.StreamName, jetstream.ConsumerConfig{
			Durable: consumerName(partition), FilterSubject: commands.PartitionFilter(partition), AckPolicy: jetstream.AckExplicitPolicy,
			PriorityPolicy: jetstream.PriorityPolicyPinned, PriorityGroups: []string{worker.PriorityGroup}, PinnedTTL: 3 * time.Second,
		})
		must(t, err)
	}
}

// serve runs the ceiling's worker and gives it the templates.
func serve(t *testing.T, conn, by *nats.Conn) {
	t.Helper()
	ctx, cancel := context.WithCancel(context.Background())
	ready, ended := make(chan struct{}), make(chan error, 1)
	go func() {
		ended <- ServeCeiling(ctx, conn, 0, 1, zerolog.New(t.Output()), func() { close(ready) })
	}()
	t.Cleanup(func() {
		cancel()
		must(t, <-ended)
	})
	select {
	case <-ready:
	case err := <-ended:
		t.Fatal(err)
	}
	r := run{conn: by, bare: &bareClient{}, options: Options{Workers: 1}, templates: templates}
	must(t, r.command(t.Context()))
}

// templates are as sampled ones, but short.
var templates = func() map[volume.Verb]Template {
	all := map[volume.Verb]Template{}
	message := func(header ...string) Message {
		m := Message{Header: nats.Header{}, Data: []byte("{}")}
		for i := 0; i < len(header); i += 2 {
			m.Header.Set(header[i], header[i+1])
		}
		return m
	}
	guard := []string{jetstream.ExpectedLastSubjSeqHeader, "7", jetstream.ExpectedStreamHeader, events.StreamName}
	for verb, names := range map[volume.Verb][2]string{
		volume.VerbCreate: {"create", "ready"}, volume.VerbAttach: {"attach", "attached"}, volume.VerbDetach: {"detach", "detached"},
		volume.VerbResize: {"extend", "extended"}, volume.VerbDelete: {"delete", "deleted"},
	} {
		all[verb] = Template{
			Command: message(commands.HeaderID, strings.Repeat("i", 26), commands.HeaderReply, "r"), Reply: message(),
			Writes: []Write{
				{Message: message(jetstream.ExpectedLastSubjSeqHeader, "7")},
				{message(guard...), names[0]},
				{Message: message(jetstream.ExpectedLastSubjSeqHeader, "7")},
				{message(guard...), names[1]},
			},
		}
	}
	return all
}()

// counted returns what the ceiling's streams hold, once no command waits to be acknowledged.
func (l *limits) counted(t *testing.T, waiting int) stored {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), testLimit)
	defer cancel()
	for {
		got, err := counted(ctx, l.js, testProject, renaming.Replace)
		must(t, err)
		if got.commands == waiting {
			return got
		}
		must(t, pause(ctx, settlePause))
	}
}

func TestCeiling_Lives_LeaveExactlyTheirWrites(t *testing.T) {
	l := newLimits(t)
	got, err := load{inFlight: 8, duration: 200 * time.Millisecond}.drive(t.Context(), l.source.step, new(atomic.Int64))
	must(t, err)
	if got.answered == 0 {
		t.Fatal("got no answers")
	}
	must(t, verify(&l.source.counts, templates, l.counted(t, 0)))
	given, _ := l.source.counts.both()
	t.Logf("%d answers: %v", got.answered, given)
}

// A benchmark that loses something measures nothing, so each kind of loss is planted.
func TestVerify_SomethingIsMissing_IsTold(t *testing.T) {
	l := newLimits(t)
	for range 10 {
		must(t, l.source.step(t.Context()))
	}
	whole := l.counted(t, 0)
	must(t, verify(&l.source.counts, templates, whole))
	for name, change := range map[string]func(*stored){
		"an event lost":     func(s *stored) { s.events-- },
		"an event doubled":  func(s *stored) { s.events++ },
		"a record lost":     func(s *stored) { s.records-- },
		"a record too many": func(s *stored) { s.records++ },
	} {
		changed := whole
		if change(&changed); verify(&l.source.counts, templates, changed) == nil {
			t.Errorf("%s: not noticed", name)
		}
	}
	// An answer that never came.
	l.source.counts.sent(volume.VerbAttach)
	if err := verify(&l.source.counts, templates, whole); err == nil || !strings.Contains(err.Error(), "attach were answered") {
		t.Errorf("an answer lost: got %v", err)
	}
	l.source.counts.ended(volume.VerbAttach)
	if verify(&l.source.counts, templates, whole) == nil {
		t.Error("a command answered and not carried out: not noticed")
	}
}

// The bench itself has to look, and to fail.
func TestRun_CommandAnsweredAndNotStored_FailsTheTurn(t *testing.T) {
	l := newLimits(t)
	r := run{js: l.js, project: testProject, templates: templates}
	ceiling := side{source: l.source, rename: renaming.Replace}
	must(t, l.source.step(t.Context()))
	must(t, r.settle(t.Context(), &ceiling))
	l.source.counts.sent(volume.VerbCreate)
	l.source.counts.ended(volume.VerbCreate)
	soon, cancel := context.WithTimeout(t.Context(), 3*settlePause)
	defer cancel()
	if r.settle(soon, &ceiling) == nil {
		t.Error("the turn ends well")
	}
}

// What is written past the workers is on the server, too.
func TestCounted_CommandNobodyTakes_IsCounted(t *testing.T) {
	l := newLimits(t)
	ctx, cancel := context.WithTimeout(t.Context(), testLimit)
	defer cancel()
	must(t, l.source.step(ctx))
	before := l.counted(t, 0)
	// The real work queue has consumers here, but no worker.
	_, err := l.js.Publish(ctx, commands.Subject(volume.Key{Project: testProject, Name: "v"}, volume.VerbCreate), []byte("{}"))
	must(t, err)
	_, err = l.js.Publish(ctx, events.PublishSubject(volume.Key{Project: testProject, Name: "v"}, volume.EventReady), []byte("{}"))
	must(t, err)
	got, err := counted(ctx, l.js, testProject, func(name string) string { return name })
	if want := (stored{commands: 1, events: 1}); err != nil || got != want {
		t.Errorf("jetvol's: got %+v, %v, want %+v", got, err, want)
	}
	if got := l.counted(t, 0); got != before {
		t.Errorf("the ceiling's: got %+v, want %+v", got, before)
	}
}

func TestCeiling_GuardRefused_IsToldAsFailure(t *testing.T) {
	l := newLimits(t)
	key := volume.Key{Project: testProject, Name: "v-00000001"}
	// Somebody else's event stands where the ceiling expects none.
	_, err := l.js.Publish(t.Context(), "limits.tx."+key.String()+".ready", []byte("{}"))
	must(t, err)
	if err := l.source.step(t.Context()); err == nil || !strings.Contains(err.Error(), errCeilingFailed.Error()) {
		t.Errorf("got %v, want %v", err, errCeilingFailed)
	}
}

// Where a leader is decides how far a write goes.
func TestAlign_Cluster_LeadersStandWhereJetvolsDo(t *testing.T) {
	ctx, cancel := context.WithTimeout(t.Context(), 2*testLimit)
	defer cancel()
	cluster := natstest.StartCluster(t, 3)
	js := cluster.JetStream(t)
	original(ctx, t, js, 3)
	_, err := mirror(ctx, js)
	must(t, err)
	must(t, align(ctx, js))
	for _, name := range mirrored {
		want, err := embednats.LeaderOf(ctx, js, name)
		must(t, err)
		if got, err := embednats.LeaderOf(ctx, js, renaming.Replace(name)); err != nil || got == "" || got != want {
			t.Errorf("stream %s: got leader %q, %v, want %q", renaming.Replace(name), got, err, want)
		}
	}
	for partition := range commands.Partitions {
		want, err := embednats.ConsumerLeaderOf(ctx, js, commands.StreamName, consumerName(partition))
		must(t, err)
		got, err := embednats.ConsumerLeaderOf(ctx, js, renaming.Replace(commands.StreamName), consumerName(partition))
		if err != nil || got == "" || got != want {
			t.Errorf("partition %d: got leader %q, %v, want %q", partition, got, err, want)
		}
	}
}

// Two benches on one server would delete each other's streams.
func TestMirror_StreamOfAnotherBench_IsRefusedAndStays(t *testing.T) {
	ctx, cancel := context.WithTimeout(t.Context(), testLimit)
	defer cancel()
	js := natstest.Start(t).JetStream(t)
	original(ctx, t, js, 1)
	theirs, err := mirror(ctx, js)
	if err != nil || len(theirs) != len(mirrored) {
		t.Fatalf("got %v, %v, want all streams made", theirs, err)
	}
	ours, err := mirror(ctx, js)
	if !errors.Is(err, volume.ErrPreconditionFailed) || len(ours) > 0 || !strings.Contains(err.Error(), "nats stream rm") {
		t.Errorf("got %v, %v, want none made, and how to delete those that are there", ours, err)
	}
	must(t, unmirror(js, ours))
	for _, name := range theirs {
		if _, err := js.Stream(ctx, name); err != nil {
			t.Errorf("stream %s of the other bench: %v", name, err)
		}
	}
	must(t, unmirror(js, theirs))
	must(t, vacant(ctx, js))
}

// Names of another length would make other messages.
func TestMirror_EveryStream_DiffersInNamesOfTheSameLength(t *testing.T) {
	for _, config := range provision.Configs(provision.Options{Replicas: 3}) {
		got, err := renamed(config)
		must(t, err)
		if len(got.Name) != len(config.Name) || got.Replicas != config.Replicas || len(got.Subjects) != len(config.Subjects) {
			t.Errorf("got %+v, want %+v with other names", got, config)
		}
		for i, subject := range got.Subjects {
			if len(subject) != len(config.Subjects[i]) {
				t.Errorf("got subject %s in place of %s", subject, config.Subjects[i])
			}
		}
	}
	for _, name := range mirrored {
		if renaming.Replace(name) == name {
			t.Errorf("%s keeps its name", name)
		}
	}
}

// A mark for each of them would be kept for ever: nothing comes after them.
func TestCeilingWorker_CommandsOfRoundTrips_LeaveNoMarks(t *testing.T) {
	w := ceilingWorker{}
	must(t, w.write("trips.v-1", Template{}, 0))
	w.marks.Range(func(key, _ any) bool {
		t.Errorf("got a mark of %s", key)
		return true
	})
}
