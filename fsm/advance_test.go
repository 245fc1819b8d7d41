package fsm_test

import (
	"fmt"
	"reflect"
	"strings"
	"testing"
	"time"

	"github.com/jetvol/jetvol/fsm"
	"github.com/jetvol/jetvol/volume"
)

func TestSucceed_EndsEveryVerb(t *testing.T) {
	tests := []struct {
		from  volume.State
		event volume.Event
		to    volume.State
		node  volume.Node
	}{
		{volume.StateCreating, volume.EventReady, volume.StateAvailable, ""},
		{volume.StateAttaching, volume.EventAttached, volume.StateAttached, "n1"},
		{volume.StateDetaching, volume.EventDetached, volume.StateAvailable, ""},
		{volume.StateExtending, volume.EventExtended, volume.StateAvailable, ""},
		{volume.StateDeleting, volume.EventDeleted, volume.StateDeleted, ""},
		{volume.StateSnapshotting, volume.EventSnapshotted, volume.StateAvailable, ""},
		{volume.StatePruning, volume.EventPruned, volume.StateAvailable, ""},
		{volume.StateRestoring, volume.EventRestored, volume.StateAvailable, ""},
		{volume.StateFlattening, volume.EventFlattened, volume.StateAvailable, ""},
	}
	for _, test := range tests {
		t.Run(string(test.from), func(t *testing.T) {
			s := in(t, test.from)
			op := *s.record.Op
			decision := s.succeed()
			if got := decision.Transition; got.Event != test.event || got.To != test.to || !got.Final || got.Failure != nil {
				t.Errorf("got event %s to %s, final %v, %v", got.Event, got.To, got.Final, got.Failure)
			}
			want := volume.Outcome{
				CommandID: op.CommandID, Digest: op.Digest, Verb: op.Verb, Result: volume.Succeeded,
				State: test.to, Generation: s.record.Generation, VolumeID: s.record.ID,
				Snapshot: op.Snapshot,
			}
			if decision.Outcome == nil || *decision.Outcome != want {
				t.Errorf("got outcome %+v, want %+v", decision.Outcome, want)
			}
			if stored, ok := s.record.Outcome(op.CommandID); !ok || stored != want {
				t.Errorf("got %+v in the record, want %+v", stored, want)
			}
			if s.record.Op != nil {
				t.Errorf("got an operation in %s", s.record.State)
			}
			var node volume.Node
			if len(s.record.Attachments) > 0 {
				node = s.record.Attachments[0].Node
			}
			if node != test.node {
				t.Errorf("got node %q, want %q", node, test.node)
			}
		})
	}
}

// TestFail_Retry_GiveUp walks requirement A4: three attempts, each failure visible as
// X_failed with attempt and time of the next, then error, or where the volume was.
func TestFail_Retry_GiveUp(t *testing.T) {
	for _, test := range []struct {
		verb volume.Verb
		ends volume.State
	}{
		{volume.VerbCreate, volume.StateError},
		{volume.VerbAdopt, volume.StateError},
		{volume.VerbAttach, volume.StateError},
		{volume.VerbDetach, volume.StateError},
		{volume.VerbDelete, volume.StateError},
		{volume.VerbUnmanage, volume.StateError},
		{volume.VerbResize, volume.StateError},
		{volume.VerbNodeGone, volume.StateError},
		{volume.VerbRestore, volume.StateError},
		{volume.VerbSnapshot, volume.StateAvailable},
		{volume.VerbDeleteSnapshot, volume.StateAvailable},
		{volume.VerbFlatten, volume.StateAvailable},
	} {
		verb := test.verb
		t.Run(string(verb), func(t *testing.T) {
			s := before(t, verb)
			s.told = nil
			begun := s.begin(verb)
			busyState := s.record.State
			waits := []time.Duration{500 * time.Millisecond, time.Second}
			for attempt := 1; attempt <= 3; attempt++ {
				failed := s.fail(errDown)
				checkFailedAttempt(t, failed, busyState, attempt)
				if attempt == 3 {
					break
				}
				if got, want := failed.Record.Op.NextRetryAt, s.now.Add(waits[attempt-1]); !got.Equal(want) {
					t.Errorf("attempt %d: got next at %s, want %s", attempt, got, want)
				}
				again := s.retry()
				if r := again.Record; r.State != busyState || r.Op.Attempt != attempt+1 || !r.Op.NextRetryAt.IsZero() || again.Action != begun.Action {
					t.Errorf("attempt %d: got %s, op %+v, action %s", attempt+1, r.State, r.Op, again.Action)
				}
			}
			if step := fsm.NextStep(s.record); step.Kind != fsm.StepGiveUp {
				t.Fatalf("got step %+v after the last attempt, want giving up", step)
			}
			end := s.giveUp()
			if o := end.Outcome; o.Result != volume.Failed || o.State != test.ends || o.Failure.Code != volume.ErrBackendUnavailable {
				t.Errorf("got %+v", o)
			}
			if e := end.Transition; e.Event != volume.EventFail || !e.Final || e.Reason != "gave up after attempt 3" || e.Failure == nil {
				t.Errorf("got %#v", e)
			}
			if got, want := events(s), "error retry error retry error fail"; !strings.HasSuffix(got, want) || len(s.told) != 7 {
				t.Errorf("got events %q, want 7 that end with %q", got, want)
			}
		})
	}
}

