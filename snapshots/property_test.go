package snapshots_test

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"
	"testing"

	"pgregory.net/rapid"

	"github.com/jetvol/jetvol/internal/natstest"
	"github.com/jetvol/jetvol/snapshots"
	"github.com/jetvol/jetvol/volume"
)

// model is what the store should hold: as simple as can be, with no index.
type model map[snapshots.Key]snapshots.Info

func (m model) children(parent snapshots.Key) []snapshots.Key {
	var all []snapshots.Key
	for key, info := range m {
		if info.Parent == parent {
			all = append(all, key)
		}
	}
	return all
}

func (m model) parentFault(parent snapshots.Key) error {
	p, found := m[parent]
	switch {
	case parent.IsZero():
		return nil
	case !found:
		return volume.ErrSnapshotNotFound
	case p.Kind != snapshots.Committed:
		return volume.FailedPrecondition
	}
	return nil
}

func (m model) create(kind snapshots.Kind, key, parent snapshots.Key) error {
	if kind != snapshots.Active && kind != snapshots.View {
		return volume.InvalidArgument
	}
	if err := m.parentFault(parent); err != nil {
		return err
	}
	if _, found := m[key]; found {
		return volume.ErrSnapshotExists
	}
	m[key] = snapshots.Info{Kind: kind, Name: key, Parent: parent}
	return nil
}

func (m model) commit(key, name, parent snapshots.Key) error {
	if _, found := m[name]; found {
		return volume.ErrSnapshotExists
	}
	info, found := m[key]
	switch {
	case !found:
		return volume.ErrSnapshotNotFound
	case info.Kind != snapshots.Active:
		return volume.FailedPrecondition
	case parent.IsZero() || parent == info.Parent:
	case !info.Parent.IsZero():
		return volume.FailedPrecondition
	default:
		if err := m.parentFault(parent); err != nil {
			return err
		}
		info.Parent = parent
	}
	delete(m, key)
	info.Kind, info.Name, info.Labels = snapshots.Committed, name, nil
	m[name] = info
	return nil
}

func (m model) remove(key snapshots.Key) error {
	if _, found := m[key]; !found {
		return volume.ErrSnapshotNotFound
	}
	if len(m.children(key)) > 0 {
		return volume.ErrSnapshotInUse
	}
	delete(m, key)
	return nil
}

func (m model) label(key snapshots.Key, label, value string) error {
	info, found := m[key]
	if !found {
		return volume.ErrSnapshotNotFound
	}
	info.Labels = maps.Clone(info.Labels)
	if value == "" {
		delete(info.Labels, label)
	} else {
		if info.Labels == nil {
			info.Labels = volume.Labels{}
		}
		info.Labels[label] = value
	}
	m[key] = info
	return nil
}

// step is one operation on both, in a transaction.
type step struct {
	name  string
	model func(model) error
	store func(context.Context, *snapshots.Tx) error
}

