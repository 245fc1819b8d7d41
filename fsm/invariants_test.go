package fsm_test

import (
	"fmt"
	"reflect"
	"slices"
	"time"

	"github.com/jetvol/jetvol/fsm"
	"github.com/jetvol/jetvol/volume"
)

// checker holds one volume's decisions, one after the other, against what must always be
// true. It knows nothing of the table.
type checker struct {
	generation uint64
	state      volume.State
	open       volume.CommandID // begun and not answered
	answered   map[volume.CommandID]bool
	chainChecker
}

func newChecker() *checker {
	return &checker{state: volume.StatePending, answered: map[volume.CommandID]bool{}}
}

// check takes the next decision into account and returns what is wrong with it.
func (c *checker) check(d fsm.Decision) error {
	if d.Transition != nil {
		if err := c.checkEvent(d); err != nil {
			return err
		}
	}
	if d.Outcome != nil {
		if err := c.checkOutcome(d); err != nil {
			return err
		}
	}
	r := d.Record
	if r.State != c.state || r.Generation != c.generation {
		return fmt.Errorf("record is %s at generation %d, its events say %s at %d", r.State, r.Generation, c.state, c.generation)
	}
	if r.State.InProgress() != (r.Op != nil) {
		return fmt.Errorf("in %s with operation %v", r.State, r.Op != nil)
	}
	if (r.Op == nil) != (c.open == "") || r.Op != nil && r.Op.CommandID != c.open {
		return fmt.Errorf("operation %+v, but command %q is not answered", r.Op, c.open)
	}
	if err := c.checkChain(d); err != nil {
		return err
	}
	return checkAttachment(r)
}

func (c *checker) checkEvent(d fsm.Decision) error {
	e := d.Transition
	if outbox := d.Record.Outbox; len(outbox) == 0 || !reflect.DeepEqual(outbox[len(outbox)-1], *e) {
		return fmt.Errorf("event %s is not the last of the outbox", e.ID)
	}
	wantGeneration, wantID := c.generation+1, fmt.Sprintf("%s/%d", d.Record.Key, c.generation+1)
	if e.Event == volume.EventRejected {
		wantGeneration, wantID = c.generation, fmt.Sprintf("%s/rejected/%s", d.Record.Key, e.CommandID)
		if e.To != e.From {
			return fmt.Errorf("rejected from %s to %s", e.From, e.To)
		}
	}
	if e.Generation != wantGeneration || e.ID != wantID {
		return fmt.Errorf("event %s of generation %d after generation %d", e.ID, e.Generation, c.generation)
	}
	if e.From != c.state {
		return fmt.Errorf("event %s begins in %s, the last one ended in %s", e.ID, e.From, c.state)
	}
	if begins := e.Event == volume.EventCreate || e.Event == volume.EventRecreate; begins {
		if want := volume.NewID(e.Key, e.Generation); e.VolumeID != want || d.Record.ID != want {
			return fmt.Errorf("event %s begins the life of %s, record %s, want %s", e.ID, e.VolumeID, d.Record.ID, want)
		}
	}
	if e.Final != (d.Outcome != nil) {
		return fmt.Errorf("event %s: final %v, outcome %v", e.ID, e.Final, d.Outcome)
	}
	if !reflect.DeepEqual(e.Spec, d.Record.Spec) {
		return fmt.Errorf("event %s tells %+v, the record %+v", e.ID, e.Spec, d.Record.Spec)
	}
	if e.Event != volume.EventRejected {
		c.open = e.CommandID
	}
	c.generation, c.state = e.Generation, e.To
	return nil
}

