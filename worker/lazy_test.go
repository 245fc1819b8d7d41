package worker_test

import (
	"fmt"
	"testing"

	"github.com/jetvol/jetvol/volume"
)

// A worker reads a record when a command asks for it, and no other: neither its start
// nor its memory depends on how many volumes there are.
func TestWorker_ManyRecords_ReadsOnlyWhatItNeeds(t *testing.T) {
	s := prepare(t)
	const records = 2000
	for i := range records {
		name := fmt.Sprintf("stored-%d", i)
		record := volume.Record{
			SchemaVersion: volume.SchemaVersion, Key: key(name), ID: volume.NewID(key(name), 1),
			State: volume.StateError, Generation: 3, Spec: volume.Spec{Size: volume.MiB, Backend: "local"},
		}
		_, err := s.records.Create(s.ctx, record.Key.String(), record)
		must(t, err)
	}
	reads, err := s.nc.SubscribeSync("$JS.API.STREAM.MSG.GET.KV_volumes")
	must(t, err)
	direct, err := s.nc.SubscribeSync("$JS.API.DIRECT.GET.KV_volumes.>")
	must(t, err)
	must(t, s.nc.Flush())
	s.startWorker()
	for range 3 { // the second and third find the record in the worker's memory
		s.wantReply(s.attach("stored-7", "n1"), volume.Rejected, volume.StateError, volume.ErrInvalidTransition)
	}
	must(t, s.nc.Flush())
	wiretapped, _, err := reads.Pending()
	must(t, err)
	stale, _, err := direct.Pending()
	must(t, err)
	if wiretapped != 1 || stale != 0 {
		t.Errorf("reads of %d records: got %d from the leader and %d direct, want 1 and 0", records, wiretapped, stale)
	}
}