// TestFail_Refused_EndsWhereTheBackendIs: a backend that answers, and says that something is
// in the way, has not broken the volume.
func TestFail_Refused_EndsWhereTheBackendIs(t *testing.T) {
	for _, test := range []struct {
		verb  volume.Verb
		err   error
		tries int
		seen  fsm.Observation
		want  volume.State
	}{
		{volume.VerbAdopt, errHeld, 1, absent, volume.StatePending},
		{volume.VerbAdopt, errBusy, 3, absent, volume.StatePending},
		{volume.VerbAdopt, errNone, 1, absent, volume.StatePending},
		{volume.VerbAdopt, errTaken, 1, anothers, volume.StatePending},
		{volume.VerbAdopt, errBusy, 3, present(imageSize, nil), volume.StateAvailable}, // by an attempt before it
		{volume.VerbDelete, errHeld, 1, present(volume.GiB, nil), volume.StateAvailable},
		{volume.VerbDelete, errBusy, 3, present(volume.GiB, nil), volume.StateAvailable},
		{volume.VerbDelete, errHeld, 1, present(volume.GiB, on("node-9")), volume.StateAttached},
		{volume.VerbDelete, errHeld, 1, absent, volume.StateDeleted},
		{volume.VerbUnmanage, errHeld, 1, present(volume.GiB, nil), volume.StateAvailable},
		{volume.VerbUnmanage, errBusy, 3, present(volume.GiB, nil), volume.StateAvailable},
		{volume.VerbUnmanage, errHeld, 1, present(volume.GiB, on("node-9")), volume.StateAttached},
		{volume.VerbUnmanage, errBusy, 3, absent, volume.StateDeleted},
		{volume.VerbDetach, errBusy, 3, present(volume.GiB, on("node-1")), volume.StateAttached},
		{volume.VerbDetach, errBusy, 3, present(volume.GiB, nil), volume.StateAvailable},
		{volume.VerbDetach, errBusy, 3, absent, volume.StateError},
		{volume.VerbAttach, errHeld, 1, present(volume.GiB, on("n1")), volume.StateAttached},
		{volume.VerbAttach, errHeld, 1, present(volume.GiB, on("node-9")), volume.StateError}, // nobody asked for that node
		{volume.VerbAttach, errBusy, 3, present(volume.GiB, nil), volume.StateAvailable},
		{volume.VerbResize, errBusy, 3, present(volume.GiB, nil), volume.StateAvailable},
		{volume.VerbResize, errHeld, 1, present(volume.GiB, nil), volume.StateAvailable},
		{volume.VerbSnapshot, errHeld, 1, present(volume.GiB, nil), volume.StateAvailable},
		{volume.VerbSnapshot, errBusy, 3, present(volume.GiB, on("node-1")), volume.StateAttached},
		{volume.VerbDeleteSnapshot, errHeld, 1, present(volume.GiB, nil), volume.StateAvailable}, // clones need it
		{volume.VerbDeleteSnapshot, errHeld, 1, absent, volume.StateError},
		{volume.VerbRestore, errHeld, 1, present(volume.GiB, on("node-9")), volume.StateAttached},
		{volume.VerbRestore, errBusy, 3, present(volume.GiB, nil), volume.StateAvailable},
		{volume.VerbFlatten, errBusy, 3, present(volume.GiB, nil), volume.StateAvailable},
	} {
		t.Run(fmt.Sprintf("%s/%s/%s", test.verb, volume.ClassOf(test.err), test.want), func(t *testing.T) {
			s := before(t, test.verb)
			s.begin(test.verb)
			for try := range test.tries {
				if try > 0 {
					s.retry()
				}
				s.fail(test.err)
			}
			if step := fsm.NextStep(s.record); step.Kind != fsm.StepSettle || step.Action != fsm.ActionObserve {
				t.Fatalf("got step %+v after attempt %d, want to settle", step, test.tries)
			}
			end := s.settle(test.seen)
			if o := end.Outcome; o.Result != volume.Failed || o.State != test.want || o.Failure.Class != volume.ClassOf(test.err) {
				t.Errorf("got %+v, want failed in %s", o, test.want)
			}
			event := volume.EventRefused
			if test.verb == volume.VerbAttach && test.want == volume.StateError {
				event = volume.EventDrifted
			}
			if e := end.Transition; e.Event != event || !e.Final || e.Failure == nil {
				t.Errorf("got %#v", e)
			}
		})
	}
	for _, verb := range []volume.Verb{volume.VerbCreate, volume.VerbNodeGone} { // nobody is in their way
		s := before(t, verb)
		s.begin(verb)
		s.fail(errHeld)
		if step := fsm.NextStep(s.record); step.Kind != fsm.StepGiveUp {
			t.Errorf("%s: got step %+v, want giving up", verb, step)
		}
	}
}

