package null_test

import (
	"errors"
	"testing"
	"testing/synctest"
	"time"

	"github.com/jetvol/jetvol/backends"
	"github.com/jetvol/jetvol/backends/null"
	"github.com/jetvol/jetvol/volume"
)

// A volume that moves between two processes meets a driver that never heard of it, or
// that heard of an earlier life last.
func TestBlind_VolumeMovesBetweenProcesses_EveryChangeSucceeds(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		const latency = time.Second
		one := backends.New("null", null.NewBlind(null.Options{Latency: latency}), backends.Options{})
		two := backends.New("null", null.NewBlind(null.Options{Latency: latency}), backends.Options{})
		key := volume.Key{Project: "default", Name: "db-01"}
		first := backends.Ref{Key: key, ID: volume.NewID(key, 1), Epoch: 1}
		second := backends.Ref{Key: key, ID: volume.NewID(key, 9), Epoch: 2}
		ctx, began := t.Context(), time.Now()
		must(t, one.Create(ctx, first, volume.MiB))
		must(t, two.Resize(ctx, first, volume.GiB))
		attachment, err := two.Attach(ctx, first, "n1", volume.ReadOnly)
		must(t, err)
		if attachment.Node != "n1" || attachment.Mode != volume.ReadOnly {
			t.Errorf("attach: got %+v, want what was asked for", attachment)
		}
		must(t, one.Detach(ctx, first, "n1"))
		must(t, two.Delete(ctx, first))
		must(t, one.Create(ctx, second, volume.MiB))
		if took := time.Since(began); took != 6*latency {
			t.Errorf("6 calls took: got %s, want %s", took, 6*latency)
		}
	})
}

func TestBlind_Asked_SaysThatItDoesNotKnow(t *testing.T) {
	b := backends.New("null", null.NewBlind(null.Options{}), backends.Options{})
	if _, err := b.Get(t.Context(), volume.Key{Project: "default", Name: "db-01"}); !errors.Is(err, volume.Unsupported) {
		t.Errorf("get: got %v, want %v", err, volume.Unsupported)
	}
	if got, want := b.Capabilities(), (backends.Capabilities{Resize: true}); got != want {
		t.Errorf("capabilities: got %+v, want %+v", got, want)
	}
	health, err := b.Health(t.Context())
	must(t, err)
	if health.Driver != null.DriverName || health.Facts["objects"] != "not remembered" {
		t.Errorf("health: got %+v, want that nothing is remembered", health)
	}
	must(t, b.Close())
}

func must(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Fatalf("got error %v, want none", err)
	}
}
