package bench

import (
	"fmt"
	"maps"
	"sync"

	"github.com/jetvol/jetvol/volume"
)

// tally counts commands by verb.
type tally struct {
	mu    sync.Mutex // guards both below
	given map[volume.Verb]int
	done  map[volume.Verb]int
}

func (t *tally) sent(verb volume.Verb) {
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.given == nil {
		t.given, t.done = map[volume.Verb]int{}, map[volume.Verb]int{}
	}
	t.given[verb]++
}

func (t *tally) ended(verb volume.Verb) {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.done[verb]++
}

// all returns how many commands were answered.
func (t *tally) all() int {
	t.mu.Lock()
	defer t.mu.Unlock()
	sum := 0
	for _, n := range t.done {
		sum += n
	}
	return sum
}

// both returns copies of what was sent and what was answered.
func (t *tally) both() (given, done map[volume.Verb]int) {
	t.mu.Lock()
	defer t.mu.Unlock()
	return maps.Clone(t.given), maps.Clone(t.done)
}

// stored is what lies on the server about one project.
type stored struct {
	commands int // not acknowledged
	records  int
	events   int
}

// without returns what is there beyond that.
func (s stored) without(had stored) stored {
	return stored{s.commands - had.commands, s.records - had.records, s.events - had.events}
}

// verify compares what was sent, what was answered and what is stored: a benchmark that
// loses commands measures nothing. Templates say how many events each verb has.
func verify(t *tally, templates map[volume.Verb]Template, got stored) error {
	given, done := t.both()
	want := stored{records: given[volume.VerbCreate]}
	for verb, n := range given {
		if done[verb] != n {
			return fmt.Errorf("%d of %d commands %s were answered", done[verb], n, verb)
		}
		want.events += n * templates[verb].events()
	}
	if got != want {
		return fmt.Errorf("after %v commands the server has %s, want %s", given, got, want)
	}
	return nil
}

// String returns "0 commands, 5 records and 10 events".
func (s stored) String() string {
	return fmt.Sprintf("%d commands, %d records and %d events", s.commands, s.records, s.events)
}
