package null_test

import (
	"context"
	"errors"
	"testing"
	"testing/synctest"
	"time"

	"github.com/jetvol/jetvol/backends"
	"github.com/jetvol/jetvol/backends/backendtest"
	"github.com/jetvol/jetvol/backends/null"
	"github.com/jetvol/jetvol/volume"
)

// harness has one driver: memory is its store, so every handle is the same.
type harness struct{ driver *null.Driver }

func (h harness) Open(testing.TB) backends.Driver { return h.driver }
func (h harness) MaxSize() volume.Bytes           { return volume.MaxSize }

func TestConformance(t *testing.T) {
	for name, opts := range map[string]null.Options{
		"AtOnce":      {},
		"WithLatency": {Latency: time.Millisecond},
	} {
		t.Run(name, func(t *testing.T) { backendtest.Run(t, harness{null.New(opts)}) })
	}
}

func TestDriver_Latency_IsTakenByEachCall(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		const latency = 3 * time.Second
		d := null.New(null.Options{Latency: latency})
		key := volume.Key{Project: "default", Name: "db-01"}
		began := time.Now()
		if err := d.Create(t.Context(), backends.Ref{Key: key, ID: volume.NewID(key, 1)}, volume.MiB); err != nil {
			t.Fatalf("create: got %v, want no error", err)
		}
		if took := time.Since(began); took != latency {
			t.Errorf("create took: got %s, want %s", took, latency)
		}
	})
}

func TestDriver_ContextEndsDuringLatency_DoesNothing(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		d := null.New(null.Options{Latency: time.Hour})
		key := volume.Key{Project: "default", Name: "db-01"}
		ctx, cancel := context.WithTimeout(t.Context(), time.Second)
		defer cancel()
		err := d.Create(ctx, backends.Ref{Key: key, ID: volume.NewID(key, 1)}, volume.MiB)
		if !errors.Is(err, context.DeadlineExceeded) {
			t.Errorf("create: got %v, want %v", err, context.DeadlineExceeded)
		}
		if _, err := d.Get(t.Context(), key); !errors.Is(err, volume.NotFound) {
			t.Errorf("get: got %v, want %v", err, volume.NotFound)
		}
	})
}

func BenchmarkCreateDelete(b *testing.B) {
	backend := backends.New("null", null.New(null.Options{}), backends.Options{})
	key := volume.Key{Project: "default", Name: "db-01"}
	ref := backends.Ref{Key: key, ID: volume.NewID(key, 1)}
	b.ReportAllocs()
	for b.Loop() {
		if err := backend.Create(b.Context(), ref, volume.GiB); err != nil {
			b.Fatal(err)
		}
		if err := backend.Delete(b.Context(), ref); err != nil {
			b.Fatal(err)
		}
	}
}
