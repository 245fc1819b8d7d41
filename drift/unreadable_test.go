package drift_test

import (
	"context"
	"testing"

	"github.com/jetvol/jetvol/backends"
	"github.com/jetvol/jetvol/drift"
	"github.com/jetvol/jetvol/kv"
	"github.com/jetvol/jetvol/volume"
)

// A finding that cannot be read, of a newer jetvol or by hand, costs the sweep that volume.
func TestSweep_UnreadableFinding_CostsOnlyItsVolume(t *testing.T) {
	s := start(t)
	s.create("a", "b")
	bucket, err := s.js.KeyValue(s.ctx, kv.DriftBucket)
	s.must(err)
	_, err = bucket.Put(s.ctx, key("a").String(), []byte(`{"schema_version": 99}`))
	s.must(err)
	for _, name := range []string{"a", "b"} {
		s.must(s.driver.Delete(s.ctx, s.ref(name)))
	}
	report := s.sweep()
	if report.Skipped == 0 || report.Commands != 2 {
		t.Errorf("got %+v, want the finding skipped and a command for each volume", report)
	}
	s.want("b", "ghost: wanted 1MiB, actual nothing")
}

// mislabelled is a driver one of whose objects says an id that is none.
type mislabelled struct{ *hooked }

func (m mislabelled) change(o backends.Object) backends.Object {
	if o.Key == key("a") {
		o.ID = "by hand"
	}
	return o
}

func (m mislabelled) Get(ctx context.Context, key volume.Key) (backends.Object, error) {
	o, err := m.hooked.Get(ctx, key)
	return m.change(o), err
}

func (m mislabelled) List(ctx context.Context, yield func(backends.Object) bool) error {
	return m.Driver.List(ctx, func(o backends.Object) bool { return yield(m.change(o)) })
}

// Such an object cannot be adopted, which no sweep stops at.
func TestSweep_ObjectWithAForeignID_CostsOnlyItself(t *testing.T) {
	s := start(t)
	s.orphan("a")
	s.orphan("b")
	backend := backends.New("local", mislabelled{s.driver}, backends.Options{})
	report := s.sweep(func(o *drift.Options) {
		o.Import, o.Backends = map[string]bool{"local": true}, map[string]*backends.Backend{"local": backend}
	})
	if report.Skipped == 0 || report.Commands != 1 || report.Kinds[volume.DriftOrphan] != 2 {
		t.Errorf("got %+v, want two orphans, one of them skipped", report)
	}
	s.settle()
	if record := s.record("b"); record.State != volume.StateAvailable {
		t.Errorf("got %s, want it adopted", record.State)
	}
}
