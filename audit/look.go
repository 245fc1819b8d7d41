package audit

import (
	"context"
	"errors"
	"fmt"

	"github.com/jetvol/jetvol/kv"
	"github.com/jetvol/jetvol/volume"
)

// maxLooks is how often a volume is looked at that changes each time in between.
const maxLooks = 20

// look reads one volume in full and returns its first fault, nil if there is none.
func (a *auditor) look(ctx context.Context, name string) (*Fault, error) {
	var fault *Fault
	for range maxLooks {
		seen, err := a.observe(ctx, name)
		if err != nil {
			return nil, err
		}
		if fault = seen.judge(a); fault == nil {
			a.states[name].before = max(a.states[name].before, seen.before)
			return nil, nil
		}
		changed, err := a.changed(ctx, name, seen)
		if err != nil || !changed {
			return fault, err
		}
	}
	return fault, nil
}

// sight is one volume: its record and then its events, read in this order, so that whatever
// the record tells of has been published by then or lies in its outbox.
type sight struct {
	name     string
	rules    rules // more may have aged out since the pass began
	found    bool  // whether there is a record
	record   volume.Record
	revision uint64
	broken   error  // the record cannot be read
	anchor   *state // where the checkpoint left it, nil if it does not know it
	// events are those on the stream, and then those that are only in the outbox.
	events []entry
	// before is the generation before which nothing is proven, 0 if all is.
	before uint64
	// altered is an event of which the outbox has another version.
	altered *entry
	// confirmed says that the last event is in the outbox too, as it is on the stream.
	confirmed bool
}

func (a *auditor) observe(ctx context.Context, name string) (*sight, error) {
	seen := &sight{name: name, anchor: a.anchors[name]}
	entry, err := a.records.Get(ctx, name)
	switch {
	case err == nil:
		seen.found, seen.record, seen.revision = true, entry.Value, entry.Revision
	case kv.Unreadable(err):
		seen.found, seen.broken = true, err
	case !errors.Is(err, kv.ErrNotFound):
		return nil, err
	}
	ends, err := streamEnds(ctx, a.js)
	if err != nil {
		return nil, err
	}
	seen.rules = a.rules(ends.FirstSeq)
	subject := subjectPrefix + name + ".*"
	if err := replay(ctx, a.js, subject, max(ends.FirstSeq, 1), ends.LastSeq, seen.add); err != nil {
		return nil, err
	}
	if seen.refuted() {
		seen.found, seen.record = false, volume.Record{}
	}
	return seen, seen.addOutbox()
}

// refuted reports whether a worker has stored the record on the assumption that there are no
// events, and there are some. Nothing was done by it, and who reads it next takes it away.
func (seen *sight) refuted() bool {
	if !seen.record.Assumed || len(seen.record.Outbox) == 0 || len(seen.events) == 0 {
		return false
	}
	own, first := seen.record.Outbox[0], seen.events[0]
	return first.id != own.ID || first.command != own.CommandID
}

func (seen *sight) add(e *entry) error {
	seen.events = append(seen.events, *e)
	return nil
}

// addOutbox puts the events of the outbox behind those on the stream, if they are not there.
func (seen *sight) addOutbox() error {
	published := map[string]*entry{}
	for i := range seen.events {
		published[seen.events[i].id] = &seen.events[i]
	}
	for _, t := range seen.record.Outbox {
		e, err := outboxEntry(seen.name, t)
		if err != nil {
			return fmt.Errorf("outbox of volume %s: %w", seen.name, err)
		}
		if known, is := published[e.id]; !is {
			if seen.past(&e) {
				continue
			}
			seen.events = append(seen.events, e)
		} else if known.hash != e.hash && seen.altered == nil && !e.rejected() {
			seen.altered = known
		}
		seen.confirmed = e.hash == seen.events[len(seen.events)-1].hash
	}
	return nil
}

// past reports whether an event of the outbox is not on the stream because it has aged out: one
// of before the first event there, or of the checkpoint where the stream has none.
func (seen *sight) past(e *entry) bool {
	switch {
	case !seen.rules.aged:
		return false
	case len(seen.events) > 0 && seen.events[0].sequence > 0:
		return e.generation < seen.events[0].generation || e.hash == seen.events[0].previous
	case seen.anchor != nil:
		return e.generation < seen.anchor.generation || e.hash == seen.anchor.hash
	}
	return false
}

// changed reports whether the volume is not as it was seen.
func (a *auditor) changed(ctx context.Context, name string, seen *sight) (bool, error) {
	revision, _, err := a.records.Head(ctx, name)
	if errors.Is(err, kv.ErrNotFound) {
		return seen.found || seen.revision > 0, nil
	}
	return revision != seen.revision && seen.broken == nil, err
}

// judge returns the first fault of what was seen.
func (seen *sight) judge(a *auditor) *Fault {
	if fault := seen.judgeEvents(a); fault != nil {
		return fault
	}
	if e := seen.altered; e != nil {
		return seen.fault(AlteredEvent, e, "the record's outbox has this event otherwise")
	}
	return seen.judgeRecord(a)
}

