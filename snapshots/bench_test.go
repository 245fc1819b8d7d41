package snapshots_test

import (
	"context"
	"errors"
	"fmt"
	"testing"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"

	"github.com/jetvol/jetvol/internal/natstest"
	"github.com/jetvol/jetvol/kv"
	"github.com/jetvol/jetvol/snapshots"
	"github.com/jetvol/jetvol/volume"
)

const (
	benchProject = "bench"
	chainLength  = 32
	fanSize      = 1_000
	manyEntries  = 100_000
)

// benchStore returns a store with a chain of chainLength (link-0 … , used by end), a fan of
// fanSize clones of wide@s, the childless alone@s, and others besides, all in one project.
func benchStore(b *testing.B, others int) *snapshots.Store {
	b.Helper()
	js := benchServer(b)
	put := func(kind, key, parent string) {
		k, p := tokens(key), tokens(parent)
		publish(b, js, "e."+k, fmt.Sprintf(`{"schema_version":1,"kind":%q,"name":%q,"id":%q,"parent":%q,"created":"2026-01-01T00:00:00Z","updated":"2026-01-01T00:00:00Z"}`, kind, key, "id-"+key, parent))
		if parent != "" {
			publish(b, js, "c."+p+"."+k, fmt.Sprintf(`{"schema_version":1,"id":%q}`, "id-"+key))
		}
	}
	parent := ""
	for i := range chainLength {
		name := fmt.Sprintf("chain@link-%d", i)
		put("committed", name, parent)
		parent = name
	}
	put("active", "end", parent)
	put("committed", "wide@s", "")
	put("committed", "alone@s", "")
	for i := range others {
		switch { // clones are spread among the others, so that they lie far from each other
		case i%2 == 0:
			put("committed", fmt.Sprintf("other-%d@s", i), "")
		default:
			put("active", fmt.Sprintf("other-%d", i), fmt.Sprintf("other-%d@s", i-1))
		}
		if i%(manyEntries/fanSize) == 0 {
			put("active", fmt.Sprintf("fan-%d", i/(manyEntries/fanSize)), "wide@s")
		}
	}
	if others == 0 {
		for i := range fanSize {
			put("active", fmt.Sprintf("fan-%d", i), "wide@s")
		}
	}
	awaitStored(b, js)
	return snapshots.New(js)
}

// benchServer returns a server with an empty bucket, for many entries at a time.
func benchServer(b *testing.B) jetstream.JetStream {
	b.Helper()
	js, err := jetstream.New(natstest.Start(b).Connect(b), jetstream.WithPublishAsyncMaxPending(4096),
		jetstream.WithPublishAsyncTimeout(testTimeout))
	if err != nil {
		b.Fatal(err)
	}
	provision(b, js, 1)
	return js
}

func awaitStored(b *testing.B, js jetstream.JetStream) {
	b.Helper()
	select {
	case <-js.PublishAsyncComplete():
	case <-time.After(testTimeout):
		b.Fatal("the entries are not stored in time")
	}
}

func tokens(key string) string {
	if key == "" {
		return ""
	}
	parsed := k(key)
	if parsed.Snapshot == "" {
		return string(parsed.Volume) + "._"
	}
	return string(parsed.Volume) + "." + string(parsed.Snapshot)
}

func publish(b *testing.B, js jetstream.JetStream, key, data string) {
	b.Helper()
	if _, err := js.PublishAsync("$KV."+kv.SnapshotsBucket+"."+benchProject+"."+key, []byte(data)); err != nil {
		b.Fatal(err)
	}
}

