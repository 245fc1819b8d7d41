package drift_test

import (
	"errors"
	"slices"
	"testing"

	"github.com/jetvol/jetvol/drift"
	"github.com/jetvol/jetvol/kv"
	"github.com/jetvol/jetvol/volume"
)

// What cannot be read hides nothing of the others, and a record that cannot be read settles
// nothing.
func TestFindings_Unsettled_LeavesOutWhatRecordsShowToBeSettled(t *testing.T) {
	s := prepare(t)
	record := volume.Record{
		SchemaVersion: volume.SchemaVersion, Key: key("adopted"), ID: s.orphan("adopted"), State: volume.StateAvailable,
		Spec: volume.Spec{Backend: "local"},
	}
	s.orphan("left")
	s.orphan("broken")
	s.sweep()
	_, err := s.records.Create(s.ctx, record.Key.String(), record)
	s.must(err)
	s.plant(key("corrupt").String(), "{")
	_, err = s.js.Publish(s.ctx, "$KV."+kv.VolumesBucket+"."+key("broken").String(), []byte("{"))
	s.must(err)

	var told []string
	unreadable := 0
	for found, err := range s.findings.Unsettled(s.ctx, drift.Filter{Kind: volume.DriftOrphan}) {
		switch {
		case kv.Unreadable(err):
			unreadable++
		case err != nil:
			t.Fatal(err)
		default:
			told = append(told, string(found.Name))
		}
	}
	slices.Sort(told)
	if want := []string{"broken", "left"}; !slices.Equal(told, want) || unreadable != 1 {
		t.Errorf("got %q and %d unreadable, want %q and 1", told, unreadable, want)
	}
}

func TestFindings_Unsettled_RecordsNotThere_IsToldOnce(t *testing.T) {
	s := prepare(t)
	s.orphan("one")
	s.orphan("two")
	s.sweep()
	s.must(s.js.DeleteStream(s.ctx, "KV_"+kv.VolumesBucket))
	var told []error
	for _, err := range s.findings.Unsettled(s.ctx, drift.Filter{}) {
		told = append(told, err)
	}
	if len(told) != 1 || !errors.Is(told[0], kv.ErrUnavailable) {
		t.Errorf("got %v, want %v once", told, kv.ErrUnavailable)
	}
}
