package kv_test

import (
	"errors"
	"fmt"
	"sync"
	"testing"

	"github.com/jetvol/jetvol/internal/natstest"
	"github.com/jetvol/jetvol/kv"
	"github.com/jetvol/jetvol/volume"
)

// What a key holds before the operation under test.
type prior string

const (
	priorNothing prior = "nothing"
	priorLive    prior = "live record"
	priorChanged prior = "live record changed since"
	priorDeleted prior = "delete marker"
)

// prepare brings key into the given state and returns the revision that a caller would
// have read first, and the current one.
func prepare(t *testing.T, b *kv.Bucket[item], key string, p prior) (read, current uint64) {
	t.Helper()
	if p == priorNothing {
		return 0, 0
	}
	read = mustCreate(t, b, key, "first")
	current = read
	var err error
	switch p {
	case priorChanged:
		current, err = b.CompareAndSet(testContext(t), key, item{1, "second"}, read)
	case priorDeleted:
		err = b.Delete(testContext(t), key, read)
	}
	if err != nil {
		t.Fatal(err)
	}
	return read, current
}

func TestBucket_Writes(t *testing.T) {
	js := startStore(t)
	b := openItems(js)
	create := func(t *testing.T, key string, _ uint64) (uint64, error) {
		return b.Create(testContext(t), key, item{1, "new"})
	}
	createFirst := func(t *testing.T, key string, _ uint64) (uint64, error) {
		return b.CreateFirst(testContext(t), key, item{1, "new"})
	}
	set := func(t *testing.T, key string, read uint64) (uint64, error) {
		return b.CompareAndSet(testContext(t), key, item{1, "new"}, read)
	}
	setAbsent := func(t *testing.T, key string, _ uint64) (uint64, error) { return set(t, key, 0) }
	setMissing := func(t *testing.T, key string, _ uint64) (uint64, error) { return set(t, key, 7777) }
	remove := func(t *testing.T, key string, read uint64) (uint64, error) {
		return 0, b.Delete(testContext(t), key, max(read, 1))
	}
	tests := []struct {
		name   string
		write  func(t *testing.T, key string, read uint64) (uint64, error)
		prior  prior
		want   error
		status string // of the record afterwards; empty for none
	}{
		{"create", create, priorNothing, nil, "new"},
		{"create", create, priorLive, kv.ErrExists, "first"},
		{"create", create, priorChanged, kv.ErrExists, "second"},
		{"create", create, priorDeleted, nil, "new"},
		{"create first", createFirst, priorNothing, nil, "new"},
		{"create first", createFirst, priorLive, kv.ErrExists, "first"},
		{"create first", createFirst, priorChanged, kv.ErrExists, "second"},
		{"create first", createFirst, priorDeleted, kv.ErrExists, ""},
		{"set", set, priorLive, nil, "new"},
		{"set", set, priorChanged, kv.ErrConflict, "second"},
		{"set", set, priorDeleted, kv.ErrNotFound, ""},
		{"set absent", setAbsent, priorNothing, nil, "new"},
		{"set absent", setAbsent, priorLive, kv.ErrConflict, "first"},
		{"set absent", setAbsent, priorDeleted, nil, "new"},
		{"set missing", setMissing, priorNothing, kv.ErrNotFound, ""},
		{"delete", remove, priorNothing, kv.ErrNotFound, ""},
		{"delete", remove, priorLive, nil, ""},
		{"delete", remove, priorChanged, kv.ErrConflict, "second"},
		{"delete", remove, priorDeleted, kv.ErrNotFound, ""},
	}
	for i, tt := range tests {
		t.Run(tt.name+" over "+string(tt.prior), func(t *testing.T) {
			key := fmt.Sprintf("default.write-%d", i)
			read, current := prepare(t, b, key, tt.prior)
			got, err := tt.write(t, key, read)
			if !errors.Is(err, tt.want) {
				t.Fatalf("got error %v, want %v", err, tt.want)
			}
			if conflict, ok := errors.AsType[*kv.ConflictError](err); ok {
				if conflict.Key != key || conflict.Revision != current {
					t.Errorf("got %+v, want key %s at %d", conflict, key, current)
				}
				if tt.name != "delete" && got != current {
					t.Errorf("got revision %d, want the current %d", got, current)
				}
			}
			wantStatus(t, b, key, tt.status)
		})
	}
}