func (c *checker) checkOutcome(d fsm.Decision) error {
	o := *d.Outcome
	if c.answered[o.CommandID] {
		return fmt.Errorf("command %s is answered twice", o.CommandID)
	}
	c.answered[o.CommandID] = true
	if (o.Result == volume.Succeeded) != (o.Failure == nil) {
		return fmt.Errorf("command %s %s with failure %v", o.CommandID, o.Result, o.Failure)
	}
	if d.Transition != nil && d.Transition.Event != volume.EventRejected {
		if told, _ := d.Transition.Outcome(); !reflect.DeepEqual(told, o) {
			return fmt.Errorf("event %s answers %+v, the record %+v", d.Transition.ID, told, o)
		}
	}
	if outcomes := d.Record.Outcomes; len(outcomes) == 0 || !reflect.DeepEqual(outcomes[len(outcomes)-1], o) {
		return fmt.Errorf("outcome of %s is not the last of the record", o.CommandID)
	}
	if o.Generation != c.generation || d.Record.ID != "" && o.State != c.state {
		return fmt.Errorf("outcome of %s tells %s at %d, it is %s at %d", o.CommandID, o.State, o.Generation, c.state, c.generation)
	}
	if c.open == o.CommandID {
		c.open = ""
	}
	return nil
}

// mayBeHeld are the states in which a node may hold the volume.
var mayBeHeld = []volume.State{
	volume.StateAttaching, volume.StateAttachingFailed, // by nodes that share it
	volume.StateAttached, volume.StateDetaching, volume.StateDetachingFailed,
	volume.StateExtending, volume.StateExtendingFailed,
	volume.StateEvicting, volume.StateEvictingFailed,
	volume.StateSnapshotting, volume.StateSnapshottingFailed,
	volume.StatePruning, volume.StatePruningFailed,
	volume.StateFlattening, volume.StateFlatteningFailed,
	volume.StateError, volume.StateDeleting, volume.StateDeletingFailed, // a broken one, and its discarding
}

func checkAttachment(r volume.Record) error {
	if len(r.Attachments) > 0 && !slices.Contains(mayBeHeld, r.State) {
		return fmt.Errorf("in %s held by %s", r.State, r.Attachments)
	}
	if len(r.Attachments) == 0 && r.State == volume.StateAttached {
		return fmt.Errorf("attached to no node")
	}
	if sharing := r.State == volume.StateAttaching || r.State == volume.StateAttachingFailed; sharing && !r.Attachments.ReadOnly() {
		return fmt.Errorf("in %s beside a writer: %s", r.State, r.Attachments)
	}
	return r.Attachments.Validate()
}

// advance takes one step of an operation, with what the backend answers.
type advance func(volume.Record, time.Time) (fsm.Decision, error)

// checkEnds drives an operation on and returns an error unless it ends, within as many
// steps as the policy allows.
func checkEnds(record volume.Record, policy fsm.RetryPolicy, next advance) error {
	now := epoch
	most := 3*policy.MaxAttempts + 2 // act, fail and wait for each, then settle or give up
	for range most {
		step := fsm.NextStep(record)
		if step.Kind == fsm.StepNone {
			break
		}
		if step.Until.After(now) {
			now = step.Until
		}
		decision, err := next(record, now)
		if err != nil {
			return fmt.Errorf("in %s at step %+v: %w", record.State, step, err)
		}
		record = decision.Record
	}
	if record.State.InProgress() || record.Op != nil {
		return fmt.Errorf("still %s after %d steps", record.State, most)
	}
	return nil
}

// follow returns the advance that the worker makes if the backend always answers so.
func follow(policy fsm.RetryPolicy, answer error, seen fsm.Observation) advance {
	return func(record volume.Record, now time.Time) (fsm.Decision, error) {
		switch fsm.NextStep(record).Kind {
		case fsm.StepAct:
			if answer != nil {
				return fsm.Fail(record, answer, policy, now)
			}
			if record.Op.Verb == volume.VerbNodeGone {
				return fsm.Evicted(record, present(record.Size, nil), now)
			}
			return fsm.Succeed(record, onAs(record.Op.Args.Node, record.Op.Args.Mode), now)
		case fsm.StepWait:
			return fsm.Retry(record, now)
		case fsm.StepSettle:
			return fsm.Settle(record, seen, now)
		default:
			return fsm.GiveUp(record, now)
		}
	}
}
