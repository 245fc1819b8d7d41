package audit

import (
	"fmt"
	"strconv"
	"strings"

	"github.com/jetvol/jetvol/fsm"
	"github.com/jetvol/jetvol/volume"
)

// state is how far the events of one volume have come. It is what is remembered of each.
type state struct {
	hash       digest
	content    content
	generation uint64
	sequence   uint64
	// before is the generation before which nothing is proven, since events have aged out;
	// 0 if all is.
	before    uint64
	life      uint64 // the generation in the volume's id; 0 if it has none
	to        uint8  // its number among the states
	mayExpire bool
	// begun says that there was an event, or that the checkpoint is where to begin.
	begun bool
	// chained says that an event had a previous: from then on each must.
	chained bool
	// anchored says that the checkpoint's event still has to come: it has not aged out.
	anchored bool
	suspect  bool // it does not fit, and nothing further is expected to
	recorded bool // its record was seen
	// unchained counts events without a previous behind the first.
	unchained uint32
}

var stateNumbers = func() map[volume.State]uint8 {
	numbers := map[volume.State]uint8{}
	for i, s := range volume.States() {
		numbers[s] = uint8(i + 1)
	}
	return numbers
}()

func stateOf(number uint8) volume.State {
	if number == 0 {
		return ""
	}
	return volume.States()[number-1]
}

// trouble is an event that does not fit behind the one before.
type trouble struct {
	kind   Kind // what it looks like, seen from here
	detail string
}

// rules are how a volume's first event is met.
type rules struct {
	// aged says that the stream does not begin with the first event ever stored, and headLost
	// that no checkpoint knows all that was before.
	aged, headLost bool
}

// take puts an event behind the last one. It returns nil if the event fits.
func (s *state) take(e *entry, r rules) *trouble {
	t := s.check(e, r)
	if t == nil {
		s.move(e)
	}
	return t
}

func (s *state) move(e *entry) {
	if s.begun && e.previous == (digest{}) {
		s.unchained++
	}
	s.chained = s.chained || e.previous != (digest{})
	s.begun = true
	s.hash, s.content, s.generation, s.sequence = e.hash, e.content, e.generation, e.sequence
	s.life, _ = lifeOf(e.volume, e.life)
	s.to, s.mayExpire = stateNumbers[e.to], e.mayExpire()
}

func (s *state) check(e *entry, r rules) *trouble {
	if e.fault != "" {
		return &trouble{e.fault, e.detail}
	}
	if !s.begun {
		return s.first(e, r)
	}
	if t := s.link(e); t != nil {
		return t
	}
	want := s.generation
	if !e.rejected() {
		want++
	}
	switch {
	case e.generation > want:
		return &trouble{MissingEvent, fmt.Sprintf("it comes after generation %d", s.generation)}
	case e.generation < want:
		return &trouble{DoubledEvent, fmt.Sprintf("it comes after generation %d", s.generation)}
	}
	return s.passage(e)
}

// first meets the first event of a volume.
func (s *state) first(e *entry, r rules) *trouble {
	if r.aged && s.anchored {
		return nil // the checkpoint vouches for what was before
	}
	if r.headLost {
		if e.previous != (digest{}) || e.generation > 1 || e.generation == 1 && e.rejected() {
			s.before = max(e.generation, 1)
		}
		return nil
	}
	want := uint64(1)
	if e.rejected() {
		want = 0
	}
	switch {
	case e.generation > want:
		return &trouble{MissingEvent, "it is the volume's first event on the stream"}
	case e.previous != digest{}:
		return &trouble{MissingEvent, "it is the volume's first event on the stream, and another was before it"}
	}
	s.to = stateNumbers[volume.StatePending]
	return s.passage(e)
}

// link checks that the event names the one before it by its hash.
func (s *state) link(e *entry) *trouble {
	switch {
	case e.previous == s.hash:
		return nil
	case e.previous == digest{} && !s.chained:
		return nil // both are of a build before the chain
	case e.previous == digest{}:
		return &trouble{AlteredEvent, "it has no previous, and those before it have"}
	default:
		return &trouble{AlteredEvent, fmt.Sprintf("its previous is %s…, the event before it has %s…", e.previous.short(), s.hash.short())}
	}
}

// passage checks that the state machine leads from the last event to this one.
func (s *state) passage(e *entry) *trouble {
	from := stateOf(s.to)
	switch {
	case e.from != from && !recordLost(from, e.from):
		return &trouble{BadTransition, fmt.Sprintf("it is from %s, the event before it led to %s", e.from, from)}
	case e.rejected() && e.to != e.from:
		return &trouble{BadTransition, fmt.Sprintf("a refusal led from %s to %s", e.from, e.to)}
	case !e.rejected() && !fsm.Allowed(e.from, e.event, e.to):
		return &trouble{BadTransition, fmt.Sprintf("no transition %s leads from %s to %s", e.event, e.from, e.to)}
	}
	return s.identity(e)
}

// recordLost reports whether a worker may have gone on from another state than the last event
// led to: one that has lost the record in the middle of an operation takes the volume for broken.
func recordLost(last, from volume.State) bool { return last.InProgress() && from == volume.StateError }

// identity checks that an id belongs to the volume, and that a new one is made of the
// generation: so no two lives have the same.
func (s *state) identity(e *entry) *trouble {
	life, ok := lifeOf(e.volume, e.life)
	switch {
	case !ok:
		return &trouble{BadTransition, fmt.Sprintf("volume id %s is not the volume's", e.life)}
	case life == 0, life == s.life, life == e.generation && !e.rejected():
		return nil
	}
	return &trouble{BadTransition, fmt.Sprintf("volume id %s: it was not the volume's, nor is it made by this event", e.life)}
}

// lifeOf returns the generation in a volume's id, 0 if it has none.
func lifeOf(name string, id volume.ID) (generation uint64, ok bool) {
	if id == "" {
		return 0, true
	}
	number, ok := strings.CutPrefix(string(id), name+".")
	if !ok {
		return 0, false
	}
	generation, err := strconv.ParseUint(number, 10, 64)
	return generation, err == nil && generation > 0
}