func drawStep(t *rapid.T) step {
	names := []string{"a", "b", "c", "a@1", "a@2", "b@1"}
	key := func(label string) snapshots.Key { return k(rapid.SampledFrom(names).Draw(t, label)) }
	orNone := func(label string) snapshots.Key { return k(rapid.SampledFrom(append(names, "", "")).Draw(t, label)) }
	switch rapid.SampledFrom([]string{"create", "create", "commit", "commit", "remove", "label"}).Draw(t, "step") {
	case "create":
		kind := rapid.SampledFrom([]snapshots.Kind{snapshots.Active, snapshots.Active, snapshots.View, snapshots.Committed}).Draw(t, "kind")
		at, parent := key("key"), orNone("parent")
		return step{
			fmt.Sprintf("create %s %s on %q", kind, at, parent),
			func(m model) error { return m.create(kind, at, parent) },
			func(ctx context.Context, tx *snapshots.Tx) error {
				_, err := tx.Create(ctx, kind, at, parent)
				return err
			},
		}
	case "commit":
		at, name, parent := key("key"), key("name"), orNone("rebase")
		return step{
			fmt.Sprintf("commit %s as %s on %q", at, name, parent),
			func(m model) error { return m.commit(at, name, parent) },
			func(ctx context.Context, tx *snapshots.Tx) error {
				_, err := tx.Commit(ctx, at, name, snapshots.Usage{}, snapshots.WithParent(parent))
				return err
			},
		}
	case "remove":
		at := key("key")
		return step{
			fmt.Sprintf("remove %s", at),
			func(m model) error { return m.remove(at) },
			func(ctx context.Context, tx *snapshots.Tx) error { _, err := tx.Remove(ctx, at); return err },
		}
	default:
		at, value := key("key"), rapid.SampledFrom([]string{"", "x", "y"}).Draw(t, "value")
		return step{
			fmt.Sprintf("label %s %q", at, value),
			func(m model) error { return m.label(at, "l", value) },
			func(ctx context.Context, tx *snapshots.Tx) error {
				_, err := tx.Update(ctx, snapshots.Info{Name: at, Labels: volume.Labels{"l": value}}, "labels.l")
				return err
			},
		}
	}
}

// agree compares what a transaction sees with the model.
func agree(ctx context.Context, tx *snapshots.Tx, m model) error {
	seen := model{}
	err := tx.Walk(ctx, func(_ context.Context, info snapshots.Info) error {
		seen[info.Name] = info
		return nil
	})
	if err != nil {
		return err
	}
	for key, want := range m {
		got := seen[key]
		if got.Kind != want.Kind || got.Parent != want.Parent || got.Labels["l"] != want.Labels["l"] {
			return fmt.Errorf("%s: got %+v, want %+v", key, got, want)
		}
		children, err := tx.Children(ctx, key)
		if err != nil || len(children) != len(m.children(key)) {
			return fmt.Errorf("children of %s: got %v, %w, want %v", key, children, err, m.children(key))
		}
	}
	if len(seen) != len(m) {
		return fmt.Errorf("got %v, want %v", slices.Collect(maps.Keys(seen)), slices.Collect(maps.Keys(m)))
	}
	return nil
}

// Random operations, some in transactions of several, some rolled back, do to the store
// what they do to the model, and leave it sound.
func TestStore_RandomOperations_AgreeWithModel(t *testing.T) {
	js := natstest.Start(t).JetStream(t)
	provision(t, js, 1)
	e := newEnv(t, js, 1)
	rapid.Check(t, func(t *rapid.T) {
		project := volume.Project(fmt.Sprint("p", projects.Add(1)))
		now := model{}
		for range rapid.IntRange(1, 12).Draw(t, "transactions") {
			tx, err := e.store.Begin(e.ctx, project, true)
			if err != nil {
				t.Fatal(err)
			}
			next := maps.Clone(now)
			for range rapid.IntRange(1, 4).Draw(t, "steps") {
				s := drawStep(t)
				want := s.model(next)
				if got := s.store(e.ctx, tx); want == nil && got != nil || !errors.Is(got, want) {
					t.Fatalf("%s: got %v, want %v", s.name, got, want)
				}
			}
			if err := agree(e.ctx, tx, next); err != nil {
				t.Fatalf("within the transaction: %v", err)
			}
			if rapid.IntRange(0, 4).Draw(t, "end") == 0 {
				err = tx.Rollback()
			} else {
				err, now = tx.Apply(e.ctx), next
			}
			if err != nil {
				t.Fatal(err)
			}
		}
		err := e.store.View(e.ctx, project, func(tx *snapshots.Tx) error { return agree(e.ctx, tx, now) })
		faults, checked := e.store.Check(e.ctx, project)
		if err := errors.Join(append(faults, err, checked)...); err != nil {
			t.Fatal(err)
		}
	})
}
