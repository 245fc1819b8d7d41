package verify

import (
	"reflect"
	"slices"

	"github.com/jetvol/jetvol/volume"
)

// Records checks that each record is at rest and is what the volume's last transition
// said, that every event in an outbox is on the stream, and that there is a record
// exactly where there were transitions. A record that assumed wrongly that its name is new is
// none. Where one could be stored the tombstone has run out, and is not missed.
func Records(e Evidence) []Fault {
	var r report
	all := e.transitionsByVolume()
	records := e.standing()
	for _, key := range sortedKeys(records) {
		record := records[key]
		r.settled(key, record)
		r.outbox(key, record, all[key])
		last, told := lastTransition(all[key])
		switch {
		case told:
			r.recordTold(key, record, last)
		case !refusedOnly(record, all[key]):
			r.add(Disagreement, key, "record at generation %d, no transition on the stream", record.Generation)
		}
	}
	for _, key := range sortedKeys(all) {
		last, told := lastTransition(all[key])
		_, stored := e.Records[key]
		_, recorded := records[key]
		if expired := stored && last.To == volume.StateDeleted; told && !recorded && !expired {
			r.add(Lost, key, "event %s, no record", last.ID)
		}
	}
	return r.faults
}

// refusedOnly reports whether the record is of a name that never was a volume: it holds
// the answers to commands that were refused, of which the events tell.
func refusedOnly(record volume.Record, transitions []volume.Transition) bool {
	return len(transitions) > 0 && record.Generation == 0 && record.ID == "" && record.State == volume.StatePending
}

func lastTransition(transitions []volume.Transition) (last volume.Transition, ok bool) {
	for _, t := range slices.Backward(transitions) {
		if t.Event != volume.EventRejected {
			return t, true
		}
	}
	return volume.Transition{}, false
}

func (r *report) settled(key volume.Key, record volume.Record) {
	switch {
	case record.State.InProgress():
		r.add(Stuck, key, "record in state %s at generation %d", record.State, record.Generation)
	case record.Op != nil:
		r.add(Stuck, key, "record in settled state %s with operation %s (%s)", record.State, record.Op.CommandID, record.Op.Verb)
	}
}

func (r *report) outbox(key volume.Key, record volume.Record, stream []volume.Transition) {
	for _, t := range record.Outbox {
		if !slices.ContainsFunc(stream, func(s volume.Transition) bool { return s.ID == t.ID }) {
			r.add(Lost, key, "event %s is in the record's outbox and not on the stream", t.ID)
		}
	}
}

func (r *report) recordTold(key volume.Key, record volume.Record, last volume.Transition) {
	if record.Key != key {
		r.add(Disagreement, key, "record says that it is of %s", record.Key)
	}
	if record.State != last.To || record.Generation != last.Generation || record.ID != last.VolumeID {
		r.add(Disagreement, key, "record is %s at generation %d of %s, event %s says %s at %d of %s",
			record.State, record.Generation, record.ID, last.ID, last.To, last.Generation, last.VolumeID)
	}
	if !reflect.DeepEqual(record.Spec, last.Spec) {
		r.add(Disagreement, key, "record has spec %+v, event %s says %+v", record.Spec, last.ID, last.Spec)
	}
}
