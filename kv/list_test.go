package kv_test

import (
	"errors"
	"fmt"
	"runtime"
	"slices"
	"strings"
	"sync"
	"testing"

	"github.com/nats-io/nats.go/jetstream"

	"github.com/jetvol/jetvol/kv"
)

const manyRecords = 5000

// fill stores n records `<project>.v-<i>` by plain publishes, all in flight at once.
func fill(t testing.TB, js jetstream.JetStream, project string, n int) {
	t.Helper()
	fillWith(t, js, project, n, `{"schema_version":1,"status":"full"}`)
}

func fillWith(t testing.TB, js jetstream.JetStream, project string, n int, value string) {
	t.Helper()
	var acks []jetstream.PubAckFuture
	for i := range n {
		ack, err := js.PublishAsync(fmt.Sprintf("$KV.volumes.%s.v-%d", project, i), []byte(value), jetstream.WithStallWait(testTimeout))
		if err != nil {
			t.Fatal(err)
		}
		acks = append(acks, ack)
	}
	<-js.PublishAsyncComplete()
	for _, ack := range acks {
		select {
		case err := <-ack.Err():
			t.Fatal(err)
		default:
		}
	}
}

// walk pages through everything and calls see for each page.
func walk(t testing.TB, b *kv.Bucket[item], filter string, limit int, see func([]kv.Entry[item])) {
	t.Helper()
	cursor := uint64(0)
	for {
		page, next, err := b.List(testContext(t), kv.ListOptions{Filter: filter, After: cursor, Limit: limit})
		if err != nil {
			t.Fatal(err)
		}
		if len(page) > limit {
			t.Fatalf("page of %d records, want at most %d", len(page), limit)
		}
		if len(page) > 0 && page[0].Revision <= cursor {
			t.Fatalf("page begins at revision %d, want one after %d", page[0].Revision, cursor)
		}
		see(page)
		if next == 0 {
			return
		}
		if next <= cursor {
			t.Fatalf("cursor %d after %d: it must grow", next, cursor)
		}
		cursor = next
	}
}

func TestBucket_List_ConcurrentUpdates_MissesNothing(t *testing.T) {
	js := startStore(t)
	b := openItems(js)
	fill(t, js, "default", manyRecords)
	fill(t, js, "other", 10)
	stop := make(chan struct{})
	var writer sync.WaitGroup
	writer.Go(func() { updateUntil(t, b, stop) })

	seen := map[string]int{}
	walk(t, b, "default.*", 250, func(page []kv.Entry[item]) {
		for _, entry := range page {
			seen[entry.Key]++
		}
	})
	close(stop)
	writer.Wait()
	if len(seen) != manyRecords {
		t.Errorf("told %d records, want %d", len(seen), manyRecords)
	}
}

// The embedded server lives on the same heap, so its caches are warmed first. What they
// still do is below half of what 24 MB of records would be if they were kept.
func TestBucket_List_MemoryIsFlat(t *testing.T) {
	js := startStore(t)
	fillWith(t, js, "default", 3000, fmt.Sprintf(`{"schema_version":1,"status":%q}`, strings.Repeat("x", 8<<10)))
	plain, err := js.KeyValue(testContext(t), kv.VolumesBucket)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := plain.Keys(testContext(t)); err != nil {
		t.Fatal(err)
	}
	before, peak := heap(), uint64(0)
	walk(t, openItems(js), "", 250, func([]kv.Entry[item]) { peak = max(peak, heap()) })
	if growth := int64(peak) - int64(before); growth > 10<<20 {
		t.Errorf("heap grew by %d bytes, want it flat", growth)
	}
}

func updateUntil(t *testing.T, b *kv.Bucket[item], stop <-chan struct{}) {
	for i := 0; ; i++ {
		select {
		case <-stop:
			return
		default:
		}
		key := fmt.Sprintf("default.v-%d", i*7919%manyRecords)
		entry, err := b.Get(testContext(t), key)
		if err == nil {
			_, err = b.CompareAndSet(testContext(t), key, item{1, "changed"}, entry.Revision)
		}
		if err != nil {
			t.Error(err)
			return
		}
	}
}

func heap() uint64 {
	runtime.GC()
	var stats runtime.MemStats
	runtime.ReadMemStats(&stats)
	return stats.HeapAlloc
}

