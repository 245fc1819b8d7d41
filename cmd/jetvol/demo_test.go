package main

import (
	"context"
	"errors"
	"strings"
	"testing"

	"github.com/jetvol/jetvol/events"
	"github.com/jetvol/jetvol/volume"
)

// played is a life of the demo's volume as its events tell it.
func played() []volume.Transition {
	var told []volume.Transition
	for _, step := range demoLife {
		for i, want := range step.want {
			told = append(told, volume.Transition{
				Event: want.event, From: want.from, To: want.to, Generation: uint64(len(told) + 1),
				CommandID: volume.CommandID(step.verb), Final: i == len(step.want)-1,
			})
		}
	}
	return told
}

func follow(told []volume.Transition) error {
	run := &demoRun{
		show: func(volume.Transition) {},
		next: func() (events.Stored, error, bool) {
			if len(told) == 0 {
				return events.Stored{}, nil, false
			}
			event := events.Stored{Envelope: events.Wrap(told[0])}
			told = told[1:]
			return event, nil, true
		},
	}
	for _, step := range demoLife {
		if err := run.follow(context.Background(), step, volume.CommandID(step.verb)); err != nil {
			return err
		}
	}
	return nil
}

func TestDemoRun_EventsAsExpected_Nil(t *testing.T) {
	if err := follow(played()); err != nil {
		t.Errorf("got %v, want nil", err)
	}
}

func TestDemoRun_PlantedFault_Noticed(t *testing.T) {
	for name, plant := range map[string]func([]volume.Transition) []volume.Transition{
		"missing event":       func(told []volume.Transition) []volume.Transition { return append(told[:3:3], told[4:]...) },
		"double event":        func(told []volume.Transition) []volume.Transition { return append(told[:4:4], told[3:]...) },
		"wrong event":         func(told []volume.Transition) []volume.Transition { told[1].Event = volume.EventError; return told },
		"wrong from":          func(told []volume.Transition) []volume.Transition { told[5].From = volume.StateAttached; return told },
		"wrong to":            func(told []volume.Transition) []volume.Transition { told[9].To = volume.StateError; return told },
		"generation skipped":  func(told []volume.Transition) []volume.Transition { told[6].Generation++; return told },
		"another's command":   func(told []volume.Transition) []volume.Transition { told[2].CommandID = "x"; return told },
		"not the final event": func(told []volume.Transition) []volume.Transition { told[9].Final = false; return told },
		"early end":           func(told []volume.Transition) []volume.Transition { return told[:9] },
	} {
		t.Run(name, func(t *testing.T) {
			if err := follow(plant(played())); err == nil {
				t.Error("got nil, want an error")
			}
		})
	}
}

func TestDemoRun_EventShowsFailure_ErrorTellsIt(t *testing.T) {
	told := played()
	told[1].Event, told[1].Failure = volume.EventError, volume.NewFailure(errors.New("disk on fire"))
	if err := follow(told); err == nil || !strings.Contains(err.Error(), "disk on fire") {
		t.Errorf("got %v, want it to tell the cause", err)
	}
}
