package audit_test

import (
	"testing"

	"github.com/jetvol/jetvol/audit"
	"github.com/jetvol/jetvol/volume"
)

// assume keeps the record of a create that took the name of a volume with such events for new.
func (p *place) assume(before *life) {
	again := newLife(p.t, "v")
	again.count = before.count
	again.begin(volume.VerbCreate)
	again.record.Assumed = true
	p.publish(before.events...)
	p.keep(again.record)
}

// TestVerify_AssumedRecordOverAnEarlierLife_IsNoFault: a worker took the name for new, and died
// or was stopped before it was told otherwise. The record is known for what it is (ADR 13), and
// goes with the name's next command: nobody has altered anything.
func TestVerify_AssumedRecordOverAnEarlierLife_IsNoFault(t *testing.T) {
	p := newPlace(t)
	before := newLife(t, "v")
	before.begin(volume.VerbCreate)
	before.succeed()
	before.begin(volume.VerbDelete)
	before.succeed()
	p.assume(before)
	p.wantClean(audit.Options{})
}

// TestVerify_RecordOfALivingVolumeMarkedAssumed_IsMissing: the mark hides nothing.
func TestVerify_RecordOfALivingVolumeMarkedAssumed_IsMissing(t *testing.T) {
	p := newPlace(t)
	living := newLife(t, "v")
	living.begin(volume.VerbCreate)
	living.succeed()
	p.assume(living)
	p.wantFault(audit.Options{}, "default.v", audit.RecordMissing)
}