// before returns a story that is ready for the verb.
func before(t *testing.T, verb volume.Verb) *story {
	t.Helper()
	states := map[volume.Verb]volume.State{
		volume.VerbCreate: volume.StatePending, volume.VerbAdopt: volume.StatePending, volume.VerbDetach: volume.StateAttached,
	}
	state, ok := states[verb]
	if !ok {
		state = volume.StateAvailable
	}
	if verb == volume.VerbFlatten {
		return cloneIn(t, state)
	}
	return in(t, state)
}

func checkFailedAttempt(t *testing.T, d fsm.Decision, busyState volume.State, attempt int) {
	t.Helper()
	e := d.Transition
	if e.Event != volume.EventError || e.From != busyState || e.To != busyState+"_failed" || e.Attempt != attempt || e.Final {
		t.Errorf("attempt %d: got %#v", attempt, e)
	}
	if !e.NextRetryAt.Equal(d.Record.Op.NextRetryAt) || e.Failure == nil || e.Failure.Code != volume.ErrBackendUnavailable || d.Outcome != nil {
		t.Errorf("attempt %d: got next at %s, failure %+v, outcome %v", attempt, e.NextRetryAt, e.Failure, d.Outcome)
	}
}

func events(s *story) string {
	var names []string
	for _, told := range s.told {
		names = append(names, string(told.Event))
	}
	return strings.Join(names, " ")
}

func TestSucceed_AfterFailedAttempts_LeavesNoFailure(t *testing.T) {
	s := in(t, volume.StateAttachingFailed)
	s.retry()
	decision := s.succeed()
	if decision.Transition.Failure != nil || decision.Outcome.Failure != nil || decision.Transition.Attempt != 2 {
		t.Errorf("got %#v, %+v", decision.Transition, decision.Outcome)
	}
}

// TestTransition_Outcome: what an event alone tells of its command's end is what the
// record holds.
func TestTransition_Outcome_IsTheRecordedOne(t *testing.T) {
	ends := map[string]func() fsm.Decision{
		"succeeded":  func() fsm.Decision { return in(t, volume.StateExtending).succeed() },
		"gave up":    func() fsm.Decision { s := in(t, volume.StateDeleting); s.fail(errBroken); return s.giveUp() },
		"cancelled":  func() fsm.Decision { s := in(t, volume.StateDeleting); s.fail(errCancel); return s.settle(absent) },
		"reconciled": func() fsm.Decision { return in(t, volume.StateAvailable).reconcile(absent) },
		"rejected": func() fsm.Decision {
			s := in(t, volume.StateAvailable)
			return s.reject(s.usual(volume.VerbDetach), errBroken)
		},
	}
	for name, end := range ends {
		decision := end()
		got, final := decision.Transition.Outcome()
		if !final || !reflect.DeepEqual(got, *decision.Outcome) {
			t.Errorf("%s: got %+v, %v, want %+v", name, got, final, *decision.Outcome)
		}
	}
	if _, final := in(t, volume.StateCreating).told[0].Outcome(); final {
		t.Error("got a first event that is final")
	}
}

