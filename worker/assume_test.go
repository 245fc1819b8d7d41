package worker_test

import (
	"errors"
	"fmt"
	"regexp"
	"testing"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"

	"github.com/jetvol/jetvol/commands"
	"github.com/jetvol/jetvol/events"
	"github.com/jetvol/jetvol/fsm"
	"github.com/jetvol/jetvol/kv"
	"github.com/jetvol/jetvol/quotas"
	"github.com/jetvol/jetvol/volume"
	"github.com/jetvol/jetvol/worker"
)

// forget takes away all that the bucket holds of a name, as time does in the end: first the
// tombstone, then the marker in its place.
func (s *system) forget(name string) {
	s.t.Helper()
	stream, err := s.js.Stream(s.ctx, "KV_"+kv.VolumesBucket)
	s.must(err)
	s.must(stream.Purge(s.ctx, jetstream.WithPurgeSubject("$KV.volumes."+key(name).String())))
}

// restart starts a worker that remembers nothing in the place of the one that ran.
func (s *system) restart() {
	s.t.Helper()
	s.must(s.stop())
	s.startWorker()
}

func (s *system) wantNoRecord(name string) {
	s.t.Helper()
	if entry, err := s.records.ByKey(s.ctx, key(name)); !errors.Is(err, kv.ErrNotFound) {
		s.t.Errorf("record of %s: got %+v, %v, want none", name, entry.Value, err)
	}
}

// reads counts the requests to the leaders for records and events.
func (s *system) reads() func() int { return s.readsOf("") }

// readsOf counts the same of one name, or of all.
func (s *system) readsOf(name string) func() int {
	s.t.Helper()
	of := regexp.MustCompile(`default\.` + name + `["\.]`)
	return s.counting("$JS.API.STREAM.MSG.GET.>", func(m *nats.Msg) bool { return name == "" || of.Match(m.Data) })
}

// counting returns what tells how many messages have passed since it told last that match.
func (s *system) counting(subject string, match func(*nats.Msg) bool) func() int {
	s.t.Helper()
	sub, err := s.nc.SubscribeSync(subject)
	s.must(err)
	s.must(s.nc.Flush())
	return func() int {
		s.t.Helper()
		s.must(s.nc.Flush())
		pending, _, err := sub.Pending()
		s.must(err)
		count := 0
		for range pending {
			m, err := sub.NextMsg(limit)
			s.must(err)
			if match(m) {
				count++
			}
		}
		return count
	}
}

func TestWorker_CreateOfANewName_ReadsNothing(t *testing.T) {
	s := start(t)
	reads := s.reads()
	for i := range 8 {
		s.create(fmt.Sprint("new-", i), volume.MiB)
	}
	if n := reads(); n != 0 {
		t.Errorf("8 creates: got %d reads, want none", n)
	}
	s.wantWitnesses("new-0", volume.EventCreate, volume.EventReady)
	if s.record("new-0").Assumed {
		t.Error("record: it still says that it is assumed")
	}
}

// TestWorker_CreateThatMustLook_Reads: what a create of a new name may not assume.
func TestWorker_CreateThatMustLook_Reads(t *testing.T) {
	for name, test := range map[string]struct {
		request commands.Request
		limits  *quotas.Limits
		source  volume.SnapshotName
		want    volume.Result
	}{
		"of a snapshot": {source: "monday", want: volume.Succeeded},
		"validate only": {request: commands.Request{Preconditions: volume.Preconditions{ValidateOnly: true}}, want: volume.Valid},
		"refused":       {request: commands.Request{Preconditions: volume.Preconditions{IfState: volume.StateDeleted}}, want: volume.Rejected},
		"with a quota":  {limits: &quotas.Limits{Volumes: quotas.Limit(5)}, want: volume.Succeeded},
	} {
		t.Run(name, func(t *testing.T) {
			s := start(t)
			if test.limits != nil {
				s.setQuota(*test.limits)
			}
			request := test.request
			request.Key, request.Verb, request.Args = key("v"), volume.VerbCreate, volume.Args{Size: volume.MiB}
			if test.source != "" {
				s.create("origin", volume.MiB)
				s.snapshot("origin", test.source)
				request.Args.Source = volume.SnapshotKey{Volume: "origin", Snapshot: test.source}
			}
			reads := s.readsOf("v")
			if reply := s.do(request); reply.Outcome != test.want {
				t.Errorf("got %+v, want %s", reply, test.want)
			}
			if n := reads(); n < 2 {
				t.Errorf("got %d reads, want those of the record and of the last event", n)
			}
		})
	}
}

