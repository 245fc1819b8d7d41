package quotas

import (
	"encoding/json"
	"errors"
	"fmt"
	"math"
	"strings"
	"testing"
	"time"

	"github.com/jetvol/jetvol/volume"
)

func recordOf(name volume.Name, change ...func(*volume.Record)) volume.Record {
	key := volume.Key{Project: "p", Name: name}
	r := volume.Record{Key: key, ID: volume.NewID(key, 1), State: volume.StateAvailable}
	r.Size = 10
	for _, f := range change {
		f(&r)
	}
	return r
}

func TestOf_RecordsAndOperations(t *testing.T) {
	op := func(verb volume.Verb, change func(*volume.Op)) func(*volume.Record) {
		return func(r *volume.Record) {
			r.Op = &volume.Op{Verb: verb}
			change(r.Op)
		}
	}
	in := func(state volume.State) func(*volume.Record) { return func(r *volume.Record) { r.State = state } }
	none := func(*volume.Op) {}
	for _, tt := range []struct {
		name          string
		record        volume.Record
		before, after Usage
	}{
		{"never was", volume.Record{State: volume.StatePending}, Usage{}, Usage{}},
		{"deleted", recordOf("v", in(volume.StateDeleted)), Usage{}, Usage{}},
		{"pending again", recordOf("v", in(volume.StatePending)), Usage{}, Usage{}},
		{"available", recordOf("v"), Usage{1, 10, 0}, Usage{1, 10, 0}},
		{"error", recordOf("v", in(volume.StateError)), Usage{1, 10, 0}, Usage{1, 10, 0}},
		{"creating", recordOf("v", in(volume.StateCreating), op(volume.VerbCreate, none)), Usage{}, Usage{1, 10, 0}},
		{"extending", recordOf("v", op(volume.VerbResize, func(o *volume.Op) { o.Args.Size = 30 })), Usage{1, 10, 0}, Usage{1, 30, 0}},
		{"deleting", recordOf("v", in(volume.StateDeleting), op(volume.VerbDelete, none)), Usage{1, 10, 0}, Usage{1, 10, 0}},
		{"snapshotting", recordOf("v", op(volume.VerbSnapshot, none)), Usage{1, 10, 0}, Usage{1, 10, 1}},
		{"restoring a greater one", recordOf("v", op(volume.VerbRestore, func(o *volume.Op) { o.Snapshot = &volume.Snapshot{Size: 20} })), Usage{1, 10, 0}, Usage{1, 20, 0}},
		{"restoring a smaller one", recordOf("v", op(volume.VerbRestore, func(o *volume.Op) { o.Snapshot = &volume.Snapshot{Size: 5} })), Usage{1, 10, 0}, Usage{1, 10, 0}},
		{"with snapshots", recordOf("v", func(r *volume.Record) { r.Snapshots = 3 }), Usage{1, 10, 3}, Usage{1, 10, 3}},
	} {
		if got := Of(tt.record); got != tt.after {
			t.Errorf("%s: got %+v, want %+v", tt.name, got, tt.after)
		}
		if got := Before(tt.record); got != tt.before {
			t.Errorf("%s: before: got %+v, want %+v", tt.name, got, tt.before)
		}
	}
}

// A worker that had been stopped asks for a command that another one has refused meanwhile,
// while the volume's next command has reserved and is not stored yet.
func TestLedger_StoppedWorkerReserves_LeavesTheLaterEntry(t *testing.T) {
	var l Ledger
	r := Reservation{Key: volume.Key{Project: "p", Name: "v"}, CommandID: "later", Sequence: 2, After: Usage{1, 10, 0}}
	if _, _, err := l.reserve(r, 1); err != nil {
		t.Fatal(err)
	}
	before := l.clone()
	r.CommandID, r.Sequence = "earlier", 1
	if _, changed, err := l.reserve(r, 2); !errors.Is(err, volume.Aborted) || changed {
		t.Errorf("got %t, %v, want class %s", changed, err, volume.Aborted)
	}
	if l.Used != before.Used || len(l.Pending) != 1 || l.Pending[0] != before.Pending[0] {
		t.Errorf("got %+v, want %+v", l, before)
	}
}

// The largest ledger fits into a message of a server with default settings, and no more
// entries are taken.
func TestLedger_Full_FitsIntoAMessageAndIsBusy(t *testing.T) {
	l := Ledger{SchemaVersion: SchemaVersion, Project: volume.Project(strings.Repeat("p", 63)), SetBy: strings.Repeat("a", 256), SetAt: time.Now()}
	most := Usage{Volumes: 1, Bytes: int64(volume.MaxSize), Snapshots: volume.MaxSnapshots}
	reserve := func(i int) error {
		r := Reservation{
			Key:       volume.Key{Project: "p", Name: volume.Name(fmt.Sprintf("%063d", i))},
			CommandID: volume.CommandID(fmt.Sprintf("%0128d", i)), Sequence: math.MaxUint32, After: most,
		}
		_, _, err := l.reserve(r, math.MaxUint32)
		return err
	}
	for i := range MaxPending {
		if err := reserve(i); err != nil {
			t.Fatal(err)
		}
		l.Pending[i].Before = most
	}
	data, err := json.Marshal(l)
	if err != nil || len(data) > 1<<20-1024 {
		t.Errorf("got %d bytes, %v, want less than 1 MiB", len(data), err)
	}
	if err := reserve(MaxPending); !errors.Is(err, volume.Busy) {
		t.Errorf("got %v, want class %s", err, volume.Busy)
	}
}

func TestLimits_Refused(t *testing.T) {
	limits := Limits{Volumes: Limit(2), Bytes: Limit(100)}
	for _, tt := range []struct {
		used, added Usage
		want        string
	}{
		{Usage{1, 50, 0}, Usage{1, 50, 9}, "[]"},
		{Usage{2, 50, 0}, Usage{1, 50, 0}, "[volumes: limit 2, used 2, asked for 1 more]"},
		{Usage{2, 90, 0}, Usage{0, 11, 0}, "[bytes: limit 100B, used 90B, asked for 11B more]"},
		{Usage{2, 90, 0}, Usage{0, math.MaxInt64, 0}, "[bytes: limit 100B, used 90B, asked for 9223372036854775807B more]"},
		{Usage{5, 900, 0}, Usage{0, 0, 1}, "[]"},
		{Usage{5, 900, 0}, Usage{1, 1, 0}, "[volumes: limit 2, used 5, asked for 1 more bytes: limit 100B, used 900B, asked for 1B more]"},
	} {
		if got := fmt.Sprint(limits.refused(tt.used, tt.added)); got != tt.want {
			t.Errorf("%+v and %+v: got %s, want %s", tt.used, tt.added, got, tt.want)
		}
	}
}
