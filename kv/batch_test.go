package kv_test

import (
	"context"
	"errors"
	"fmt"
	"net"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"

	"github.com/jetvol/jetvol/internal/natstest"
	"github.com/jetvol/jetvol/kv"
)

// batchEnv is a bucket for batches on one server or on three.
type batchEnv struct {
	js      jetstream.JetStream
	connect func(testing.TB, ...nats.Option) *nats.Conn
	items   *kv.Bucket[item]
}

func (e batchEnv) batch() *kv.Batch { return kv.NewBatch(e.js, kv.SnapshotsBucket) }

// batchTests run against one server and against a replicated bucket, each with keys of
// its own.
var batchTests = []struct {
	name string
	run  func(*testing.T, batchEnv)
}{
	{"Commit_AllKinds_StoresAllWithTheirRevisions", testBatchStoresAll},
	{"Commit_ConflictAtAnyPosition_ChangesNothing", testBatchConflicts},
	{"Commit_OverMarkers_Creates", testBatchOverMarkers},
	{"Commit_MarkerExpires_LeavesNothing", testBatchMarkerExpires},
	{"Commit_Malformed_SendsNothing", testBatchMalformed},
	{"Commit_OneMessageTooLarge_StoresNothing", testBatchPayloadTooLarge},
	{"Commit_Concurrent_OneWinsEachRound", testBatchConcurrent},
	{"Commit_ManyExpectOneKey_AllAreStored", testBatchFan},
	{"Commit_AnswerLost_CommitAgainFindsIt", testBatchAnswerLost},
	{"Commit_ClientDiesHalfway_LeavesNothing", testBatchHalf},
	{"ListCurrent_AfterEachWrite_SeesIt", testListCurrent},
	{"ListCurrent_MoreThanOneAnswer_SeesAll", testListCurrentMany},
}

func TestBatch_OneServer(t *testing.T) {
	server := natstest.Start(t)
	runBatchTests(t, server.JetStream(t), server.Connect, 1)
}

func TestBatch_Replicated(t *testing.T) {
	cluster := natstest.StartCluster(t, 3)
	runBatchTests(t, cluster.JetStream(t), cluster.Connect, 3)
}

func runBatchTests(t *testing.T, js jetstream.JetStream, connect func(testing.TB, ...nats.Option) *nats.Conn, replicas int) {
	if _, err := js.CreateStream(testContext(t), kv.SnapshotsConfig(replicas)); err != nil {
		t.Fatal(err)
	}
	env := batchEnv{js: js, connect: connect, items: kv.Open[item](js, kv.SnapshotsBucket)}
	for _, test := range batchTests {
		t.Run(test.name, func(t *testing.T) { test.run(t, env) })
	}
}

// lastSequence is that of the stream: unchanged means that nothing at all was stored.
func (e batchEnv) lastSequence(t *testing.T) uint64 {
	t.Helper()
	stream, err := e.js.Stream(testContext(t), "KV_"+kv.SnapshotsBucket)
	if err != nil {
		t.Fatal(err)
	}
	return stream.CachedInfo().State.LastSeq
}

func (e batchEnv) want(t *testing.T, key, status string, revision uint64) {
	t.Helper()
	entry, err := e.items.Get(testContext(t), key)
	if status == "" && errors.Is(err, kv.ErrNotFound) {
		return
	}
	if err != nil || entry.Value.Status != status || revision != 0 && entry.Revision != revision {
		t.Errorf("%s: got %+v, %v, want %q at revision %d", key, entry, err, status, revision)
	}
}

