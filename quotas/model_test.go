package quotas

import (
	"errors"
	"fmt"
	"slices"
	"testing"

	"pgregory.net/rapid"

	"github.com/jetvol/jetvol/volume"
)

// stored is a volume of the model: its record by compare-and-set, and its commands.
type stored struct {
	record   volume.Record
	revision int
	serial   int  // of the command under way
	acked    bool // it has ended
}

func (s *stored) id() volume.CommandID { return volume.CommandID(fmt.Sprint("c", s.serial)) }

// actor is a worker with a command in hand. Several may have the same: those that were
// stopped do not know that they are replaced.
type actor struct {
	volume   volume.Name
	id       volume.CommandID
	sequence uint64
	verb     volume.Verb
	size     volume.Bytes
	record   volume.Record // as it believes it to be
	revision int
	phase    string
	at       uint64
}

type model struct {
	ledger   Ledger
	revision uint64
	volumes  map[volume.Name]*stored
	actors   []*actor
	names    []volume.Name
}

func newModel() *model {
	m := &model{volumes: map[volume.Name]*stored{}, revision: 1}
	m.ledger.Limits = Limits{Volumes: Limit(2), Bytes: Limit(20), Snapshots: Limit(2)}
	for _, name := range []volume.Name{"a", "b", "c"} {
		key := volume.Key{Project: "p", Name: name}
		m.volumes[name] = &stored{record: volume.Record{Key: key, State: volume.StatePending}, acked: true}
		m.names = append(m.names, name)
	}
	return m
}

// write stores the ledger, if it was changed.
func (m *model) write(l Ledger, changed bool) {
	if changed {
		m.ledger = l
		m.revision++
	}
}

// deliver gives a volume's command to one more worker: a new one if the last has ended.
func (m *model) deliver(t *rapid.T) {
	name := rapid.SampledFrom(m.names).Draw(t, "volume")
	v := m.volumes[name]
	a := &actor{volume: name, phase: "load"}
	if v.acked {
		v.serial, v.acked = v.serial+1, false
		a.verb = volume.VerbCreate
		if v.record.Exists() {
			a.verb = rapid.SampledFrom([]volume.Verb{
				volume.VerbDelete, volume.VerbResize, volume.VerbSnapshot, volume.VerbDeleteSnapshot, volume.VerbAttach,
			}).Draw(t, "verb")
		}
		a.size = volume.Bytes(rapid.IntRange(1, 15).Draw(t, "size"))
	} else {
		before := slices.IndexFunc(m.actors, func(o *actor) bool { return o.volume == name && o.id == v.id() })
		if before < 0 {
			return
		}
		a.verb, a.size = m.actors[before].verb, m.actors[before].size
	}
	a.id, a.sequence = v.id(), uint64(v.serial)
	m.actors = append(m.actors, a)
}

// act takes any worker one step on.
func (m *model) act(t *rapid.T) {
	if len(m.actors) == 0 {
		return
	}
	i := rapid.IntRange(0, len(m.actors)-1).Draw(t, "actor")
	if m.step(t, m.actors[i]) {
		m.actors = slices.Delete(m.actors, i, i+1)
	}
}

// step reports whether the worker has ended.
func (m *model) step(t *rapid.T, a *actor) bool {
	v := m.volumes[a.volume]
	switch a.phase {
	case "load":
		a.record, a.revision, a.phase = v.record, v.revision, "decide"
		_, answered := a.record.Outcome(a.id)
		if op := a.record.Op; op != nil && op.CommandID == a.id {
			a.phase = "end"
		} else if answered {
			a.phase = "settle"
		}
	case "decide":
		next := m.begun(*a)
		l := m.ledger.clone()
		at, changed, err := l.reserve(Reservation{Key: a.record.Key, CommandID: a.id, Sequence: a.sequence, Record: a.record, After: Of(next)}, m.revision)
		if errors.Is(err, errOvertaken) {
			a.phase = "load"
			return v.id() != a.id
		}
		if err != nil {
			next = a.record
			next.CommandSequence, next.Outcomes = a.sequence, answeredWith(a.record, a.id)
			return m.store(a, next, "settle")
		}
		m.write(l, changed)
		if Of(next) != Of(a.record) {
			a.at = at
		}
		a.phase = "begin"
	case "begin":
		next := m.begun(*a)
		if a.at > 0 {
			next.Reserved = a.at
		}
		return m.store(a, next, "end")
	case "end":
		next := m.ended(t, *a)
		if Of(next) != Of(a.record) {
			l := m.ledger.clone()
			at, changed, err := l.reserve(Reservation{Key: a.record.Key, CommandID: a.id, Sequence: a.sequence, Record: a.record, After: Of(next), Free: true}, m.revision)
			if err != nil {
				a.phase = "load"
				return v.id() != a.id
			}
			m.write(l, changed)
			next.Reserved = at
		}
		return m.store(a, next, "settle")
	case "settle":
		l := m.ledger.clone()
		m.write(l, l.settle(a.volume, a.id, stateOf(a.record)))
		a.phase = "ack"
	case "ack":
		if v.id() == a.id {
			v.acked = true
		}
		return true
	}
	return false
}