func wantStatus(t *testing.T, b *kv.Bucket[item], key, want string) {
	t.Helper()
	entry, err := b.Get(testContext(t), key)
	if want == "" {
		if !errors.Is(err, kv.ErrNotFound) || !errors.Is(err, volume.NotFound) {
			t.Fatalf("got %v, %v, want %v", entry, err, kv.ErrNotFound)
		}
		return
	}
	if err != nil || entry.Value.Status != want || entry.Key != key || entry.Created.IsZero() {
		t.Fatalf("got %+v, %v, want status %s", entry, err, want)
	}
	revision, created, err := b.Head(testContext(t), key)
	if err != nil || revision != entry.Revision || !created.Equal(entry.Created) {
		t.Fatalf("head: got %d, %v, %v, want those of %+v", revision, created, err, entry)
	}
	direct, err := b.GetDirect(testContext(t), key)
	if err != nil || direct.Value != entry.Value || direct.Revision != entry.Revision || !direct.Created.Equal(entry.Created) {
		t.Fatalf("get direct: got %+v, %v, want %+v", direct, err, entry)
	}
}

// race runs n writers at once and returns their revisions and errors.
func race(n int, write func(i int) (uint64, error)) ([]uint64, []error) {
	revisions, errs := make([]uint64, n), make([]error, n)
	var start, done sync.WaitGroup
	start.Add(1)
	for i := range n {
		done.Go(func() {
			start.Wait()
			revisions[i], errs[i] = write(i)
		})
	}
	start.Done()
	done.Wait()
	return revisions, errs
}

// Requirements D2 and D3: of many writers exactly one wins, and the others learn why.
func TestBucket_Race_OneWins(t *testing.T) {
	js := startStore(t)
	b := openItems(js)
	tests := []struct {
		name    string
		writers int
		prior   prior
		create  bool
		lost    error
	}{
		{"10 claimers of one record", 10, priorLive, false, kv.ErrConflict},
		{"32 creators of one key", 32, priorNothing, true, kv.ErrExists},
		{"32 creators over a delete marker", 32, priorDeleted, true, kv.ErrExists},
	}
	for i, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			key := fmt.Sprintf("default.race-%d", i)
			read, _ := prepare(t, b, key, tt.prior)
			revisions, errs := race(tt.writers, func(i int) (uint64, error) {
				value := item{1, fmt.Sprint("by ", i)}
				if tt.create {
					return b.Create(testContext(t), key, value)
				}
				return b.CompareAndSet(testContext(t), key, value, read)
			})
			checkRace(t, b, key, revisions, errs, tt.lost)
		})
	}
}

func checkRace(t *testing.T, b *kv.Bucket[item], key string, revisions []uint64, errs []error, lost error) {
	t.Helper()
	entry, err := b.Get(testContext(t), key)
	if err != nil {
		t.Fatal(err)
	}
	winners := 0
	for i, err := range errs {
		if err == nil {
			winners++
			if want := fmt.Sprint("by ", i); entry.Value.Status != want || entry.Revision != revisions[i] {
				t.Errorf("stored %+v, want that of the winner, %s at %d", entry, want, revisions[i])
			}
			continue
		}
		if !errors.Is(err, lost) {
			t.Errorf("writer %d: got %v, want %v", i, err, lost)
		}
		if errors.Is(err, kv.ErrConflict) && revisions[i] != entry.Revision {
			t.Errorf("writer %d: got revision %d, want the current %d", i, revisions[i], entry.Revision)
		}
	}
	if winners != 1 {
		t.Errorf("%d winners of %d, want 1", winners, len(errs))
	}
}

