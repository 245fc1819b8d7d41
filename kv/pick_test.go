package kv_test

import (
	"fmt"
	"sync"
	"testing"

	"github.com/nats-io/nats.go/jetstream"

	"github.com/jetvol/jetvol/internal/natstest"
	"github.com/jetvol/jetvol/kv"
)

// ways are the two ways in which a page is read, whatever the size of the store.
var ways = map[string]uint64{"counted": 1 << 62, "picked": 0}

func openBy(js jetstream.JetStream, way string) *kv.Bucket[item] {
	b := openItems(js)
	kv.CountUpTo(b, ways[way])
	return b
}

// holes stores 400 records of default, 60 of other and 3 of rare, of which most were
// written anew, so that there are gaps, and deletes some.
func holes(t *testing.T, js jetstream.JetStream) {
	t.Helper()
	fill(t, js, "default", 400)
	fill(t, js, "rare", 3)
	fill(t, js, "default", 200)
	fill(t, js, "other", 60)
	b := openItems(js)
	for i := range 40 {
		key := fmt.Sprintf("default.v-%d", 190+i)
		revision, _, err := b.Head(testContext(t), key)
		if err == nil {
			err = b.Delete(testContext(t), key, revision)
		}
		if err != nil {
			t.Fatal(err)
		}
	}
}

func TestBucket_List_BothWays_TellTheSame(t *testing.T) {
	js := startStore(t)
	holes(t, js)
	for _, filter := range []string{"", "default.*", "default.>", "other.*", "rare.*", "none.*", "*.v-2", "default.v-7"} {
		for _, limit := range []int{1, 30, 250, 400, 1000} {
			if limit == 1 && filter != "rare.*" || limit == 30 && filter != "default.*" {
				continue // many pages that are like others
			}
			told := map[string][]kv.Entry[item]{}
			for way := range ways {
				walk(t, openBy(js, way), filter, limit, func(page []kv.Entry[item]) { told[way] = append(told[way], page...) })
			}
			if got, want := told["picked"], told["counted"]; fmt.Sprint(got) != fmt.Sprint(want) {
				t.Errorf("%q by %d: picked %d records, counted %d, or others", filter, limit, len(got), len(want))
			}
			if filter == "" && len(told["picked"]) != 423 {
				t.Errorf("by %d: got %d records, want 423", limit, len(told["picked"]))
			}
		}
	}
}

func TestBucket_List_Picked_ConcurrentUpdates_MissNothing(t *testing.T) {
	js := startStore(t)
	b := openBy(js, "picked")
	fill(t, js, "default", manyRecords)
	fill(t, js, "other", 10)
	stop := make(chan struct{})
	var writer sync.WaitGroup
	writer.Go(func() { updateUntil(t, openItems(js), stop) })
	seen := map[string]bool{}
	walk(t, b, "default.*", 250, func(page []kv.Entry[item]) {
		for _, entry := range page {
			seen[entry.Key] = true
		}
	})
	close(stop)
	writer.Wait()
	if len(seen) != manyRecords {
		t.Errorf("told %d records, want %d", len(seen), manyRecords)
	}
}

// With three replicas each read may be answered by one that is behind.
func TestBucket_List_Picked_Replicated_MissesNothing(t *testing.T) {
	const many = 600
	cluster := natstest.StartCluster(t, 3)
	js := cluster.JetStream(t)
	provision(t, js, 3)
	for round := range 3 {
		fill(t, js, "default", many) // each round moves all of them to the end
		seen := map[string]bool{}
		walk(t, openBy(js, "picked"), "default.*", 100, func(page []kv.Entry[item]) {
			for _, entry := range page {
				seen[entry.Key] = true
			}
		})
		if len(seen) != many {
			t.Errorf("round %d: told %d records, want %d", round, len(seen), many)
		}
	}
}

func TestMatchesKey(t *testing.T) {
	for _, c := range []struct {
		filter, key string
		want        bool
	}{
		{">", "a.b", true},
		{"*", "a", true},
		{"*", "a.b", false},
		{"a.*", "a.b", true},
		{"a.*", "a", false},
		{"a.*", "a.b.c", false},
		{"a.>", "a.b.c", true},
		{"a.>", "a", false},
		{"*.b", "a.b", true},
		{"*.b", "a.c", false},
		{"a.b", "a.b", true},
		{"a.b", "a.bb", false},
	} {
		if got := kv.MatchesKey(c.filter, c.key); got != c.want {
			t.Errorf("%s of %s: got %v, want %v", c.key, c.filter, got, c.want)
		}
	}
}
