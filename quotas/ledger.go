package quotas

import (
	"fmt"
	"slices"
	"time"

	"github.com/jetvol/jetvol/volume"
)

// SchemaVersion is the version of a ledger's form.
const SchemaVersion = 1

// MaxPending is how many commands of a project may be under way at a time that change what
// is used. A ledger with so many still fits into one message.
const MaxPending = 2048

// errFull says that a ledger holds [MaxPending] entries.
var errFull = fmt.Errorf("%d commands of the project are under way: %w", MaxPending, volume.Busy)

// errOvertaken says that a later command of the volume has reserved: the earlier one has
// ended, by another worker.
var errOvertaken = fmt.Errorf("a later command of the volume has reserved: %w", volume.Aborted)

// Ledger is what the bucket `quotas` holds of a project, under the project's name.
type Ledger struct {
	SchemaVersion int            `json:"schema_version"`
	Project       volume.Project `json:"project"`
	// ID tells this ledger from one that the project had before it was cleared.
	ID     string `json:"id,omitempty"`
	Limits Limits `json:"limits"`
	// Used is what the project's volumes use, and what is reserved.
	Used    Usage   `json:"used"`
	Pending []Entry `json:"pending,omitempty"`

	// Deriving says that Used is not known yet: nothing is refused until it is.
	Deriving bool `json:"deriving,omitempty"`
	// Seen are the instances of the workers that reserve, while Deriving.
	Seen []string `json:"seen,omitempty"`
	// Held, if not empty, asks the workers to leave the ledger alone for a moment, at most
	// [MaxHold].
	Held string `json:"held,omitempty"`

	SetBy string    `json:"set_by"`
	SetAt time.Time `json:"set_at"`
}

// Entry is a command under way that may change what its volume uses. There is one for each
// volume at most.
type Entry struct {
	Volume    volume.Name      `json:"volume"`
	CommandID volume.CommandID `json:"command_id"`
	Sequence  uint64           `json:"sequence"` // of the command on its stream
	// At is the revision of the ledger that the entry was added to. A volume's record holds
	// the same if it was built on this entry.
	At uint64 `json:"at"`
	// Before is what the volume used, and Peak the most that it may use: what Used holds of
	// the volume while the entry is there.
	Before Usage `json:"before"`
	Peak   Usage `json:"peak"`
}

// left returns what takes the place of Peak when the entry goes, by the volume's record. A
// record that was not built on the entry has nothing of it: what was added goes.
func (e Entry) left(record state) Usage {
	if e.At == record.Reserved {
		return record.Usage
	}
	return e.Before
}

// holds returns what is to be counted of the volume while the entry is there.
func (e Entry) holds(record state) Usage {
	if e.At == record.Reserved {
		return e.Peak
	}
	return record.Usage.Plus(e.Peak).Minus(e.Before)
}

// state is what matters of a volume's record.
type state struct {
	Usage
	Reserved uint64
	// Ended is the sequence of the volume's last command if nothing is under way, else 0: that
	// one and all before it have ended.
	Ended uint64
}

func stateOf(record volume.Record) state {
	s := state{Usage: Of(record), Reserved: record.Reserved}
	if record.Op == nil {
		s.Ended = record.CommandSequence
	}
	return s
}

// entry returns the index of a volume's entry, or -1.
func (l *Ledger) entry(name volume.Name) int {
	return slices.IndexFunc(l.Pending, func(e Entry) bool { return e.Volume == name })
}

// Reservation is asked for by a command that is about to change what its volume uses.
type Reservation struct {
	Key       volume.Key
	CommandID volume.CommandID
	Sequence  uint64
	// Record is the volume's as it is stored, and After what it uses with the command.
	Record volume.Record
	After  Usage
	// Free reserves whatever the limits are: what is already there cannot be refused.
	Free bool
}

// reserve adds the entry of a reservation to a ledger at the given revision. It returns the
// revision that the record has to hold, and whether the ledger was changed. The same
// reservation again changes nothing. It returns an [*ExceededError], errFull or
// errOvertaken.
func (l *Ledger) reserve(r Reservation, at uint64) (reserved uint64, changed bool, err error) {
	now, used := stateOf(r.Record), l.Used
	i := l.entry(r.Key.Name)
	if i >= 0 {
		e := l.Pending[i]
		if e.CommandID == r.CommandID && (e.At == now.Reserved || e.Before == now.Usage && e.Peak == now.Max(r.After)) {
			return e.At, false, nil
		}
		if e.Sequence > r.Sequence {
			return 0, false, errOvertaken
		}
		// It is of a command that was taken out of the stream by hand, or of a worker that
		// had been stopped.
		used = used.Minus(e.Peak).Plus(e.left(now))
	}
	peak := now.Max(r.After)
	added := peak.Minus(now.Usage)
	if refused := l.Limits.refused(used, added); len(refused) > 0 && !r.Free && !l.Deriving {
		return 0, false, &ExceededError{Project: r.Key.Project, Limits: refused}
	}
	if i < 0 && len(l.Pending) >= MaxPending {
		return 0, false, errFull
	}
	if i >= 0 {
		l.Pending = slices.Delete(l.Pending, i, i+1)
	}
	l.Used = used.Plus(added)
	l.Pending = append(l.Pending, Entry{
		Volume: r.Key.Name, CommandID: r.CommandID, Sequence: r.Sequence, At: at, Before: now.Usage, Peak: peak,
	})
	return at, true, nil
}

// settle ends the volume's entry if it is that of a command, or was left behind by one that has
// ended: its worker was stopped meanwhile, or died before it could settle it. It reports
// whether there was one.
func (l *Ledger) settle(name volume.Name, id volume.CommandID, now state) bool {
	i := l.settles(name, id, now)
	if i < 0 {
		return false
	}
	l.close(i, now)
	return true
}

// settles returns the index of the entry that settle ends, or -1.
func (l *Ledger) settles(name volume.Name, id volume.CommandID, now state) int {
	i := l.entry(name)
	if i >= 0 && l.Pending[i].CommandID != id && l.Pending[i].Sequence >= now.Ended {
		return -1
	}
	return i
}

// close ends the entry at an index.
func (l *Ledger) close(i int, now state) {
	e := l.Pending[i]
	l.Used = l.Used.Minus(e.Peak).Plus(e.left(now))
	l.Pending = slices.Delete(l.Pending, i, i+1)
}

// lacks reports whether there is no entry of the record's operation, which is under way: the
// worker that has begun it did not know of the ledger.
func (l *Ledger) lacks(record volume.Record) bool {
	i := l.entry(record.Key.Name)
	return !l.Deriving && (i < 0 || l.Pending[i].Sequence < record.Op.Sequence)
}

// readmit adds the entry of an operation that the ledger lacks.
func (l *Ledger) readmit(record volume.Record) {
	op := record.Op
	if i := l.entry(record.Key.Name); i >= 0 {
		l.close(i, stateOf(record))
	}
	before, after := Before(record), Of(record)
	l.Used = l.Used.Plus(after.Minus(before))
	l.Pending = append(l.Pending, Entry{
		Volume: record.Key.Name, CommandID: op.CommandID, Sequence: op.Sequence, At: record.Reserved, Before: before, Peak: after,
	})
}

// clone returns a copy that shares no entries.
func (l *Ledger) clone() Ledger {
	c := *l
	c.Pending, c.Seen = slices.Clone(l.Pending), slices.Clone(l.Seen)
	return c
}