// earlier is what a name went through before its record was forgotten.
type earlier struct {
	name string
	live func(s *system) []commands.Request
	// events it left, and what a new create leads to.
	events []volume.Event
	again  []volume.Event
	code   volume.Code
}

var (
	firstCreate = commands.Request{Key: key("v"), Verb: volume.VerbCreate, Args: volume.Args{Size: volume.MiB}, ID: "create-1"}
	wholeLife   = []volume.Event{volume.EventCreate, volume.EventReady, volume.EventDelete, volume.EventDeleted}
	recreated   = []volume.Event{volume.EventRecreate, volume.EventReady}
)

func earlierLives() []earlier {
	early := commands.Request{Key: key("v"), Verb: volume.VerbAttach, Args: volume.Args{Node: "n1", Mode: volume.ReadWrite}, ID: "early"}
	remove := commands.Request{Key: key("v"), Verb: volume.VerbDelete, ID: "delete-1"}
	sent := func(requests ...commands.Request) func(s *system) []commands.Request {
		return func(s *system) []commands.Request {
			for _, r := range requests {
				s.do(r)
			}
			return requests
		}
	}
	return []earlier{
		{
			"one refusal", sent(early),
			[]volume.Event{volume.EventRejected},
			[]volume.Event{volume.EventCreate, volume.EventReady},
			"",
		},
		{ // its event has the ID that a first create's event always has
			"begun and no more", func(s *system) []commands.Request { s.onlyBegun(firstCreate); return nil },
			[]volume.Event{volume.EventCreate},
			[]volume.Event{volume.EventRejected},
			volume.ErrVolumeExists,
		},
		{
			"alive", sent(firstCreate),
			[]volume.Event{volume.EventCreate, volume.EventReady},
			[]volume.Event{volume.EventRejected},
			volume.ErrVolumeExists,
		},
		{"one life", sent(firstCreate, remove), wholeLife, recreated, ""},
		{
			"many lives", func(s *system) []commands.Request {
				requests := sent(early, firstCreate, remove)(s)
				for range 2 {
					s.create("v", volume.MiB)
					s.verb("v", volume.VerbDelete)
				}
				return requests
			},
			[]volume.Event{
				volume.EventRejected, volume.EventCreate, volume.EventReady, volume.EventDelete, volume.EventDeleted,
				volume.EventRecreate, volume.EventReady, volume.EventDelete, volume.EventDeleted,
				volume.EventRecreate, volume.EventReady, volume.EventDelete, volume.EventDeleted,
			},
			recreated, "",
		},
	}
}

// onlyBegun leaves the event that begins a command, and nothing else.
func (s *system) onlyBegun(request commands.Request) {
	s.t.Helper()
	decision, err := fsm.Decide(pending(string(request.Key.Name)), volume.Command{
		ID: request.ID, Key: request.Key, Verb: request.Verb, Args: request.Args, Sequence: 1, Backend: "local",
	}, time.Now().UTC())
	s.must(err)
	_, err = events.Chain(decision.Transition, "")
	s.must(err)
	publisher, err := events.NewPublisher(s.ctx, s.js)
	s.must(err)
	begun, err := publisher.Start(*decision.Transition, 0)
	s.must(err)
	_, err = begun.Wait(s.ctx)
	s.must(err)
}

