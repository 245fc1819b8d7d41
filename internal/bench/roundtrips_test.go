package bench

import (
	"context"
	"errors"
	"testing"

	"github.com/HdrHistogram/hdrhistogram-go"

	"github.com/jetvol/jetvol/commands"
	"github.com/jetvol/jetvol/volume"
)

// TestTripper_AfterCommandsOfTheCeiling_ItsCommandsAreStored: a command that the stream takes for
// a duplicate is not stored, and so its round trip is not that of a create's command.
func TestTripper_AfterCommandsOfTheCeiling_ItsCommandsAreStored(t *testing.T) {
	l := newLimits(t)
	ctx, cancel := context.WithTimeout(t.Context(), testLimit)
	defer cancel()
	l.source.workload = Create
	l.rememberIDs(ctx, t)
	const trips = 5
	for range trips {
		must(t, l.source.step(ctx))
	}
	trip, err := newTripper(l.js.Conn(), l.js.Conn(), l.js, l.bare, testProject)
	must(t, err)
	last := func() uint64 {
		queue, err := l.js.Stream(ctx, renaming.Replace(commands.StreamName))
		must(t, err)
		return queue.CachedInfo().State.LastSeq
	}
	before := last()
	template := templates[volume.VerbCreate]
	legs := make([]*hdrhistogram.Histogram, len(template.Writes)+2)
	for i := range legs {
		legs[i] = newHistogram()
	}
	for range trips {
		must(t, trip.once(ctx, template, legs, newHistogram()))
	}
	if got := last() - before; got != trips {
		t.Errorf("commands stored by %d round trips: got %d", trips, got)
	}
}

// rememberIDs makes the work queue know ids of commands for longer than a test takes.
func (l *limits) rememberIDs(ctx context.Context, t *testing.T) {
	t.Helper()
	queue, err := l.js.Stream(ctx, renaming.Replace(commands.StreamName))
	must(t, err)
	config := queue.CachedInfo().Config
	config.Duplicates = 2 * testLimit
	_, err = l.js.UpdateStream(ctx, config)
	must(t, err)
}

// What is not stored takes less time, so both have to tell it.
func TestCommand_IDThatWasThere_IsAnError(t *testing.T) {
	l := newLimits(t)
	ctx, cancel := context.WithTimeout(t.Context(), testLimit)
	defer cancel()
	l.rememberIDs(ctx, t)
	trip, err := newTripper(l.js.Conn(), l.js.Conn(), l.js, l.bare, testProject)
	must(t, err)
	key := volume.Key{Project: testProject, Name: "v"}
	for try, want := range []error{nil, errDuplicate} { // the serial stays as it is
		if err := trip.command(ctx, key, templates[volume.VerbCreate]); !errors.Is(err, want) {
			t.Errorf("round trip, time %d: got %v, want %v", try+1, err, want)
		}
	}
	for try, want := range []error{nil, errDuplicate} {
		l.bare.serial.Store(0)
		if err := l.source.give(ctx, volume.Key{Project: testProject, Name: "w"}, []deed{createIt, attachIt}[try]); !errors.Is(err, want) {
			t.Errorf("ceiling, time %d: got %v, want %v", try+1, err, want)
		}
	}
}
