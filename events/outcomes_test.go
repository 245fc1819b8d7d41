package events_test

import (
	"errors"
	"reflect"
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