func testBatchStoresAll(t *testing.T, e batchEnv) {
	changed, deleted := mustCreate(t, e.items, "all.changed", "old"), mustCreate(t, e.items, "all.deleted", "old")
	kept := mustCreate(t, e.items, "all.kept", "old")
	mustCreate(t, e.items, "all.cleared", "old")
	b := e.batch()
	b.CompareAndSet("all.changed", item{1, "new"}, changed)
	b.Create("all.created", item{1, "new"})
	b.Delete("all.deleted", deleted)
	b.Put("all.put", item{1, "new"})
	b.Clear("all.cleared")
	b.Expect("all.kept", kept)
	b.Expect("all.absent", 0)
	b.ExpectLast("all.none.>", 0) // the third expectation needs a carrier
	revisions, err := b.Commit(testContext(t))
	if err != nil {
		t.Fatal(err)
	}
	if len(revisions) != b.Len() {
		t.Errorf("got revisions %v, want %d", revisions, b.Len())
	}
	for _, key := range []string{"all.changed", "all.created", "all.put"} {
		e.want(t, key, "new", revisions[key])
	}
	e.want(t, "all.deleted", "", 0)
	e.want(t, "all.cleared", "", 0)
	e.want(t, "all.kept", "old", kept)
	listed, _, err := e.items.ListCurrent(testContext(t), ">")
	for _, entry := range listed {
		if !strings.HasPrefix(entry.Key, "all.") {
			t.Errorf("listed %q: a carrier shows", entry.Key)
		}
	}
	if err != nil || len(listed) != 4 {
		t.Errorf("got %v, %v, want four records", listed, err)
	}
}

// Each kind of condition is broken in turn, with sound ones before and after it.
func testBatchConflicts(t *testing.T, e batchEnv) {
	base := map[string]uint64{}
	for _, key := range []string{"a", "b", "c", "d", "moved", "gone"} {
		base[key] = mustCreate(t, e.items, "pos."+key, "old")
	}
	moved, err := e.items.CompareAndSet(testContext(t), "pos.moved", item{1, "moved"}, base["moved"])
	if err != nil {
		t.Fatal(err)
	}
	if err := e.items.Delete(testContext(t), "pos.gone", base["gone"]); err != nil {
		t.Fatal(err)
	}
	broken := map[string]struct {
		spoil    func(*kv.Batch)
		key      string
		revision uint64
	}{
		"compare-and-set of a moved one":  {func(b *kv.Batch) { b.CompareAndSet("pos.moved", item{1, "x"}, base["moved"]) }, "pos.moved", moved},
		"compare-and-set of a gone one":   {func(b *kv.Batch) { b.CompareAndSet("pos.gone", item{1, "x"}, base["gone"]) }, "pos.gone", 0},
		"create of one that exists":       {func(b *kv.Batch) { b.Create("pos.moved", item{1, "x"}) }, "pos.moved", moved},
		"delete of a moved one":           {func(b *kv.Batch) { b.Delete("pos.moved", base["moved"]) }, "pos.moved", moved},
		"expectation of a moved one":      {func(b *kv.Batch) { b.Expect("pos.moved", base["moved"]) }, "pos.moved", moved},
		"expectation that none is there":  {func(b *kv.Batch) { b.Expect("pos.moved", 0) }, "pos.moved", moved},
		"expectation of a gone one":       {func(b *kv.Batch) { b.Expect("pos.gone", base["gone"]) }, "pos.gone", 0},
		"expectation of a filter's last":  {func(b *kv.Batch) { b.ExpectLast("pos.m*", base["moved"]) }, "", 0},
		"expectation that a filter holds": {func(b *kv.Batch) { b.ExpectLast("pos.>", 0) }, "pos.>", moved + 1},
	}
	changes := []func(*kv.Batch){
		func(b *kv.Batch) { b.CompareAndSet("pos.a", item{1, "new"}, base["a"]) },
		func(b *kv.Batch) { b.Create("pos.new", item{1, "new"}) },
		func(b *kv.Batch) { b.Delete("pos.b", base["b"]) },
		func(b *kv.Batch) { b.Put("pos.c", item{1, "new"}) },
	}
	for name, test := range broken {
		for position := range len(changes) + 1 {
			before := e.lastSequence(t)
			b := e.batch()
			for i, change := range changes {
				if i == position {
					test.spoil(b)
				}
				change(b)
			}
			if position == len(changes) {
				test.spoil(b)
			}
			_, err := b.Commit(testContext(t))
			if test.key == "" { // not a filter at all
				if !errors.Is(err, kv.ErrInvalid) {
					t.Errorf("%s: got %v, want ErrInvalid", name, err)
				}
				continue
			}
			var conflict *kv.ConflictError
			if !errors.As(err, &conflict) || conflict.Key != test.key || conflict.Revision != test.revision {
				t.Errorf("%s at position %d: got %v, want a conflict at %s, revision %d", name, position, err, test.key, test.revision)
			}
			if after := e.lastSequence(t); after != before {
				t.Fatalf("%s at position %d: got %d messages stored, want none", name, position, after-before)
			}
		}
	}
}

