package kv_test

import (
	"fmt"
	"slices"
	"testing"

	"github.com/jetvol/jetvol/kv"
)

// What was written since, in its latest form, and what went; not what is as it was.
func TestBucket_ListSince_ChangesAndMarkers_AreTold(t *testing.T) {
	js := startStore(t)
	b := openItems(js)
	ctx := testContext(t)
	const many = kv.MaxPageSize + 10
	fill(t, js, "default", many)
	mustCreate(t, b, "other.a", "not asked for")
	all, gone, last, err := b.ListSince(ctx, "default.*", 0)
	if err != nil || len(all) != many || len(gone) != 0 || last != many {
		t.Fatalf("got %d records, %d gone, up to %d, %v; want %d", len(all), len(gone), last, err, many)
	}
	if _, _, same, err := b.ListSince(ctx, "default.*", last); err != nil || same != last {
		t.Errorf("got up to %d, %v, want %d", same, err, last)
	}
	first := mustCreate(t, b, "default.new", "one")
	second, err := b.CompareAndSet(ctx, "default.new", item{1, "two"}, first)
	if err != nil {
		t.Fatal(err)
	}
	if err := b.Delete(ctx, all[3].Key, all[3].Revision); err != nil {
		t.Fatal(err)
	}
	changed, gone, last, err := b.ListSince(ctx, "default.*", last)
	if err != nil || len(changed) != 1 || changed[0].Value.Status != "two" || changed[0].Revision != second {
		t.Errorf("got %+v, %v, want the new record as it is now", changed, err)
	}
	if !slices.Equal(gone, []string{all[3].Key}) || last != second+1 {
		t.Errorf("got %v gone, up to %d, want %s and %d", gone, last, all[3].Key, second+1)
	}
}

func TestBucket_ListSince_UnreadableRecord_IsAnError(t *testing.T) {
	js := startStore(t)
	b := openItems(js)
	if _, err := js.Publish(testContext(t), "$KV.volumes.default.a", []byte("x")); err != nil {
		t.Fatal(err)
	}
	if _, _, _, err := b.ListSince(testContext(t), "default.*", 0); err == nil {
		t.Error("got nil for a record that is none")
	}
}

// A list that is asked for while others write ends, and misses nothing that was there before.
func TestBucket_ListSince_WhileWritten_Ends(t *testing.T) {
	js := startStore(t)
	b := openItems(js)
	ctx := testContext(t)
	stop, stopped := make(chan struct{}), make(chan struct{})
	go func() {
		defer close(stopped)
		for i := 0; ; i++ {
			select {
			case <-stop:
				return
			default:
				if _, err := b.Create(ctx, fmt.Sprintf("default.w-%d", i), item{1, "x"}); err != nil {
					t.Error(err)
					return
				}
			}
		}
	}()
	for i := range 20 {
		key := fmt.Sprintf("default.mine-%d", i)
		revision := mustCreate(t, b, key, "mine")
		got, _, last, err := b.ListSince(ctx, "default.*", revision-1)
		if err != nil || last < revision || len(got) == 0 || got[0].Key != key {
			t.Fatalf("got %d records up to %d, %v, want %s at %d", len(got), last, err, key, revision)
		}
	}
	close(stop)
	<-stopped
}
