package quotas_test

import (
	"context"
	"errors"
	"reflect"
	"testing"

	"github.com/jetvol/jetvol/quotas"
	"github.com/jetvol/jetvol/volume"
)

// Each fault that a ledger can have is planted, named, and gone after a repair.
func TestVerify_PlantedFaults_AreNamedAndRepaired(t *testing.T) {
	pending := func(sequence uint64) quotas.Entry {
		return quotas.Entry{
			Volume: "new", CommandID: "c1", Sequence: sequence, At: 99, Peak: quotas.Usage{Volumes: 1, Bytes: int64(volume.GiB)},
		}
	}
	for _, tt := range []struct {
		name   string
		plant  func(*env)
		wanted []string
		fault  bool
	}{
		{"none", func(*env) {}, nil, false},
		{"used edited", func(e *env) {
			e.plant(func(l *quotas.Ledger) { l.Used.Volumes--; l.Used.Snapshots += 2 })
		}, []string{"used_differs volumes: the ledger says 1, the records 2", "used_differs snapshots: the ledger says 2, the records 0"}, true},
		{"pending left over", func(e *env) {
			e.plant(func(l *quotas.Ledger) {
				entry := pending(12345)
				l.Pending, l.Used = append(l.Pending, entry), l.Used.Plus(entry.Peak)
			})
		}, []string{"stale_pending volume new: command c1 is not in its stream any more"}, true},
		{"pending of a command that waits", func(e *env) {
			sequence := e.command("new").Sequence
			e.plant(func(l *quotas.Ledger) {
				entry := pending(sequence)
				l.Pending, l.Used = append(l.Pending, entry), l.Used.Plus(entry.Peak)
			})
		}, nil, false},
		{"pending not counted", func(e *env) {
			sequence := e.command("new").Sequence
			e.plant(func(l *quotas.Ledger) { l.Pending = append(l.Pending, pending(sequence)) })
		}, []string{"used_differs volumes: the ledger says 2, the records 3", "used_differs bytes: the ledger says 2GiB, the records 3GiB"}, true},
		{"record deleted by hand", func(e *env) {
			revision, _, err := e.records.Head(e.ctx, key("a").String())
			e.must(err)
			e.must(e.records.Delete(e.ctx, key("a").String(), revision))
		}, []string{"used_differs volumes: the ledger says 2, the records 1", "used_differs bytes: the ledger says 2GiB, the records 1GiB"}, true},
		{"limit exceeded", func(e *env) {
			e.plant(func(l *quotas.Ledger) { l.Limits.Volumes = quotas.Limit(1) })
		}, []string{"over_limit volumes: limit 1, used 2"}, false},
		{"not derived", func(e *env) {
			e.plant(func(l *quotas.Ledger) { l.Deriving, l.Used = true, quotas.Usage{} })
		}, []string{"not_derived"}, true},
	} {
		t.Run(tt.name, func(t *testing.T) {
			e := start(t)
			e.plantRecord("a")
			e.plantRecord("b")
			e.set(quotas.Limits{Volumes: quotas.Limit(10)})
			tt.plant(e)
			report := e.verify()
			e.wantFindings(report, tt.wanted...)
			if report.Fault() != tt.fault {
				t.Errorf("fault: got %t, want %t", report.Fault(), tt.fault)
			}
			repaired, err := e.client.Repair(e.ctx, "p")
			if err != nil || repaired.Repaired != tt.fault {
				t.Fatalf("repair: got %+v, %v, want repaired %t", repaired, err, tt.fault)
			}
			if after := e.verify(); after.Fault() {
				t.Errorf("after the repair: %+v", after)
			}
		})
	}
}

// A set counts what there is: settled, under way, gone.
func TestSet_FirstTime_DerivesFromRecords(t *testing.T) {
	e := start(t)
	e.plantRecord("a", func(r *volume.Record) { r.Snapshots = 2 })
	e.plantRecord("gone", func(r *volume.Record) { r.State = volume.StateDeleted })
	e.plantRecord("never", func(r *volume.Record) { r.State = volume.StatePending })
	e.plantRecord("new", func(r *volume.Record) {
		r.State, r.Op = volume.StateCreating, &volume.Op{Verb: volume.VerbCreate, CommandID: "c1", Sequence: 7}
	})
	l := e.set(quotas.Limits{})
	if want := (quotas.Usage{Volumes: 2, Bytes: 2 * int64(volume.GiB), Snapshots: 2}); l.Used != want || l.Deriving || len(l.Pending) != 1 {
		t.Errorf("got %+v, want %+v used, and the command under way pending", l, want)
	}
	if l.SetBy != "test" || l.SetAt.IsZero() {
		t.Errorf("got set by %q at %s", l.SetBy, l.SetAt)
	}
	e.wantFindings(e.verify())
}