func TestBucket_List_Pages(t *testing.T) {
	js := startStore(t)
	b := openItems(js)
	fill(t, js, "one", 5)
	fill(t, js, "two", 3)
	if err := b.Delete(testContext(t), "one.v-1", 2); err != nil {
		t.Fatal(err)
	}
	tests := []struct {
		filter string
		limit  int
		want   string
	}{
		{"", 100, "[[one.v-0 one.v-2 one.v-3 one.v-4 two.v-0 two.v-1 two.v-2]]"},
		{"one.*", 2, "[[one.v-0 one.v-2] [one.v-3 one.v-4] []]"}, // the last is the marker alone
		{"two.*", 3, "[[two.v-0 two.v-1 two.v-2]]"},
		{"two.>", 2, "[[two.v-0 two.v-1] [two.v-2]]"},
		{"*.v-0", 5, "[[one.v-0 two.v-0]]"},
		{"one.v-1", 5, "[[]]"},
		{"none.*", 5, "[[]]"},
	}
	for _, tt := range tests {
		t.Run(fmt.Sprint(tt.filter, " by ", tt.limit), func(t *testing.T) {
			pages := [][]string{}
			walk(t, b, tt.filter, tt.limit, func(page []kv.Entry[item]) {
				keys := []string{}
				for _, entry := range page {
					keys = append(keys, entry.Key)
				}
				pages = append(pages, keys)
			})
			if got := fmt.Sprint(pages); got != tt.want {
				t.Errorf("got %v, want %v", got, tt.want)
			}
		})
	}
}

func TestBucket_List_UnreadableRecord_IsNamedAndPassed(t *testing.T) {
	js := startStore(t)
	b := openItems(js)
	ctx := testContext(t)
	mustCreate(t, b, "default.a", "good")
	for key, data := range map[string]string{"b": `{"schema_version":99}`, "c": `x`} {
		if _, err := js.Publish(ctx, "$KV.volumes.default."+key, []byte(data)); err != nil {
			t.Fatal(err)
		}
	}
	mustCreate(t, b, "default.d", "good")
	page, next, err := b.List(ctx, kv.ListOptions{})
	if len(page) != 2 || next != 0 {
		t.Errorf("got %v and cursor %d, want the two readable records and 0", page, next)
	}
	if !errors.Is(err, kv.ErrSchema) || !errors.Is(err, kv.ErrCorrupt) {
		t.Errorf("got %v, want both %v and %v", err, kv.ErrSchema, kv.ErrCorrupt)
	}
	var told []string
	for entry, err := range b.All(ctx, "default.*") {
		if err != nil && (!kv.Unreadable(err) || entry.Revision == 0) {
			t.Errorf("%s: got %v at revision %d", entry.Key, err, entry.Revision)
		}
		told = append(told, fmt.Sprintf("%s %s %t", entry.Key, entry.Value.Status, err == nil))
	}
	slices.Sort(told)
	want := []string{"default.a good true", "default.b  false", "default.c  false", "default.d good true"}
	if !slices.Equal(told, want) {
		t.Errorf("All: got %q, want %q", told, want)
	}
}

func TestBucket_All_SeveralPages_EachOnceAndFailureLast(t *testing.T) {
	js := startStore(t)
	b := openItems(js)
	fill(t, js, "default", kv.MaxPageSize+5)
	told := map[string]bool{}
	for entry, err := range b.All(testContext(t), "") {
		if err != nil || told[entry.Key] {
			t.Fatalf("%s: got %v, told before %t", entry.Key, err, told[entry.Key])
		}
		told[entry.Key] = true
	}
	if len(told) != kv.MaxPageSize+5 {
		t.Errorf("got %d records, want %d", len(told), kv.MaxPageSize+5)
	}
	failures := 0
	for _, err := range b.All(testContext(t), "a*") {
		if failures++; !errors.Is(err, kv.ErrInvalid) || kv.Unreadable(err) {
			t.Errorf("got %v, want %v", err, kv.ErrInvalid)
		}
	}
	if failures != 1 {
		t.Errorf("got %d failures, want 1", failures)
	}
}

func TestBucket_List_LeavesNoConsumer(t *testing.T) {
	js := startStore(t)
	b := openItems(js)
	fill(t, js, "default", 20)
	deleted, err := js.Conn().SubscribeSync("$JS.EVENT.ADVISORY.CONSUMER.DELETED.KV_volumes.*")
	if err != nil {
		t.Fatal(err)
	}
	pages := 0
	walk(t, b, "", 5, func([]kv.Entry[item]) { pages++ })
	for range pages {
		if _, err := deleted.NextMsg(testTimeout); err != nil {
			t.Fatalf("a consumer of %d pages was not deleted: %v", pages, err)
		}
	}
}

// BenchmarkBucket_List shows how a page's cost follows the size of the store.
func BenchmarkBucket_List(b *testing.B) {
	for _, stored := range []int{1000, 20000, 200000} {
		js := startStore(b)
		fill(b, js, "default", stored)
		items := openItems(js)
		for _, filter := range []string{"default.*", ">"} {
			for place, after := range map[string]uint64{"first": 0, "middle": uint64(stored / 2)} {
				b.Run(fmt.Sprintf("%d/%s/%s", stored, filter, place), func(b *testing.B) {
					for b.Loop() {
						page, _, err := items.List(b.Context(), kv.ListOptions{Filter: filter, After: after})
						if err != nil || len(page) != kv.DefaultPageSize {
							b.Fatalf("got %d records, %v", len(page), err)
						}
					}
				})
			}
		}
	}
}