// TestAdvance_OutOfPlace: a step that does not fit the record changes nothing.
func TestAdvance_OutOfPlace(t *testing.T) {
	steps := map[string]struct {
		take func(volume.Record, time.Time) (fsm.Decision, error)
		fits func(volume.State) bool
	}{
		"succeed": {
			func(r volume.Record, now time.Time) (fsm.Decision, error) { return fsm.Succeed(r, on("n1"), now) },
			func(s volume.State) bool { return s.InProgress() && !s.Failed() && s != volume.StateEvicting },
		},
		"evicted": {
			func(r volume.Record, now time.Time) (fsm.Decision, error) {
				return fsm.Evicted(r, present(volume.GiB, nil), now)
			},
			func(s volume.State) bool { return s == volume.StateEvicting },
		},
		"fail": {
			func(r volume.Record, now time.Time) (fsm.Decision, error) {
				return fsm.Fail(r, errBusy, fsm.DefaultRetryPolicy(), now)
			},
			func(s volume.State) bool { return s.InProgress() && !s.Failed() },
		},
		"advance": {
			func(r volume.Record, now time.Time) (fsm.Decision, error) {
				return fsm.Advance(r, volume.Progress{Done: 1, Total: 2}, now)
			},
			func(s volume.State) bool { return s == volume.StateRestoring || s == volume.StateFlattening },
		},
		"retry":   {fsm.Retry, volume.State.Failed},
		"give up": {fsm.GiveUp, volume.State.Failed},
		"settle": {
			func(r volume.Record, now time.Time) (fsm.Decision, error) { return fsm.Settle(r, absent, now) },
			volume.State.Failed,
		},
	}
	for name, step := range steps {
		for _, state := range volume.States() {
			t.Run(fmt.Sprintf("%s in %s", name, state), func(t *testing.T) {
				s := in(t, state)
				given := s.record
				decision, err := s.step(step.take)
				if step.fits(state) {
					if err != nil || decision.Transition == nil {
						t.Errorf("got %v, want a transition", err)
					}
					return
				}
				if volume.CodeOf(err) != volume.ErrInvalidTransition || decision.Transition != nil || decision.Outcome != nil {
					t.Errorf("got %v, %+v, want %v", err, decision.Outcome, volume.ErrInvalidTransition)
				}
				if !reflect.DeepEqual(withoutRoom(decision.Record), withoutRoom(given)) {
					t.Errorf("got another record: %#v", decision.Record)
				}
			})
		}
	}
}

func TestReject_TellsAndAnswersWithoutAGeneration(t *testing.T) {
	s := in(t, volume.StateAttached)
	given := s.record
	command := s.usual(volume.VerbAttach)
	_, why := s.decide(command)
	decision := s.reject(command, why)
	e, o := decision.Transition, decision.Outcome
	if e.Event != volume.EventRejected || e.From != e.To || e.Generation != given.Generation || !e.Final || e.ID != "default.db-01/rejected/"+string(command.ID) {
		t.Errorf("got event %#v", e)
	}
	if o.Result != volume.Rejected || o.Failure.Code != volume.ErrInvalidTransition || o.Failure.Class != volume.FailedPrecondition || o.Digest != command.Digest() {
		t.Errorf("got outcome %+v", o)
	}
	r := decision.Record
	if r.State != given.State || r.Generation != given.Generation || r.CommandSequence != command.Sequence || !reflect.DeepEqual(r.Spec, given.Spec) {
		t.Errorf("got record %#v", r)
	}
	if len(r.Outbox) != len(given.Outbox)+1 || len(r.Outcomes) != len(given.Outcomes)+1 {
		t.Errorf("got %d events and %d outcomes", len(r.Outbox), len(r.Outcomes))
	}
}

// TestReject_LeavesAnothersOperation: without its operation the volume would be stuck.
func TestReject_LeavesAnothersOperation(t *testing.T) {
	s := in(t, volume.StateAttaching)
	running := s.record.Op.CommandID
	command := s.usual(volume.VerbDelete)
	_, why := s.decide(command)
	s.reject(command, why)
	if s.record.Op == nil || s.record.Op.CommandID != running {
		t.Fatalf("got op %+v, want that of %s", s.record.Op, running)
	}
	if end := s.succeed(); end.Outcome.CommandID != running {
		t.Errorf("got the outcome of %s, want that of %s", end.Outcome.CommandID, running)
	}
}

func TestReject_VolumeThatNeverWas(t *testing.T) {
	s := newStory(t)
	command := s.usual(volume.VerbDelete)
	_, why := s.decide(command)
	decision := s.reject(command, why)
	if decision.Outcome.State != "" || decision.Outcome.VolumeID != "" || decision.Outcome.Failure.Code != volume.ErrVolumeNotFound {
		t.Errorf("got %+v, want no state and no id", decision.Outcome)
	}
}
