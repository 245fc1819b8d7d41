package drift_test

import (
	"context"
	"errors"
	"slices"
	"testing"

	"github.com/nats-io/nats.go/jetstream"

	"github.com/jetvol/jetvol/backends"
	"github.com/jetvol/jetvol/commands"
	"github.com/jetvol/jetvol/drift"
	"github.com/jetvol/jetvol/kv"
	"github.com/jetvol/jetvol/volume"
)

// plant stores what is no finding under a key.
func (s *system) plant(key, data string) {
	s.t.Helper()
	_, err := s.js.Publish(s.ctx, "$KV."+kv.DriftBucket+"."+key, []byte(data))
	s.must(err)
}

// planted returns what the bucket has under a key, empty if that is nothing.
func (s *system) planted(key string) string {
	s.t.Helper()
	bucket, err := s.js.KeyValue(s.ctx, kv.DriftBucket)
	s.must(err)
	entry, err := bucket.Get(s.ctx, key)
	if errors.Is(err, jetstream.ErrKeyNotFound) {
		return ""
	}
	s.must(err)
	return string(entry.Value())
}

const newer = `{"schema_version": 99}`

// A finding of a newer jetvol costs the sweep that volume, and stays.
func TestSweep_NewerFinding_CostsOnlyItsVolume(t *testing.T) {
	s := start(t)
	s.create("a", "b")
	s.plant(key("a").String(), newer)
	for _, name := range []string{"a", "b"} {
		s.must(s.driver.Delete(s.ctx, s.ref(name)))
	}
	report := s.sweep()
	if report.Skipped == 0 || report.Commands != 2 {
		t.Errorf("got %+v, want the finding skipped and a command for each volume", report)
	}
	s.want("b", "ghost: wanted 1MiB, actual nothing")
	if got := s.planted(key("a").String()); got != newer {
		t.Errorf("a: got %s, want it untouched", got)
	}
}

// What somebody wrote by hand is replaced by what there is to tell, and else removed.
func TestSweep_CorruptFinding_IsReplacedOrRemoved(t *testing.T) {
	for name, data := range map[string]string{
		"no JSON":    `{`,
		"of nobody":  `{}`,
		"of another": `{"schema_version":1,"project":"default","name":"other","kinds":["orphan"]}`,
	} {
		t.Run(name, func(t *testing.T) {
			s := start(t)
			s.create("fine", "lost")
			s.must(s.driver.Delete(s.ctx, s.ref("lost")))
			s.orphan("left")
			gone := []string{key("fine").String(), key("nobody").String(), "no-volume", "other.fine"}
			for _, name := range append([]string{key("lost").String(), key("left").String()}, gone...) {
				s.plant(name, data)
			}
			if report := s.sweep(); report.Skipped != 0 || report.Commands != 1 {
				t.Errorf("got %+v, want nothing skipped and a command", report)
			}
			s.want("lost", "ghost: wanted 1MiB, actual nothing")
			s.want("left", "orphan: wanted nothing, actual 2MiB")
			for _, name := range gone {
				if got := s.planted(name); got != "" {
					t.Errorf("%s: got %s, want it removed", name, got)
				}
			}
		})
	}
}

// A sweep of some partitions leaves the findings of the others to theirs.
func TestSweep_CorruptFindingOfAnotherPartition_Stays(t *testing.T) {
	s := start(t)
	s.plant(key("a").String(), "{")
	others := slices.DeleteFunc(drift.All(), func(number int) bool { return number == commands.PartitionOf(key("a")) })
	_, err := s.sweeper().Sweep(s.ctx, others)
	s.must(err)
	if got := s.planted(key("a").String()); got != "{" {
		t.Errorf("got %q, want it untouched", got)
	}
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
