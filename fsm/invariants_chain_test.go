package fsm_test

import (
	"fmt"
	"reflect"
	"slices"

	"github.com/jetvol/jetvol/fsm"
	"github.com/jetvol/jetvol/volume"
)

// chainChecker is the part of the checker that is about snapshots and clones.
type chainChecker struct {
	spec  volume.Spec      // of the decision before
	about *volume.Snapshot // what the operation told first that it is about
}

// checkChain takes the decision into account and returns what is wrong with it.
func (c *chainChecker) checkChain(d fsm.Decision) error {
	before := c.spec
	c.spec = d.Record.Spec
	if n := d.Record.Snapshots; n < 0 {
		return fmt.Errorf("%d snapshots", n)
	}
	e := d.Transition
	if e == nil || e.Event == volume.EventRejected {
		if !reflect.DeepEqual(before, d.Record.Spec) {
			return fmt.Errorf("without a transition %+v became %+v", before, d.Record.Spec)
		}
		return nil
	}
	if err := checkLineage(before, *e); err != nil {
		return err
	}
	if err := checkHalf(before.HalfRestored, *e); err != nil {
		return err
	}
	if err := c.checkAbout(*e); err != nil {
		return err
	}
	return checkProgress(*e)
}

// newLife are the events that say anew what a volume is.
var newLife = []volume.Event{volume.EventCreate, volume.EventRecreate}

// checkLineage: a volume stays a clone until it is flattened, and a view for ever.
func checkLineage(before volume.Spec, e volume.Transition) error {
	if slices.Contains(newLife, e.Event) || e.Event == volume.EventAdopted {
		return nil
	}
	want := before.Source
	if e.Event == volume.EventFlattened {
		want = volume.SnapshotKey{}
	}
	if e.Spec.Source != want || e.Spec.ReadOnly != before.ReadOnly {
		return fmt.Errorf("event %s: of %q, read only %t, was of %q, %t", e.ID, e.Spec.Source, e.Spec.ReadOnly, before.Source, before.ReadOnly)
	}
	return nil
}

// keepOff are the events that begin what is not done with a volume of two times.
var keepOff = []volume.Event{volume.EventAttach, volume.EventShare, volume.EventSnapshot, volume.EventExtend}

// checkHalf: only an attempt of a restore marks a volume as half restored, and only one that
// ends well, or a new life, clears it.
func checkHalf(before volume.SnapshotName, e volume.Transition) error {
	half := e.Spec.HalfRestored
	clears := e.Event == volume.EventRestored || slices.Contains(newLife, e.Event)
	marks := e.Verb == volume.VerbRestore && e.From == volume.StateRestoring && e.Snapshot != nil && half == e.Snapshot.Name
	switch {
	case e.Event == volume.EventAdopted && half == "": // another life, or the same one
	case clears && half != "":
		return fmt.Errorf("event %s leaves it half restored from %s", e.ID, half)
	case !clears && before != half && !marks:
		return fmt.Errorf("event %s: half restored from %q, was %q", e.ID, half, before)
	case before != "" && slices.Contains(keepOff, e.Event):
		return fmt.Errorf("event %s of a volume that is half restored from %s", e.ID, before)
	}
	return nil
}

// checkAbout: every event of an operation about a snapshot tells the same of it; one that
// makes a snapshot gives it an id that no other has.
func (c *chainChecker) checkAbout(e volume.Transition) error {
	begun := map[volume.Event]bool{volume.EventSnapshot: true, volume.EventPrune: true, volume.EventRestore: true}
	if begun[e.Event] {
		c.about = e.Snapshot
		id, size := volume.ID(""), keptSize
		if e.Event == volume.EventSnapshot {
			id, size = volume.NewID(e.Key, e.Generation), e.Spec.Size
		}
		if e.Snapshot == nil || e.Snapshot.Name == "" || e.Snapshot.ID != id || e.Snapshot.Size != size {
			return fmt.Errorf("event %s is about %+v, want id %q of %s", e.ID, e.Snapshot, id, size)
		}
	}
	verbs := []volume.Verb{volume.VerbSnapshot, volume.VerbDeleteSnapshot, volume.VerbRestore}
	switch {
	case !slices.Contains(verbs, e.Verb) && e.Snapshot != nil:
		return fmt.Errorf("event %s of %s tells of %+v", e.ID, e.Verb, e.Snapshot)
	case slices.Contains(verbs, e.Verb) && !reflect.DeepEqual(e.Snapshot, c.about):
		return fmt.Errorf("event %s is about %+v, its operation about %+v", e.ID, e.Snapshot, c.about)
	}
	return nil
}

// checkProgress: progress is told by its own event alone, which moves and ends nothing.
func checkProgress(e volume.Transition) error {
	switch {
	case (e.Event == volume.EventProgress) != (e.Progress != nil):
		return fmt.Errorf("event %s tells progress %v", e.ID, e.Progress)
	case e.Progress != nil && (e.From != e.To || e.Final || e.Failure != nil):
		return fmt.Errorf("progress %s from %s to %s, final %t, error %v", e.ID, e.From, e.To, e.Final, e.Failure)
	}
	return nil
}
