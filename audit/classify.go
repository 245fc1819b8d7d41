package audit

import (
	"fmt"

	"github.com/jetvol/jetvol/volume"
)

// classify gives a name to what is wrong at the i-th event, the first that does not fit
// behind s, now that all the volume's events are known. What is missing before an event that
// only the outbox has is missing for the record.
func (seen *sight) classify(i int, s *state, t *trouble) *Fault {
	fault := seen.misfit(i, s, t)
	if fault.Kind == MissingEvent && seen.events[i].sequence == 0 {
		fault.Kind = EventMissingForRecord
	}
	return fault
}

func (seen *sight) misfit(i int, s *state, t *trouble) *Fault {
	e := &seen.events[i]
	switch {
	case e.fault != "":
		return seen.fault(e.fault, e, "%s", e.detail)
	case seen.cameBefore(i):
		return seen.fault(DoubledEvent, e, "the same event came before; %s", t.detail)
	case e.previous != digest{} && s.begun && e.previous != s.hash:
		return seen.brokenLink(i, s, t)
	case t.kind == MissingEvent:
		return seen.gap(i, s, t)
	case seen.disowned(i):
		return seen.fault(AlteredEvent, e, "%s; and it is not the event that its successor names", t.detail)
	case t.kind == DoubledEvent:
		return seen.fault(BadTransition, e, "generation %d again: %s", e.generation, t.detail)
	default:
		return seen.fault(t.kind, e, "%s", t.detail)
	}
}

// cameBefore reports whether an event with the same bytes, or of the same transition, stands
// further ahead.
func (seen *sight) cameBefore(i int) bool {
	e := &seen.events[i]
	for j := range i {
		before := &seen.events[j]
		if before.hash == e.hash || !e.rejected() && before.id == e.id {
			return true
		}
	}
	return false
}

// brokenLink names what is wrong where an event does not name the one before it.
func (seen *sight) brokenLink(i int, s *state, t *trouble) *Fault {
	e := &seen.events[i]
	if seen.comesLater(i, func(later *entry) bool {
		return later.hash == e.previous || later.previous == s.hash && later.hash != e.hash
	}) {
		return seen.fault(SwappedOrder, e, "the event that it follows stands behind it")
	}
	want := s.generation
	if !e.rejected() {
		want++
	}
	switch {
	case e.generation > want && !seen.disowned(i):
		return seen.fault(MissingEvent, e, "%s", missing(e, s))
	case seen.disowned(i):
		return seen.fault(AlteredEvent, e, "%s; and it is not the event that its successor names", t.detail)
	case i == 0:
		return seen.fault(AlteredEvent, e, "%s", t.detail)
	}
	before := &seen.events[i-1]
	if seen.refusalMissing() {
		return seen.fault(MissingEvent, e, "a refusal before it is missing: %s", t.detail)
	}
	return seen.fault(AlteredEvent, before, "the event at sequence %d follows one with hash %s…, this has %s…%s",
		e.sequence, e.previous.short(), before.hash.short(), orRefusal)
}

// gap names what is wrong where generations are left out.
func (seen *sight) gap(i int, s *state, t *trouble) *Fault {
	e := &seen.events[i]
	linked := e.previous == s.hash // also as the first, with none before it
	switch {
	case linked && seen.disowned(i):
		return seen.fault(AlteredEvent, e, "%s; and it is not the event that its successor names", t.detail)
	case linked && s.chained:
		return seen.fault(BadTransition, e, "%s, which it names by its hash", t.detail)
	case seen.comesLater(i, func(later *entry) bool {
		return !later.rejected() && later.generation > s.generation && later.generation < e.generation
	}):
		return seen.fault(SwappedOrder, e, "%s, and generation %d stands behind it", t.detail, s.generation+1)
	}
	return seen.fault(MissingEvent, e, "%s", missing(e, s))
}

// missing says which generations are, and perhaps refusals among them.
func missing(e *entry, s *state) string {
	to := e.generation
	if !e.rejected() {
		to--
	}
	if to == s.generation+1 {
		return fmt.Sprintf("generation %d is missing before it", to)
	}
	return fmt.Sprintf("generations %d to %d are missing before it", s.generation+1, to)
}

func (seen *sight) comesLater(i int, is func(*entry) bool) bool {
	for j := i + 1; j < len(seen.events); j++ {
		if is(&seen.events[j]) {
			return true
		}
	}
	return false
}

// disowned reports whether the next event, or the record behind the last one, names another
// event in the place of the i-th: so it is not as it was written.
func (seen *sight) disowned(i int) bool {
	hash := seen.events[i].hash
	if i+1 < len(seen.events) {
		next := seen.events[i+1].previous
		return next != (digest{}) && next != hash
	}
	return seen.found && seen.record.EventHash != "" && seen.record.EventHash != hash.String()
}

// refusalMissing reports whether the record has the answer to a command that was refused,
// and no event tells of it.
func (seen *sight) refusalMissing() bool {
	told := map[string]bool{}
	for i := range seen.events {
		told[seen.events[i].id] = true
	}
	for _, outcome := range seen.record.Outcomes {
		if outcome.Result == volume.Rejected && !told[seen.name+"/rejected/"+string(outcome.CommandID)] {
			return true
		}
	}
	return false
}
