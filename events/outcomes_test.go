package events_test

import (
	"errors"
	"reflect"
	"slices"
	"testing"

	"github.com/jetvol/jetvol/events"
	"github.com/jetvol/jetvol/volume"
)

// TestOutcomes: the answers of commands that did something, and of nothing else.
func TestOutcomes(t *testing.T) {
	tr := newTrail(t)
	failure := &volume.Failure{Code: volume.ErrBackendInternal, Class: volume.Internal, Message: "bad image"}
	last := uint64(0)
	tell := func(event volume.Transition, command volume.CommandID, change func(*volume.Transition)) {
		event.CommandID = command
		change(&event)
		last = tr.publish(event, last)
	}
	goesOn := func(*volume.Transition) {}
	ends := func(e *volume.Transition) { e.Final, e.To = true, volume.StateAvailable }
	fails := func(e *volume.Transition) { e.Final, e.To, e.Failure = true, volume.StateError, failure }

	tell(transition(dbKey, 1, volume.EventCreate), "c-1", goesOn)
	tell(transition(dbKey, 2, volume.EventReady), "c-1", ends)
	tell(refusal(dbKey, 2, "c-2"), "c-2", goesOn)
	tell(transition(dbKey, 3, volume.EventAttach), "c-3", goesOn)
	tell(transition(dbKey, 4, volume.EventError), "c-3", goesOn)
	tell(transition(dbKey, 5, volume.EventFail), "c-3", fails)
	tell(transition(dbKey, 6, volume.EventReconciled), "c-4", ends)
	tr.publish(transition(webKey, 1, volume.EventReady), 0)

	var got []volume.Outcome
	for outcome, err := range events.Outcomes(testContext(t), tr.js, dbKey) {
		if err != nil {
			t.Fatal(err)
		}
		got = append(got, outcome)
	}
	id := volume.NewID(dbKey, 1)
	want := []volume.Outcome{
		{CommandID: "c-1", Digest: "d1", Verb: "create", Result: volume.Succeeded, State: volume.StateAvailable, Generation: 2, VolumeID: id},
		{CommandID: "c-2", Digest: "d1", Verb: "create", Result: volume.Rejected, State: volume.StatePending, Generation: 2, VolumeID: id},
		{CommandID: "c-3", Digest: "d1", Verb: "create", Result: volume.Failed, State: volume.StateError, Generation: 5, VolumeID: id, Failure: failure},
		{CommandID: "c-4", Digest: "d1", Verb: "create", Result: volume.Succeeded, State: volume.StateAvailable, Generation: 6, VolumeID: id},
	}
	if !reflect.DeepEqual(got, want) {
		t.Errorf("got %+v, want %+v", got, want)
	}
	for outcome := range events.Outcomes(testContext(t), tr.js, dbKey) { // it may be broken off
		if outcome.CommandID != "c-1" {
			t.Errorf("got %s first, want c-1", outcome.CommandID)
		}
		break
	}
}

// An event that can end a command and is not read would have the command done again, if it
// comes again after its volume's tombstone has expired.
func TestOutcomes_EveryEventThatCanEndACommand_IsRead(t *testing.T) {
	goOn := []volume.Event{ // with these a command never ends
		volume.EventCreate, volume.EventRecreate, volume.EventAttach, volume.EventShare, volume.EventDetach,
		volume.EventDelete, volume.EventDiscard, volume.EventExtend, volume.EventEvict, volume.EventError, volume.EventRetry,
	}
	tr := newTrail(t)
	var want []volume.CommandID
	last := uint64(0)
	for i, event := range volume.Events() {
		e := transition(dbKey, uint64(i+1), event)
		e.CommandID, e.Final = volume.CommandID(event), !slices.Contains(goOn, event)
		last = tr.publish(e, last)
		if e.Final {
			want = append(want, e.CommandID)
		}
	}
	var got []volume.CommandID
	for outcome, err := range events.Outcomes(testContext(t), tr.js, dbKey) {
		if err != nil {
			t.Fatal(err)
		}
		got = append(got, outcome.CommandID)
	}
	if !slices.Equal(got, want) {
		t.Errorf("got answers told by %v, want by %v", got, want)
	}
}

func TestOutcomes_UndecodableEventEndsIt(t *testing.T) {
	tr := newTrail(t)
	if _, err := tr.js.Publish(testContext(t), events.PublishSubject(dbKey, volume.EventReady), []byte("junk")); err != nil {
		t.Fatal(err)
	}
	count := 0
	for _, err := range events.Outcomes(testContext(t), tr.js, dbKey) {
		if count++; !errors.Is(err, volume.ErrInvalidPayload) {
			t.Errorf("got %v, want %v", err, volume.ErrInvalidPayload)
		}
	}
	if count != 1 {
		t.Errorf("got %d answers, want the error alone", count)
	}
}
