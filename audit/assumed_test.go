package audit_test

import (
	"testing"

	"github.com/jetvol/jetvol/audit"
	"github.com/jetvol/jetvol/volume"
)

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
	p.publish(before.events...)
	again := newLife(t, "v")
	again.count = before.count
	again.begin(volume.VerbCreate)
	again.record.Assumed = true
	p.keep(again.record)
	p.wantClean(audit.Options{})
}

// TestVerify_RecordOfALivingVolumeMarkedAssumed_IsMissing: the mark hides nothing.
func TestVerify_RecordOfALivingVolumeMarkedAssumed_IsMissing(t *testing.T) {
	p := newPlace(t)
	life := newLife(t, "v")
	life.begin(volume.VerbCreate)
	life.succeed()
	p.publish(life.events...)
	again := newLife(t, "v")
	again.count = life.count
	again.begin(volume.VerbCreate)
	again.record.Assumed = true
	p.keep(again.record)
	p.wantFault(audit.Options{}, "default.v", audit.RecordMissing)
}