func (seen *sight) fault(kind Kind, e *entry, format string, args ...any) *Fault {
	return &Fault{
		Volume: seen.name, Kind: kind, Sequence: e.sequence, Generation: e.generation, Detail: fmt.Sprintf(format, args...),
	}
}

// judgeEvents puts the events one behind the other, as a pass does.
func (seen *sight) judgeEvents(a *auditor) *Fault {
	var s *state
	for i := range seen.events {
		e := &seen.events[i]
		if s == nil {
			s = a.begin(e, seen.rules)
		}
		if t := s.take(e, seen.rules); t != nil {
			return seen.classify(i, s, t)
		}
		seen.before = s.before
		if !a.atAnchor(s, e) {
			return seen.fault(AlteredEvent, e, "the checkpoint has generation %d with hash %s at sequence %d",
				a.anchors[seen.name].generation, a.anchors[seen.name].hash, a.anchors[seen.name].sequence)
		}
	}
	if anchor := a.anchors[seen.name]; s != nil && s.anchored && len(seen.events) > 0 {
		return &Fault{
			Volume: seen.name, Kind: MissingEvent, Sequence: anchor.sequence, Generation: anchor.generation,
			Detail: "the checkpoint has this event, the stream has not",
		}
	}
	return nil
}

// judgeRecord compares the record with the event that it means: the last one, unless the
// record has been written again since it was read.
func (seen *sight) judgeRecord(a *auditor) *Fault {
	switch {
	case seen.broken != nil:
		return &Fault{Volume: seen.name, Kind: Undecodable, Detail: "record: " + seen.broken.Error()}
	case len(seen.events) == 0:
		return seen.judgeWithoutEvents(a)
	}
	last := &seen.events[len(seen.events)-1]
	if !seen.found {
		if last.mayExpire() {
			return nil
		}
		return seen.fault(RecordMissing, last, "the volume is %s by its last event, and has no record", last.to)
	}
	meant := seen.meant()
	if meant == nil {
		return seen.judgeStrange(last)
	}
	fields := differences(seen.record, meant)
	if seen.record.EventHash == "" && meant.previous != (digest{}) {
		fields = append(fields, "event_hash is missing")
	}
	if len(fields) > 0 {
		return seen.fault(RecordDiffers, meant, "%s", list(fields))
	}
	if meant != last && !last.mayExpire() {
		// Written before the last event: it may have been replaced since, which look finds out.
		return seen.fault(RecordDiffers, last, "the record is that of generation %d, the last event is of generation %d",
			meant.generation, last.generation)
	}
	return nil
}

// meant returns the event that the record was written with, nil if there is none such.
func (seen *sight) meant() *entry {
	if seen.confirmed {
		return &seen.events[len(seen.events)-1]
	}
	for i := len(seen.events) - 1; i >= 0; i-- {
		e := &seen.events[i]
		if seen.record.EventHash != "" && e.hash.String() == seen.record.EventHash {
			return e
		}
		if seen.record.EventHash == "" && e.generation == seen.record.Generation {
			return e
		}
	}
	return nil
}

// judgeStrange judges a record whose hash is none of the events'.
func (seen *sight) judgeStrange(last *entry) *Fault {
	r := seen.record
	switch {
	case r.Generation > last.generation:
		return &Fault{
			Volume: seen.name, Kind: EventMissingForRecord, Sequence: last.sequence, Generation: r.Generation,
			Detail: fmt.Sprintf("the record is at generation %d, its last event at %d", r.Generation, last.generation),
		}
	case last.previous.String() == r.EventHash && r.EventHash != "":
		return seen.fault(AlteredEvent, last, "it follows an event that the record knows, and the stream has not")
	case r.EventHash == "", r.Generation < last.generation:
		return seen.fault(RecordDiffers, last, "%s", list(differences(r, last)))
	}
	return seen.fault(AlteredEvent, last, "the record has event_hash %.12s…, the event %s…%s", r.EventHash, last.hash.short(), orRefusal)
}

// orRefusal is the other thing that may be wrong where an event is not the one before another.
const orRefusal = "; it was altered, or a refusal behind it is missing"

func (seen *sight) judgeWithoutEvents(a *auditor) *Fault {
	anchor, anchored := a.anchors[seen.name]
	switch {
	case !seen.found && anchored && !anchor.mayExpire:
		return &Fault{
			Volume: seen.name, Kind: RecordMissing, Sequence: anchor.sequence, Generation: anchor.generation,
			Detail: "the checkpoint knows the volume, and it has no record",
		}
	case !seen.found:
		return nil
	case anchored && anchor.agrees(seen.name, viewOf(seen.record)):
		return nil
	case anchored && !seen.rules.headLost:
		return &Fault{
			Volume: seen.name, Kind: RecordDiffers, Generation: seen.record.Generation,
			Detail: fmt.Sprintf("the checkpoint has it %s at generation %d with hash %s", stateOf(anchor.to), anchor.generation, anchor.hash),
		}
	case seen.rules.headLost:
		seen.before = seen.record.Generation + 1
		return nil
	}
	return &Fault{
		Volume: seen.name, Kind: EventMissingForRecord, Generation: seen.record.Generation,
		Detail: "there is a record, and no event",
	}
}
