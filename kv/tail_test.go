package kv_test

import (
	"fmt"
	"sync/atomic"
	"testing"

	"github.com/jetvol/jetvol/internal/natstest"
	"github.com/jetvol/jetvol/kv"
)

// A reader who follows the end of a bucket that grows passes over nothing and is told
// nothing twice, though its reads see the end at different moments.
func TestBucket_List_Picked_GrowingEnd_NothingPassedOver(t *testing.T) {
	const many = 3000
	js := startStore(t)
	b := openBy(js, "picked")
	ctx := testContext(t)
	var written atomic.Bool
	go func() {
		defer written.Store(true)
		for i := range many {
			// One after another, for the reader to keep up.
			if _, err := js.Publish(ctx, fmt.Sprintf("$KV.volumes.default.v-%d", i), []byte(`{"schema_version":1}`)); err != nil {
				t.Error(err)
				return
			}
		}
	}()
	seen, cursor := map[string]int{}, uint64(0)
	for ended := false; len(seen) < many && !ended; {
		ended = written.Load()
		page, next, err := b.List(testContext(t), kv.ListOptions{Filter: "default.*", After: cursor, Limit: 100})
		if err != nil {
			t.Fatal(err)
		}
		for _, entry := range page {
			seen[entry.Key]++
			cursor = entry.Revision
		}
		cursor, ended = max(cursor, next), ended && next == 0 && len(page) == 0
	}
	if len(seen) != many {
		t.Errorf("told %d records, want %d", len(seen), many)
	}
	for key, times := range seen {
		if times != 1 {
			t.Errorf("%s: told %d times", key, times)
		}
	}
}

// A replica that has not got a record yet does not make the list end before it.
func TestBucket_List_Picked_ReplicaBehind_LastRecordIsTold(t *testing.T) {
	cluster := natstest.StartCluster(t, 3)
	js := cluster.JetStream(t)
	provision(t, js, 3)
	b := openBy(js, "picked")
	for i := range 100 {
		key := fmt.Sprintf("default.v-%d", i)
		revision := mustCreate(t, b, key, "new")
		page, _, err := b.List(testContext(t), kv.ListOptions{After: revision - 1, Limit: 10})
		if err != nil || len(page) != 1 || page[0].Key != key {
			t.Fatalf("%s: got %v, %v", key, page, err)
		}
	}
}
