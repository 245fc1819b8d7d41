package drift

import (
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"slices"
	"time"

	"github.com/jetvol/jetvol/backends"
	"github.com/jetvol/jetvol/fsm"
	"github.com/jetvol/jetvol/volume"
)

// sight is what one look at a volume's backend saw.
type sight struct {
	present bool // there is an object under the key, whatever its ID
	object  backends.Object
}

// same reports whether two looks saw the same.
func (s sight) same(other sight) bool {
	return s.present == other.present && s.object.ID == other.object.ID && s.object.Size == other.object.Size &&
		slices.Equal(holders(s.object), holders(other.object))
}

// holders tells who holds an object, and how: "n1 read-write".
func holders(o backends.Object) []string {
	var all []string
	for _, one := range o.Attachments {
		all = append(all, string(one.Node)+" "+string(one.Mode))
	}
	return all
}

// observation is what the state machine is told of it: a stranger's object is not the
// volume's.
func (s sight) observation(record volume.Record) fsm.Observation {
	if !s.present || s.object.ID != record.ID {
		return fsm.Observation{ID: s.object.ID}
	}
	return fsm.Observation{Present: true, ID: s.object.ID, Size: s.object.Size, Attachments: s.object.Attachments}
}

// verdict is what a comparison of a record at rest with its backend comes to.
type verdict struct {
	// differences are those that a finding tells.
	differences []volume.Difference
	// changes says that a reconcile would change the record.
	changes bool
}

// compare says what a reconcile would find. It asks the state machine, so that the sweep
// and the command come to the same.
//
// A volume in error that drifted, and whose backend is still as it was found, is left to
// people: the next reconcile would believe the backend, and with that hide that a volume
// was lost, or that somebody else holds it.
func compare(record volume.Record, seen sight, policy volume.RecordOnly, now time.Time) verdict {
	if record.State == volume.StateError && record.Drift != nil && stays(record, seen) {
		return verdict{differences: record.Drift.Differences}
	}
	command := volume.Command{Verb: volume.VerbReconcile, RecordOnly: policy}
	decision, err := fsm.Reconcile(record, command, seen.observation(record), now)
	if err != nil {
		return verdict{} // the state allows no reconcile
	}
	next := decision.Record
	v := verdict{changes: next.State != record.State || !next.Drift.Same(record.Drift)}
	if drift := next.Drift; drift != nil {
		v.differences = drift.Differences
	} else if drift := fsm.Drift(record, seen.observation(record)); drift != nil {
		v.differences = drift.Differences // the state tells it, not a mark
	}
	return v
}

// stays reports whether the backend is still as the record's drift says: whether the volume,
// were it at rest as before, would be found to differ in the same.
func stays(record volume.Record, seen sight) bool {
	before := record
	before.State = volume.StateAvailable
	if len(record.Attachments) > 0 {
		before.State = volume.StateAttached
	}
	now := fsm.Drift(before, seen.observation(record))
	return now != nil && slices.EqualFunc(now.Differences, record.Drift.Differences, func(a, b volume.Difference) bool {
		return a.Kind == b.Kind && a.Actual == b.Actual // what was wanted may be an attach that was given up
	})
}

// hashLength is how many bytes of a hash a command ID has.
const hashLength = 8

// commandID returns the ID of a command about what was seen of a record: the same for
// whoever sees the same. It has the volume in it, because the stream drops a second
// message with an ID, whatever volume it is for, and the last command decided, because a
// command that was refused leaves the generation as it is and has to be asked again.
func commandID(verb volume.Verb, record volume.Record, seen sight, differences []volume.Difference) volume.CommandID {
	text := fmt.Sprintf("%s/%s/%d/%d/%t/%s/%d/%v/%v", verb, record.Key, record.Generation, record.CommandSequence,
		seen.present, seen.object.ID, seen.object.Size, holders(seen.object), differences)
	sum := sha256.Sum256([]byte(text))
	return volume.CommandID(fmt.Sprintf("%s-%d-%s", verb, record.Generation, hex.EncodeToString(sum[:hashLength])))
}