func testBatchOverMarkers(t *testing.T, e batchEnv) {
	for _, key := range []string{"marker.one", "marker.two"} {
		if err := e.items.Delete(testContext(t), key, mustCreate(t, e.items, key, "old")); err != nil {
			t.Fatal(err)
		}
	}
	b := e.batch()
	b.Create("marker.one", item{1, "new"})
	b.Expect("marker.two", 0)
	if _, err := b.Commit(testContext(t)); err != nil {
		t.Fatal(err)
	}
	e.want(t, "marker.one", "new", 0)
}

func testBatchMarkerExpires(t *testing.T, e batchEnv) {
	revision := mustCreate(t, e.items, "expiring.one", "old")
	b := e.batch()
	b.Delete("expiring.one", revision, kv.TTL(time.Second))
	if _, err := b.Commit(testContext(t)); err != nil {
		t.Fatal(err)
	}
	ctx := testContext(t)
	tick := time.NewTicker(50 * time.Millisecond)
	defer tick.Stop()
	for {
		last, err := e.items.Last(ctx, "expiring.>")
		if err != nil {
			t.Fatal(err)
		}
		if last == 0 {
			break
		}
		<-tick.C
	}
	again := e.batch()
	again.CompareAndSet("expiring.one", item{1, "x"}, revision)
	var conflict *kv.ConflictError
	if _, err := again.Commit(ctx); !errors.As(err, &conflict) {
		t.Errorf("got %v, want a conflict: the revision never comes back", err)
	}
}

func testBatchMalformed(t *testing.T, e batchEnv) {
	before := e.lastSequence(t)
	tests := map[string]func(*kv.Batch){
		"empty":                func(*kv.Batch) {},
		"key":                  func(b *kv.Batch) { b.Create("a..b", item{}) },
		"expected key":         func(b *kv.Batch) { b.Put("bad.a", item{}); b.Expect("a b", 1) },
		"no object":            func(b *kv.Batch) { b.Create("bad.a", 7) },
		"does not encode":      func(b *kv.Batch) { b.Create("bad.a", func() {}) },
		"key twice":            func(b *kv.Batch) { b.Create("bad.a", item{}); b.Delete("bad.a", 1) },
		"expected and changed": func(b *kv.Batch) { b.Put("bad.a", item{}); b.Expect("bad.a", 0) },
		"delete of nothing":    func(b *kv.Batch) { b.Delete("bad.a", 0) },
		"too many": func(b *kv.Batch) {
			for i := range kv.MaxBatchSize + 1 {
				b.Put(fmt.Sprint("bad.", i), item{})
			}
		},
	}
	for name, fill := range tests {
		b := e.batch()
		fill(b)
		if _, err := b.Commit(testContext(t)); !errors.Is(err, kv.ErrInvalid) {
			t.Errorf("%s: got %v, want ErrInvalid", name, err)
		}
	}
	if after := e.lastSequence(t); after != before {
		t.Errorf("got %d messages stored", after-before)
	}
	full := e.batch()
	for i := range kv.MaxBatchSize {
		full.Put(fmt.Sprint("full.", i), item{})
	}
	if _, err := full.Commit(testContext(t)); err != nil {
		t.Errorf("the largest batch: %v", err)
	}
}

func testBatchPayloadTooLarge(t *testing.T, e batchEnv) {
	before := e.lastSequence(t)
	b := e.batch()
	b.Create("large.a", item{1, "new"})
	b.Create("large.b", item{1, strings.Repeat("x", 2<<20)})
	b.Create("large.c", item{1, "new"})
	if _, err := b.Commit(testContext(t)); !errors.Is(err, kv.ErrInvalid) {
		t.Errorf("got %v, want ErrInvalid", err)
	}
	if after := e.lastSequence(t); after != before {
		t.Errorf("got %d messages stored", after-before)
	}
}