func TestSet_WorkerThatDoesNotTell_IsNamedAndNothingIsInForce(t *testing.T) {
	e := start(t)
	e.lease("old")
	ctx, cancel := context.WithTimeout(e.ctx, limit/60)
	defer cancel()
	_, err := e.client.Set(ctx, quotas.SetRequest{Project: "p", Change: func(l quotas.Limits) quotas.Limits { return l }})
	var unseen *quotas.UnseenError
	if !errors.As(err, &unseen) || len(unseen.Workers) != 1 || unseen.Workers[0] != "old" || !errors.Is(err, volume.Unavailable) {
		t.Fatalf("got %v, want worker old named", err)
	}
	e.wantFindings(e.verify(), "not_derived")
	e.plant(func(l *quotas.Ledger) { l.Seen = append(l.Seen, "i-old") })
	e.set(quotas.Limits{}) // once more, now that it has told
	e.wantFindings(e.verify())
}

// A preview is what Set stores then, but for what only the workers and the records tell.
func TestPreview_NewAndExisting_IsWhatSetStoresAndStoresNothing(t *testing.T) {
	e := start(t)
	e.plantRecord("a")
	for _, change := range []func(quotas.Limits) quotas.Limits{
		func(l quotas.Limits) quotas.Limits { l.Volumes = quotas.Limit(4); return l },
		func(l quotas.Limits) quotas.Limits { l.Bytes = quotas.Limit(1); return l },
	} {
		request := quotas.SetRequest{Project: "p", Actor: "test", Change: change}
		before, beforeErr := e.client.Get(e.ctx, "p")
		preview, err := e.client.Preview(e.ctx, request)
		e.must(err)
		if after, err := e.client.Get(e.ctx, "p"); !reflect.DeepEqual(after, before) || (err == nil) != (beforeErr == nil) {
			t.Errorf("got %+v (%v) stored, want %+v as before", after, err, before)
		}
		l, err := e.client.Set(e.ctx, request)
		e.must(err)
		if !reflect.DeepEqual(preview.Limits, l.Limits) || preview.SetBy != l.SetBy || preview.SetAt.IsZero() || preview.Deriving != (beforeErr != nil) {
			t.Errorf("got preview %+v, want %+v", preview, l)
		}
	}
}

func TestClient_WrongRequests_AreRefused(t *testing.T) {
	e := start(t)
	keep := func(l quotas.Limits) quotas.Limits { return l }
	negative := func(quotas.Limits) quotas.Limits { return quotas.Limits{Bytes: quotas.Limit(-1)} }
	for name, ask := range map[string]func(context.Context, quotas.SetRequest) (quotas.Ledger, error){"set": e.client.Set, "preview": e.client.Preview} {
		if _, err := ask(e.ctx, quotas.SetRequest{Project: "No", Change: keep}); !errors.Is(err, volume.ErrInvalidName) {
			t.Errorf("%s: got %v, want %s", name, err, volume.ErrInvalidName)
		}
		if _, err := ask(e.ctx, quotas.SetRequest{Project: "p", Change: negative}); !errors.Is(err, volume.ErrInvalidArgument) {
			t.Errorf("%s: got %v, want %s", name, err, volume.ErrInvalidArgument)
		}
	}
	for name, err := range map[string]error{
		"get":    second(e.client.Get(e.ctx, "p")),
		"verify": second(e.client.Verify(e.ctx, "p")),
		"repair": second(e.client.Repair(e.ctx, "p")),
		"clear":  e.client.Clear(e.ctx, "p"),
	} {
		if !errors.Is(err, quotas.ErrNoQuota) || !errors.Is(err, volume.NotFound) {
			t.Errorf("%s: got %v, want %v", name, err, quotas.ErrNoQuota)
		}
	}
}

func second[T any](_ T, err error) error { return err }

// An unreadable record is not taken for none.
func TestVerify_UnreadableRecord_IsAnError(t *testing.T) {
	e := start(t)
	e.set(quotas.Limits{})
	_, err := e.js.Publish(e.ctx, "$KV.volumes.p.bad", []byte("x"))
	e.must(err)
	if _, err := e.client.Verify(e.ctx, "p"); err == nil {
		t.Error("got nil, want an error that names the record")
	}
}
