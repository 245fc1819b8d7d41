package bench

import (
	"context"
	"errors"
	"slices"
	"sync"
	"testing"

	"github.com/jetvol/jetvol/volume"
)

// book is a carrier that notes what is done to each volume, and refuses what a volume
// would.
type book struct {
	mu     sync.Mutex // guards all below
	states map[volume.Key]volume.State
	sizes  map[volume.Key]volume.Bytes
	verbs  map[volume.Verb]int
}

var errOutOfTurn = errors.New("out of turn")

func (b *book) begin(_ context.Context, key volume.Key, d deed) (func(context.Context) error, error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.verbs[d.verb]++
	from := map[volume.Verb]volume.State{
		volume.VerbCreate: "", volume.VerbAttach: volume.StateAvailable, volume.VerbDetach: volume.StateAttached,
		volume.VerbResize: volume.StateAvailable, volume.VerbDelete: volume.StateAvailable,
	}
	to := map[volume.Verb]volume.State{volume.VerbAttach: volume.StateAttached, volume.VerbDelete: volume.StateDeleted}
	if b.states[key] != from[d.verb] {
		return nil, errOutOfTurn
	}
	if b.states[key] = to[d.verb]; b.states[key] == "" {
		b.states[key] = volume.StateAvailable
	}
	if size := d.args.Size; size != 0 {
		if size <= b.sizes[key] {
			return nil, errOutOfTurn
		}
		b.sizes[key] = size
	}
	return func(context.Context) error { return nil }, nil
}

// Every command of every workload has to succeed, or it would measure refusals.
func TestSource_EveryWorkload_GivesWhatVolumesAllow(t *testing.T) {
	for _, workload := range Workloads() {
		t.Run(string(workload), func(t *testing.T) {
			b := &book{states: map[volume.Key]volume.State{}, sizes: map[volume.Key]volume.Bytes{}, verbs: map[volume.Verb]int{}}
			s := newSource(Options{Workload: workload, Seed: 7}, "p", b)
			must(t, s.prepare(t.Context(), 20))
			for range 5 {
				key, deeds := s.ripen(11.5)
				if workload != Hot && !workload.stays() {
					key, deeds = s.sample()
				}
				for _, d := range deeds {
					must(t, s.give(t.Context(), key, d))
				}
				for range 101 { // so that volumes are left in the middle of what is done to them
					must(t, s.step(t.Context()))
				}
			}
			must(t, s.finish(t.Context()))
			for key, state := range b.states {
				if workload.stays() && state != volume.StateAvailable {
					t.Errorf("volume %s: got left %s, want available", key, state)
				}
			}
			given, done := s.counts.both()
			for verb, n := range b.verbs {
				if given[verb] != n || done[verb] != n {
					t.Errorf("%s: got %d given and %d done, want %d", verb, given[verb], done[verb], n)
				}
			}
			if created := b.verbs[volume.VerbCreate]; created != len(b.states) {
				t.Errorf("got %d creates of %d volumes", created, len(b.states))
			}
		})
	}
}

func TestSource_SameSeed_SameCommands(t *testing.T) {
	scripts := func(seed uint64) (all []int) {
		s := newSource(Options{Workload: Mixed, Seed: seed}, "p", nil)
		for range 50 {
			all = append(all, len(s.take().deeds))
		}
		return all
	}
	if one, two := scripts(3), scripts(3); !slices.Equal(one, two) {
		t.Errorf("got %v and %v", one, two)
	}
	if one, two := scripts(3), scripts(4); slices.Equal(one, two) {
		t.Errorf("got the same for another seed: %v", one)
	}
}

func TestOptions_Validate_RefusesWhatCannotBeMeasured(t *testing.T) {
	for name, o := range map[string]Options{
		"two servers":             {Servers: 2},
		"replicas of a given":     {Target: &Target{}, Servers: 3},
		"sync of a given":         {Target: &Target{}, Sync: SyncAlways},
		"no workers":              {Workers: -1},
		"nothing in flight":       {InFlight: []int{64, 0}},
		"no such workload":        {Workload: "everything"},
		"no such backend":         {Backend: "floppy"},
		"delay of the local":      {Backend: "local", BackendDelay: 1},
		"fewer volumes than used": {Workload: Attach, Volumes: 8, InFlight: []int{16}},
		"rate below nothing":      {Rate: -1},
	} {
		if err := o.Validate(); !errors.Is(err, volume.ErrInvalidArgument) {
			t.Errorf("%s: got %v, want %v", name, err, volume.ErrInvalidArgument)
		}
	}
	must(t, Options{}.Validate())
}

func must(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}