// Several writers move two records in step. If a batch were ever stored in part, or two
// were stored on one base, the records would differ or the count would be off.
func testBatchConcurrent(t *testing.T, e batchEnv) {
	const writers, each = 6, 15
	mustCreate(t, e.items, "pair.left", "0")
	mustCreate(t, e.items, "pair.right", "0")
	var all sync.WaitGroup
	var wins atomic.Int64
	for w := range writers {
		all.Go(func() {
			for done := 0; done < each; {
				left, err := e.items.Get(testContext(t), "pair.left")
				if err != nil {
					t.Error(err)
					return
				}
				right, err := e.items.Get(testContext(t), "pair.right")
				if err != nil {
					t.Error(err)
					return
				}
				value := item{1, fmt.Sprintf("%d-%d", w, done)}
				b := e.batch()
				b.CompareAndSet("pair.right", value, right.Revision)
				b.CompareAndSet("pair.left", value, left.Revision)
				switch _, err := b.Commit(testContext(t)); {
				case err == nil:
					wins.Add(1)
					done++
				case !errors.Is(err, kv.ErrConflict):
					t.Error(err)
					return
				}
			}
		})
	}
	all.Wait()
	left, _ := e.items.Get(testContext(t), "pair.left")
	e.want(t, "pair.right", left.Value.Status, left.Revision-1)
	if wins.Load() != writers*each {
		t.Errorf("got %d stored, want %d", wins.Load(), writers*each)
	}
}

// Batches that only expect the same key do not exclude each other.
func testBatchFan(t *testing.T, e batchEnv) {
	parent := mustCreate(t, e.items, "fan.parent", "old")
	var all sync.WaitGroup
	for i := range 32 {
		all.Go(func() {
			b := e.batch()
			b.Create(fmt.Sprint("fan.e.", i), item{1, "child"})
			b.Put(fmt.Sprint("fan.c.", i), item{1, "index"})
			b.Expect("fan.parent", parent)
			if _, err := b.Commit(testContext(t)); err != nil {
				t.Errorf("child %d: %v", i, err)
			}
		})
	}
	all.Wait()
	for _, filter := range []string{"fan.e.>", "fan.c.>"} {
		if listed, _, err := e.items.ListCurrent(testContext(t), filter); err != nil || len(listed) != 32 {
			t.Errorf("%s: got %d, %v, want 32", filter, len(listed), err)
		}
	}
}

// deafLine dials connections that send, and hear nothing while it is locked.
type deafLine struct{ sync.RWMutex }

type deafConn struct {
	net.Conn
	line *deafLine
}

func (l *deafLine) Dial(network, address string) (net.Conn, error) {
	conn, err := (&net.Dialer{}).DialContext(context.Background(), network, address)
	return deafConn{conn, l}, err
}

func (c deafConn) Read(b []byte) (int, error) {
	n, err := c.Conn.Read(b)
	c.line.RLock()
	defer c.line.RUnlock()
	return n, err
}

// The server's answer is held up on the line until the deadline has passed. The batch is
// stored nevertheless, and committing it again finds that out.
func testBatchAnswerLost(t *testing.T, e batchEnv) {
	line := &deafLine{}
	far, err := jetstream.New(e.connect(t, nats.SetCustomDialer(line)))
	if err != nil {
		t.Fatal(err)
	}
	if _, err := far.AccountInfo(testContext(t)); err != nil {
		t.Fatal(err)
	}
	b := kv.NewBatch(far, kv.SnapshotsBucket)
	b.Create("lost.a", item{1, "new"})
	b.Create("lost.b", item{1, "new"})
	line.Lock()
	ctx, cancel := context.WithTimeout(testContext(t), 300*time.Millisecond)
	defer cancel()
	_, err = b.Commit(ctx)
	line.Unlock()
	if !errors.Is(err, kv.ErrUnavailable) {
		t.Fatalf("got %v, want ErrUnavailable", err)
	}
	revisions, err := b.Commit(testContext(t))
	if err != nil {
		t.Fatal(err)
	}
	for key, revision := range revisions {
		e.want(t, key, "new", revision)
	}
	// Others that have the same intention are told of the conflict.
	rival := e.batch()
	rival.Create("lost.a", item{1, "new"})
	if _, err := rival.Commit(testContext(t)); !errors.Is(err, kv.ErrConflict) {
		t.Errorf("got %v, want a conflict", err)
	}
}

