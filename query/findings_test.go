package query_test

import (
	"errors"
	"slices"
	"testing"
	"time"

	"github.com/jetvol/jetvol/drift"
	"github.com/jetvol/jetvol/query"
	"github.com/jetvol/jetvol/volume"
)

// found stores what a sweep saw of a name: an object of its first life at the backend ceph.
func (w *world) found(name string, kind volume.DriftKind) {
	w.t.Helper()
	_, err := drift.NewFindings(w.js).Put(w.ctx, drift.Finding{
		SchemaVersion: volume.SchemaVersion, Key: key(name), Backend: "ceph", ObjectID: volume.NewID(key(name), 1), Size: volume.GiB,
		Kinds: []volume.DriftKind{kind}, Differences: []volume.Difference{{Kind: kind, Actual: "1GiB"}},
		FoundAt: time.Now().UTC(), SeenAt: time.Now().UTC(),
	})
	if err != nil {
		w.t.Fatal(err)
	}
}

func TestExplain_OrphanWithoutRecord_IsTold(t *testing.T) {
	w := newWorld(t)
	w.serve(w.nc, "w1")
	w.found("left", volume.DriftOrphan)
	got := w.explain("left")
	if o := got.Orphan; o == nil || o.Backend != "ceph" || o.ObjectID != "default.left.1" || o.Size != volume.GiB || o.FoundAt.IsZero() || o.SeenAt.IsZero() {
		t.Errorf("got %+v", got.Orphan)
	}
	if want := []string{"orphan"}; !slices.Equal(situations(got), want) || got.Advice[0].Command != "jetvol drift show default.left" {
		t.Errorf("advice: got %+v, want %v", got.Advice, want)
	}
}

// A finding counts until the record shows it to be settled.
func TestExplain_FindingOfARecord_IsToldUntilItIsSettled(t *testing.T) {
	w := newWorld(t)
	w.serve(w.nc, "w1")
	lost, adopted := record("lost"), record("adopted")
	lost.State = volume.StateError
	adopted.ID, adopted.Backend = volume.NewID(adopted.Key, 1), "ceph"
	w.put(lost)
	w.put(adopted)
	w.found("adopted", volume.DriftOrphan)
	_, err := drift.NewFindings(w.js).Put(w.ctx, drift.Finding{
		SchemaVersion: volume.SchemaVersion, Key: lost.Key, Generation: lost.Generation,
		Kinds: []volume.DriftKind{volume.DriftGhost}, Differences: []volume.Difference{{Kind: volume.DriftGhost, Wanted: "1GiB"}},
	})
	if err != nil {
		t.Fatal(err)
	}
	if got := w.explain("lost"); got.Drift == nil || got.Orphan != nil || !slices.Equal(situations(got), []string{"error", "drifted"}) {
		t.Errorf("ghost: got %+v, %v", got.Drift, situations(got))
	}
	if got := w.explain("adopted"); got.Orphan != nil || got.Drift != nil {
		t.Errorf("adopted: got %+v, %+v", got.Orphan, got.Drift)
	}
}

// The bucket is an index: what is wrong there keeps nobody from an answer.
func TestExplain_UnreadableFinding_LeftOut(t *testing.T) {
	w := newWorld(t)
	w.serve(w.nc, "w1")
	if _, err := w.js.Publish(w.ctx, "$KV.drift.default.db-01", []byte("{")); err != nil {
		t.Fatal(err)
	}
	if _, err := w.client.Explain(w.ctx, query.ExplainRequest{Project: "default", Volume: "db-01"}); !errors.Is(err, volume.ErrVolumeNotFound) {
		t.Errorf("got %v, want %v", err, volume.ErrVolumeNotFound)
	}
	w.put(record("db-01"))
	if got := w.explain("db-01"); got.Drift != nil || got.Orphan != nil {
		t.Errorf("got %+v, %+v", got.Drift, got.Orphan)
	}
}