func (s *system) wantEvents(name string, want ...volume.Event) {
	s.t.Helper()
	var got []volume.Event
	for _, e := range s.events(name) {
		got = append(got, e.Event)
	}
	if fmt.Sprint(got) != fmt.Sprint(want) {
		s.t.Errorf("events of %s: got %v, want %v", name, got, want)
	}
}

// TestWorker_NameForgotten_CreateGoesOnFromItsEvents: nothing in the bucket tells that the name
// was used before, and the create begins as that of a new one.
func TestWorker_NameForgotten_CreateGoesOnFromItsEvents(t *testing.T) {
	for _, life := range earlierLives() {
		t.Run(life.name, func(t *testing.T) {
			t.Parallel()
			s := start(t)
			known := map[volume.CommandID]commands.Reply{}
			requests := life.live(s)
			for _, r := range requests {
				known[r.ID] = s.do(r) // again: what it is answered for good
			}
			ids := map[volume.ID]bool{}
			for _, e := range s.events("v") {
				ids[e.VolumeID] = true
			}
			last := s.events("v")[len(s.events("v"))-1]
			s.forget("v")
			s.restart()
			for _, r := range requests {
				s.wantSame(r, known[r.ID])
				s.wantNoRecord("v") // what the repeat has stored is gone
				s.forget("v")
				s.restart()
			}
			reply := s.create("v", volume.MiB)
			if life.code != "" {
				s.wantReply(reply, volume.Rejected, reply.State, life.code)
			} else {
				s.wantReply(reply, volume.Succeeded, volume.StateAvailable, "")
				if ids[reply.VolumeID] || reply.Generation != last.Generation+2 {
					t.Errorf("new life: got id %s generation %d, before it %v and %d", reply.VolumeID, reply.Generation, ids, last.Generation)
				}
			}
			s.wantEvents("v", append(append([]volume.Event{}, life.events...), life.again...)...)
			s.wantChain("v")
			for _, r := range requests {
				s.wantSame(r, known[r.ID])
			}
			if s.record("v").Assumed {
				t.Error("record: it still says that it is assumed")
			}
		})
	}
}

// TestWorker_RecordDeletedByHand_CreateFindsTheVolume: there is a marker, over which a create of
// a new name is not stored.
func TestWorker_RecordDeletedByHand_CreateFindsTheVolume(t *testing.T) {
	s := start(t)
	first := s.create("v", volume.MiB)
	bucket, err := s.js.KeyValue(s.ctx, kv.VolumesBucket)
	must(t, err)
	must(t, bucket.Delete(s.ctx, key("v").String()))
	s.restart()
	reply := s.create("v", volume.MiB)
	s.wantReply(reply, volume.Rejected, volume.StateAvailable, volume.ErrVolumeExists)
	if reply.VolumeID != first.VolumeID {
		t.Errorf("id: got %s, want %s", reply.VolumeID, first.VolumeID)
	}
	s.wantWitnesses("v", volume.EventCreate, volume.EventReady, volume.EventRejected)
}

// TestWorker_QuotaOfAKnownName_IsLeftAlone: a create of a name that is in use reserves nothing.
func TestWorker_QuotaOfAKnownName_IsLeftAlone(t *testing.T) {
	s := start(t, func(c *worker.Config) { c.ID = "metered" })
	s.setQuota(quotas.Limits{Volumes: quotas.Limit(2)})
	s.create("v", size)
	s.restart()
	ledger, err := s.js.Stream(s.ctx, "KV_"+kv.QuotasBucket)
	must(t, err)
	before := ledger.CachedInfo().State.LastSeq
	s.wantReply(s.create("v", size), volume.Rejected, volume.StateAvailable, volume.ErrVolumeExists)
	info, err := ledger.Info(s.ctx)
	must(t, err)
	if info.State.LastSeq != before {
		t.Errorf("ledger: written %d times, want none", info.State.LastSeq-before)
	}
	s.wantUsed(vols(1))
}