// What a client that is killed between two messages has sent is never seen.
func testBatchHalf(t *testing.T, e batchEnv) {
	before := e.lastSequence(t)
	conn := e.connect(t)
	for i := range 2 {
		msg := nats.NewMsg(fmt.Sprintf("$KV.%s.half.%d", kv.SnapshotsBucket, i))
		msg.Header.Set("Nats-Batch-Id", "half")
		msg.Header.Set("Nats-Batch-Sequence", fmt.Sprint(i+1))
		msg.Data = []byte(`{"status":"half"}`)
		if answer, err := conn.RequestMsgWithContext(testContext(t), msg); err != nil || len(answer.Data) != 0 {
			t.Fatalf("got %v, %v, want the message staged", answer, err)
		}
	}
	conn.Close()
	if after := e.lastSequence(t); after != before {
		t.Errorf("got %d messages stored", after-before)
	}
	b := e.batch()
	b.Create("half.0", item{1, "whole"})
	if _, err := b.Commit(testContext(t)); err != nil {
		t.Errorf("after a half batch: %v", err)
	}
}

// A list that lagged behind would miss the record that was just written, or show the one
// that was just deleted. On a cluster each connection is to a server of its own choice,
// which answers from what it has.
func testListCurrent(t *testing.T, e batchEnv) {
	var readers []*kv.Bucket[item]
	for range 6 {
		readers = append(readers, kv.Open[item](jetStream(t, e.connect(t)), kv.SnapshotsBucket))
	}
	for i := range 120 {
		key, reader := fmt.Sprint("current.", i), readers[i%len(readers)]
		revision := mustCreate(t, e.items, key, "here")
		listed, last, err := reader.ListCurrent(testContext(t), "current.*")
		if err != nil || len(listed) != 1 || listed[0].Key != key || last != revision {
			t.Fatalf("got %v up to %d, %v, want %s at %d", listed, last, err, key, revision)
		}
		if err := e.items.Delete(testContext(t), key, revision); err != nil {
			t.Fatal(err)
		}
		if listed, last, err := reader.ListCurrent(testContext(t), "current.*"); err != nil || len(listed) != 0 || last <= revision {
			t.Fatalf("got %v up to %d, %v, want nothing", listed, last, err)
		}
	}
}

// More keys than the server sends in one answer, with markers among them and records
// that were written twice.
func testListCurrentMany(t *testing.T, e batchEnv) {
	const many = 2_500
	for from := 0; from < many; from += 500 {
		b := e.batch()
		for i := from; i < from+500; i++ {
			b.Put(fmt.Sprint("many.", i), item{1, "old"})
		}
		if _, err := b.Commit(testContext(t)); err != nil {
			t.Fatal(err)
		}
	}
	b := e.batch()
	b.Put("many.0", item{1, "new"})
	b.Clear("many.1")
	if _, err := b.Commit(testContext(t)); err != nil {
		t.Fatal(err)
	}
	last, err := e.items.Last(testContext(t), "many.*")
	if err != nil {
		t.Fatal(err)
	}
	listed, seen, err := e.items.ListCurrent(testContext(t), "many.*")
	if err != nil || len(listed) != many-1 || seen != last || listed[len(listed)-1].Value.Status != "new" {
		t.Errorf("got %d up to %d, %v, want %d up to %d, the changed one last", len(listed), seen, err, many-1, last)
	}
	// While records are written anew, each is still told once.
	var writing sync.WaitGroup
	done := make(chan struct{})
	writing.Go(func() {
		for i := 2; ; i = 2 + (i-1)%(many-2) {
			select {
			case <-done:
				return
			default:
			}
			b := e.batch()
			b.Put(fmt.Sprint("many.", i), item{1, "anew"})
			if _, err := b.Commit(testContext(t)); err != nil {
				t.Error(err)
				return
			}
		}
	})
	defer writing.Wait()
	defer close(done)
	for range 10 {
		listed, _, err := e.items.ListCurrent(testContext(t), "many.*")
		told := map[string]bool{}
		for _, entry := range listed {
			told[entry.Key] = true
		}
		if err != nil || len(listed) != many-1 || len(told) != many-1 {
			t.Errorf("got %d of %d records, %v, want %d", len(listed), len(told), err, many-1)
		}
	}
}
