package audit

import (
	"fmt"
	"time"

	"github.com/jetvol/jetvol/volume"
)

// Kind is what is wrong with a volume.
type Kind string

// The kinds of fault.
const (
	MissingEvent  Kind = "missing_event"  // events were here, and are not on the stream
	DoubledEvent  Kind = "doubled_event"  // an event that was there before comes again
	AlteredEvent  Kind = "altered_event"  // an event is not what was written
	SwappedOrder  Kind = "swapped_order"  // an event stands before one that it follows
	BadTransition Kind = "bad_transition" // the state machine has no such transition there
	Undecodable   Kind = "undecodable"    // an event or a record is no JSON of jetvol's

	RecordDiffers Kind = "record_differs" // the record is not what its last event says
	RecordMissing Kind = "record_missing" // the volume lives by its events and has no record
	// EventMissingForRecord says that the record is newer than the volume's events, and that
	// its outbox does not have what lies between.
	EventMissingForRecord Kind = "event_missing_for_record"
	// Unproven says that events have aged out which no checkpoint vouches for. It is a fault
	// only if the verify is strict.
	Unproven Kind = "unproven"
	// AlteredCheckpoint says that the checkpoint is not the one that was stored. Its Volume is _.
	AlteredCheckpoint Kind = "altered_checkpoint"
)

// Kinds returns every kind of fault.
func Kinds() []Kind {
	return []Kind{
		MissingEvent, DoubledEvent, AlteredEvent, SwappedOrder, BadTransition, Undecodable,
		RecordDiffers, RecordMissing, EventMissingForRecord, Unproven, AlteredCheckpoint,
	}
}

// Fault is the first thing that is wrong with one volume.
type Fault struct {
	Volume string `json:"volume"` // <project>.<name>
	Kind   Kind   `json:"kind"`
	// Sequence is where on the event stream it shows: the event that is wrong or, if one is
	// missing, the one behind the gap. 0 if it shows in the record only.
	Sequence uint64 `json:"sequence,omitempty"`
	// Generation is that of the event or record that is wrong or missing.
	Generation uint64 `json:"generation"`
	Detail     string `json:"detail"`
}

// String returns `default.db-01: missing_event at sequence 7, generation 3: …`.
func (f Fault) String() string {
	where := ""
	if f.Sequence > 0 {
		where = fmt.Sprintf(" at sequence %d", f.Sequence)
	}
	return fmt.Sprintf("%s: %s%s, generation %d: %s", f.Volume, f.Kind, where, f.Generation, f.Detail)
}

// Options say what Verify looks at. The zero value is everything.
type Options struct {
	Project volume.Project // only volumes of this project
	Volume  volume.Name    // only this volume; of Project, which must be given
	// SinceCheckpoint begins behind the last checkpoint instead of at the first event left.
	SinceCheckpoint bool
	// Strict makes what cannot be proven a fault.
	Strict bool
	// MaxVolumes is how many volumes are remembered at once, with a few dozen bytes and the
	// name for each; 0 is [DefaultMaxVolumes]. With more the stream is read several times.
	MaxVolumes int
	// Progress, if set, is told now and then how far it has come, on one goroutine.
	Progress func(Progress)
}

// DefaultMaxVolumes bounds the memory of a verify to about 150 MB.
const DefaultMaxVolumes = 500_000

// Progress is how far a verify has come.
type Progress struct {
	Pass, Passes int
	// Sequence of To is read; when both are the same the records are compared.
	Sequence, To uint64
}

// Report is what Verify found.
type Report struct {
	Events   uint64  `json:"events"`   // read, refusals included
	Rejected uint64  `json:"rejected"` // of these are refusals
	Volumes  uint64  `json:"volumes"`  // names that have events, a record or a checkpoint
	Records  uint64  `json:"records"`
	Faults   []Fault `json:"faults"` // by volume; never null
	// Unlooked counts volumes that did not fit and were not looked at, since so many others
	// did not either.
	Unlooked     uint64 `json:"unlooked,omitempty"`
	Passes       int    `json:"passes"`
	FromSequence uint64 `json:"from_sequence"` // of the first event that was read
	ToSequence   uint64 `json:"to_sequence"`   // of the last one that there was at the start
	// Unchained counts events, other than the first of their volume, without a previous: a
	// build before the hash chain has written them.
	Unchained uint64 `json:"unchained"`
	// Unproven counts volumes of which events have aged out, or may have, that no checkpoint
	// vouches for, and UnprovenVolumes are the first of them.
	Unproven        uint64          `json:"unproven"`
	UnprovenVolumes []UnprovenSpan  `json:"unproven_volumes,omitempty"`
	Checkpoint      *CheckpointMark `json:"checkpoint,omitempty"` // on which it stands
	Seconds         float64         `json:"seconds"`
	Rate            float64         `json:"rate"` // events in a second, all passes together
}

// UnprovenSpan says which generations of a volume cannot be proven: those before Before.
type UnprovenSpan struct {
	Volume string `json:"volume"`
	Before uint64 `json:"before_generation"`
}

// Clean reports whether no fault was found and every volume was looked at.
func (r Report) Clean() bool { return len(r.Faults) == 0 && r.Unlooked == 0 }

func (r *Report) ended(started time.Time, read uint64) {
	took := time.Since(started)
	r.Seconds = took.Seconds()
	if took > 0 {
		r.Rate = float64(read) / took.Seconds()
	}
}