func TestBucket_InvalidArguments_SendNothing(t *testing.T) {
	js := startStore(t)
	b := openItems(js)
	ctx := testContext(t)
	for _, key := range []string{"", ".", "a.", ".a", "a..b", "a.*", ">", "a b", "a\nb", "ü", "a.>"} {
		_, get := b.Get(ctx, key)
		_, direct := b.GetDirect(ctx, key)
		_, _, head := b.Head(ctx, key)
		_, create := b.Create(ctx, key, item{})
		for _, err := range []error{get, direct, head, create, b.Delete(ctx, key, 1)} {
			if !errors.Is(err, kv.ErrInvalid) || volume.ClassOf(err) != volume.InvalidArgument {
				t.Errorf("key %q: got %v, want %v", key, err, kv.ErrInvalid)
			}
		}
	}
	if err := b.Delete(ctx, "default.db-01", 0); !errors.Is(err, kv.ErrInvalid) {
		t.Errorf("delete at revision 0: got %v, want %v", err, kv.ErrInvalid)
	}
	for _, filter := range []string{"a*", "a.>.b", ">.a", "*.", "a b"} {
		if _, _, err := b.List(ctx, kv.ListOptions{Filter: filter}); !errors.Is(err, kv.ErrInvalid) {
			t.Errorf("filter %q: got %v, want %v", filter, err, kv.ErrInvalid)
		}
	}
}

func TestBucket_UnreadableRecord_IsTyped(t *testing.T) {
	js := startStore(t)
	b := openItems(js)
	ctx := testContext(t)
	tests := []struct {
		name, stored string
		want         error
	}{
		{"newer", `{"schema_version":2,"status":["other","type"]}`, kv.ErrSchema},
		{"not JSON", `{"schema_version":1`, kv.ErrCorrupt},
		{"empty", ``, kv.ErrCorrupt},
		{"null", `null`, kv.ErrCorrupt},
		{"list", `[1]`, kv.ErrCorrupt},
		{"other type", `{"schema_version":1,"status":5}`, kv.ErrCorrupt},
		{"two values", `{"status":"a"}{"status":"b"}`, kv.ErrCorrupt},
		{"unknown field", `{"schema_version":1,"status":"a","note":"by hand"}`, nil},
	}
	plain, err := js.KeyValue(ctx, kv.VolumesBucket)
	if err != nil {
		t.Fatal(err)
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			if _, err := plain.Put(ctx, "default.odd", []byte(tt.stored)); err != nil {
				t.Fatal(err)
			}
			entry, leader := b.Get(ctx, "default.odd")
			_, direct := b.GetDirect(ctx, "default.odd")
			for _, err := range []error{leader, direct} {
				if !errors.Is(err, tt.want) || tt.want != nil && volume.ClassOf(err) != volume.Internal {
					t.Errorf("got %v, want %v", err, tt.want)
				}
			}
			head, _, err := b.Head(ctx, "default.odd")
			if entry.Revision != head {
				t.Errorf("got revision %d, want %d", entry.Revision, head)
			}
			if err != nil {
				t.Errorf("head: got %v, want none: it does not decode", err)
			}
		})
	}
}

func TestBucket_MissingBucket_IsUnavailable(t *testing.T) {
	js := natstest.Start(t).JetStream(t)
	b := openItems(js)
	ctx := testContext(t)
	_, get := b.Get(ctx, "default.db-01")
	_, direct := b.GetDirect(ctx, "default.db-01")
	_, create := b.Create(ctx, "default.db-01", item{})
	_, _, list := b.List(ctx, kv.ListOptions{})
	var watch error
	for _, err := range b.Watch(ctx, "") {
		watch = err
	}
	for i, err := range []error{get, direct, create, list, watch} {
		if !errors.Is(err, kv.ErrUnavailable) || volume.ClassOf(err) != volume.Unavailable || errors.Is(err, kv.ErrNotFound) {
			t.Errorf("operation %d: got %v, want %v", i, err, kv.ErrUnavailable)
		}
	}
	if _, err := js.CreateStream(ctx, kv.VolumesConfig(1)); err != nil {
		t.Fatal(err)
	}
	if _, err := b.Get(ctx, "default.db-01"); !errors.Is(err, kv.ErrNotFound) {
		t.Errorf("after provisioning: got %v, want %v", err, kv.ErrNotFound)
	}
}