// BenchmarkStore_AgainstManyEntries measures each operation in a store that holds nothing
// else and in one with manyEntries besides, turn by turn in one run, and tells the ratio:
// about 1 means that the cost does not grow with the store. Up to about 3 is the step from
// records that the server has in memory, since they are its last, to older ones that it
// has to read; it is the same from 25,000 entries to 100,000.
func BenchmarkStore_AgainstManyEntries(b *testing.B) {
	small, large := benchStore(b, 0), benchStore(b, manyEntries)
	ctx := b.Context()
	for _, op := range []struct {
		name string
		do   func(*snapshots.Store) error
	}{
		{"chain of 32", func(s *snapshots.Store) error { return wantCount(chainLength)(s.Depth(ctx, benchProject, k("end"))) }},
		{"children of 1000", func(s *snapshots.Store) error {
			children, err := s.Children(ctx, benchProject, k("wide@s"))
			return wantCount(fanSize)(len(children), err)
		}},
		{"children of none", func(s *snapshots.Store) error {
			children, err := s.Children(ctx, benchProject, k("alone@s"))
			return wantCount(0)(len(children), err)
		}},
		{"has children", func(s *snapshots.Store) error { _, err := s.HasChildren(ctx, benchProject, k("wide@s")); return err }},
		{"snapshots of a volume", func(s *snapshots.Store) error {
			family, err := s.SnapshotsOf(ctx, benchProject, "chain")
			return wantCount(chainLength)(len(family), err)
		}},
		{"delete check, blocked by 1000", func(s *snapshots.Store) error {
			if err := s.BeginRemove(ctx, benchProject, k("wide@s"), "bench"); !errors.Is(err, volume.ErrSnapshotInUse) {
				return fmt.Errorf("got %w, want it in use", err)
			}
			return nil
		}},
		{"delete check, free", func(s *snapshots.Store) error {
			return errors.Join(s.BeginRemove(ctx, benchProject, k("alone@s"), "bench"), s.CancelRemove(ctx, benchProject, k("alone@s"), "bench"))
		}},
		{"clone and remove", func(s *snapshots.Store) error {
			_, err := s.CreateClone(ctx, benchProject, "fresh", k("chain@link-0"), "fresh.1", nil)
			return errors.Join(err, s.Remove(ctx, benchProject, k("fresh"), "fresh.1"))
		}},
		{"walk of the fan", func(s *snapshots.Store) error {
			n := 0
			err := s.View(ctx, benchProject, func(tx *snapshots.Tx) error {
				return tx.Walk(ctx, func(context.Context, snapshots.Info) error { n++; return nil }, "parent==chain@link-3")
			})
			return wantCount(1)(n, err)
		}},
	} {
		b.Run("op="+op.name, func(b *testing.B) {
			var took [2]time.Duration
			for b.Loop() {
				for i, s := range []*snapshots.Store{small, large} {
					begin := time.Now()
					if err := op.do(s); err != nil {
						b.Fatal(err)
					}
					took[i] += time.Since(begin)
				}
			}
			b.ReportMetric(0, "ns/op")
			for i, unit := range []string{"µs/empty", "µs/full"} {
				b.ReportMetric(float64(took[i].Microseconds())/float64(b.N), unit)
			}
			b.ReportMetric(float64(took[1])/float64(took[0]), "ratio")
		})
	}
}

func wantCount(want int) func(int, error) error {
	return func(got int, err error) error {
		if err == nil && got != want {
			err = fmt.Errorf("got %d, want %d", got, want)
		}
		return err
	}
}

// BenchmarkWalk reads a whole project by a filter that no index helps, and tells the cost for
// each entry: it stays the same if nothing in a walk grows faster than its entries.
func BenchmarkWalk(b *testing.B) {
	for _, others := range []int{1_000, 10_000, manyEntries} {
		b.Run(fmt.Sprintf("entries=%d", others), func(b *testing.B) {
			store, ctx, seen := benchStore(b, others), b.Context(), 0
			b.ReportAllocs()
			for b.Loop() {
				seen = 0
				if err := store.View(ctx, benchProject, func(tx *snapshots.Tx) error {
					return tx.Walk(ctx, func(context.Context, snapshots.Info) error { seen++; return nil }, "kind==active", "kind==committed")
				}); err != nil {
					b.Fatal(err)
				}
				if seen < others {
					b.Fatalf("got %d entries, want %d or more", seen, others)
				}
			}
			b.ReportMetric(float64(b.Elapsed().Nanoseconds())/float64(b.N)/float64(seen), "ns/entry")
		})
	}
}

// BenchmarkChildren_FormerClones lists the children of a snapshot that has none any more, beside
// the markers of the links to those that it had: what that would cost if markers stayed for good.
func BenchmarkChildren_FormerClones(b *testing.B) {
	for _, former := range []int{0, 10_000, 50_000} {
		b.Run(fmt.Sprintf("former=%d", former), func(b *testing.B) {
			js := benchServer(b)
			publish(b, js, "e.wide.s", `{"schema_version":1,"kind":"committed","name":"wide@s","id":"wide.1","created":"2026-01-01T00:00:00Z","updated":"2026-01-01T00:00:00Z"}`)
			for i := range former {
				marker := nats.NewMsg(fmt.Sprintf("$KV.%s.%s.c.wide.s.clone-%d._", kv.SnapshotsBucket, benchProject, i))
				marker.Header.Set("KV-Operation", "DEL")
				if _, err := js.PublishMsgAsync(marker); err != nil {
					b.Fatal(err)
				}
			}
			awaitStored(b, js)
			store, ctx := snapshots.New(js), b.Context()
			for b.Loop() {
				children, err := store.Children(ctx, benchProject, k("wide@s"))
				if err := wantCount(0)(len(children), err); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}