// store is the compare-and-set of a record. Who loses it begins again, or is told that the
// command is another's.
func (m *model) store(a *actor, next volume.Record, phase string) (ended bool) {
	v := m.volumes[a.volume]
	if v.revision != a.revision {
		a.phase = "load"
		return v.acked || v.id() != a.id
	}
	v.record, v.revision = next, v.revision+1
	a.record, a.revision, a.phase = next, v.revision, phase
	return false
}

func answeredWith(r volume.Record, id volume.CommandID) []volume.Outcome {
	return append(slices.Clone(r.Outcomes), volume.Outcome{CommandID: id})
}

// begun is the record with the command under way.
func (m *model) begun(a actor) volume.Record {
	next := a.record
	next.CommandSequence = a.sequence
	next.Op = &volume.Op{CommandID: a.id, Verb: a.verb, Args: volume.Args{Size: a.size}}
	switch a.verb {
	case volume.VerbCreate:
		next.ID, next.State, next.Size, next.Snapshots = volume.ID(a.id), volume.StateCreating, a.size, 0
	case volume.VerbResize:
		next.Op.Args.Size = max(a.size, next.Size)
	}
	return next
}

// ended is the record with the command ended, well or badly.
func (m *model) ended(t *rapid.T, a actor) volume.Record {
	next := a.record
	next.Op, next.Outcomes = nil, answeredWith(a.record, a.id)
	well := rapid.Bool().Draw(t, "well")
	switch {
	case a.verb == volume.VerbCreate && !well:
		next.State = volume.StatePending
	case a.verb == volume.VerbCreate:
		next.State = volume.StateAvailable
	case !well:
	case a.verb == volume.VerbDelete:
		next.State, next.Snapshots = volume.StateDeleted, 0
	case a.verb == volume.VerbResize:
		next.Size = a.record.Op.Args.Size
	case a.verb == volume.VerbSnapshot:
		next.Snapshots++
	case a.verb == volume.VerbDeleteSnapshot:
		next.Snapshots = max(0, next.Snapshots-1)
	}
	return next
}

// view is what the model's records say.
func (m *model) view() *view {
	v := &view{known: map[volume.Name]known{}}
	for name, s := range m.volumes {
		v.known[name] = knownOf(s.record)
	}
	return v
}

// check compares the ledger with the records, which have to agree at every moment.
func (m *model) check(t *rapid.T) {
	v := m.view()
	if sum := v.sum(m.ledger); sum != m.ledger.Used {
		t.Fatalf("ledger says %+v, the records %+v\n%+v", m.ledger.Used, sum, m.ledger.Pending)
	}
	var used Usage
	for _, k := range v.known {
		used = used.Plus(k.Usage)
	}
	if over := m.ledger.Limits.exceeded(used); len(over) > 0 {
		t.Fatalf("the records are over the limits: %v", over)
	}
	for i, e := range m.ledger.Pending {
		if m.ledger.entry(e.Volume) != i {
			t.Fatalf("two entries of volume %s: %+v", e.Volume, m.ledger.Pending)
		}
	}
	for _, e := range m.ledger.Pending {
		if s := m.volumes[e.Volume]; s.acked && e.At == s.record.Reserved {
			t.Fatalf("command %s of volume %s has ended and its entry is left: %+v", e.CommandID, e.Volume, e)
		}
	}
	if derived, begun := v.derived(m.ledger, nil); derived.Used != m.ledger.Used || len(begun) > 0 {
		t.Fatalf("derived %+v with %v, want %+v", derived.Used, begun, m.ledger.Used)
	}
}

// Whatever workers do, one after another or several with the same command, stopped anywhere
// or gone: what the ledger says is what the records say, and no limit is exceeded.
func TestLedger_AnyWorkers_AgreesWithTheRecords(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		m := newModel()
		t.Repeat(map[string]func(*rapid.T){
			"":        m.check,
			"deliver": m.deliver,
			"act":     m.act,
			"again":   m.act,
			"more":    m.act,
			"die": func(t *rapid.T) {
				if len(m.actors) > 0 {
					i := rapid.IntRange(0, len(m.actors)-1).Draw(t, "actor")
					// The last one with a command is its record of what was asked.
					a := m.actors[i]
					a.phase, a.at = "load", 0
				}
			},
		})
		for len(m.actors) > 0 {
			m.act(t)
			m.check(t)
		}
		stale := map[volume.CommandID]bool{}
		for _, e := range m.ledger.Pending {
			stale[e.CommandID] = true
		}
		l, _ := m.view().derived(m.ledger, stale)
		m.ledger = l
		m.check(t)
		if len(l.Pending) > 0 {
			t.Fatalf("entries are left: %+v", l.Pending)
		}
	})
}
