package fsm_test

import (
	"errors"
	"fmt"
	"time"

	"github.com/jetvol/jetvol/fsm"
	"github.com/jetvol/jetvol/volume"
)

// A worker's loop, with a backend that is busy once. Time is only told, never waited for.
func Example() {
	calls := 0
	backend := func() error {
		if calls++; calls == 1 {
			return volume.BackendError(fmt.Errorf("image locked: %w", volume.Busy))
		}
		return nil
	}
	now := time.Date(2026, 3, 1, 12, 0, 0, 0, time.UTC)
	record := volume.Record{Key: volume.Key{Project: "default", Name: "db-01"}, State: volume.StatePending}
	command := volume.Command{ID: "c-1", Key: record.Key, Verb: volume.VerbCreate, Args: volume.Args{Size: volume.GiB}}

	decision, err := fsm.Decide(record, command, now)
	for err == nil {
		record = decision.Record // stored by compare-and-set, then the event is published
		fmt.Println(decision.Transition.Generation, decision.Transition.Event, record.State)
		switch step := fsm.NextStep(record); step.Kind {
		case fsm.StepAct:
			if fault := backend(); fault != nil {
				decision, err = fsm.Fail(record, fault, fsm.DefaultRetryPolicy(), now)
			} else {
				decision, err = fsm.Succeed(record, nil, now)
			}
		case fsm.StepWait:
			now = step.Until
			decision, err = fsm.Retry(record, now)
		case fsm.StepGiveUp:
			decision, err = fsm.GiveUp(record, now)
		case fsm.StepSettle:
			decision, err = fsm.Settle(record, fsm.Observation{}, now)
		case fsm.StepNone:
			fmt.Println(decision.Outcome.Result, record.ID)
			return
		}
	}
	// Output:
	// 1 create creating
	// 2 error creating_failed
	// 3 retry creating
	// 4 ready available
	// succeeded default.db-01.1
}

func ExampleDecide_refused() {
	record := volume.Record{Key: volume.Key{Project: "default", Name: "db-01"}, ID: "default.db-01.1", State: volume.StateAvailable}
	_, err := fsm.Decide(record, volume.Command{ID: "c-2", Key: record.Key, Verb: volume.VerbDetach}, time.Now())
	fmt.Println(err)
	fmt.Println(errors.Is(err, volume.ErrInvalidTransition), volume.ClassOf(err).Retryable())
	// Output:
	// detach volume default.db-01 in state available: invalid_transition
	// true false
}
