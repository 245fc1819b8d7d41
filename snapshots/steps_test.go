package snapshots_test

import (
	"errors"
	"fmt"
	"reflect"
	"slices"
	"sync"

	"github.com/jetvol/jetvol/snapshots"
	"github.com/jetvol/jetvol/volume"
)

func (e env) snapshot(key, id string) snapshots.Info {
	e.Helper()
	info, err := e.store.CreateSnapshot(e.ctx, e.project, k(key), id, nil, snapshots.Usage{})
	e.must(err)
	return info
}

func testCloneIdempotent(e env) {
	defer e.sound()
	e.snapshot("db@s1", "db.1")
	e.snapshot("db@s2", "db.2")
	labels := volume.Labels{"a": "1"}
	first, err := e.store.CreateClone(e.ctx, e.project, "copy", k("db@s1"), "copy.1", labels)
	e.must(err)
	again, err := e.store.CreateClone(e.ctx, e.project, "copy", k("db@s1"), "copy.1", labels)
	if err != nil || !reflect.DeepEqual(first, again) || first.Kind != snapshots.Active {
		e.Errorf("repeated: got %+v, %v, want %+v", again, err, first)
	}
	for name, try := range map[string]func() (snapshots.Info, error){
		"another id": func() (snapshots.Info, error) {
			return e.store.CreateClone(e.ctx, e.project, "copy", k("db@s1"), "copy.2", nil)
		},
		"another source": func() (snapshots.Info, error) {
			return e.store.CreateClone(e.ctx, e.project, "copy", k("db@s2"), "copy.1", nil)
		},
		"another kind": func() (snapshots.Info, error) {
			return e.store.CreateView(e.ctx, e.project, "copy", k("db@s1"), "copy.1", nil)
		},
		"snapshot again": func() (snapshots.Info, error) {
			return e.store.CreateSnapshot(e.ctx, e.project, k("db@s1"), "db.9", nil, snapshots.Usage{})
		},
	} {
		_, err := try()
		e.refused(name, err, volume.ErrSnapshotExists)
	}
	_, err = e.store.CreateView(e.ctx, e.project, "look", k("db@s3"), "look.1", nil)
	e.refused("no source", err, volume.ErrSnapshotNotFound)
	_, err = e.store.CreateView(e.ctx, e.project, "look", k("copy"), "look.1", nil)
	e.refused("a source that is not committed", err, volume.FailedPrecondition)
	_, err = e.store.CreateView(e.ctx, e.project, "look", k("db@s1"), "", nil)
	e.refused("no id", err, volume.InvalidArgument)
	_, err = e.store.CreateSnapshot(e.ctx, e.project, k("db"), "db.3", nil, snapshots.Usage{})
	e.refused("a snapshot without a name", err, volume.ErrInvalidName)
	_, err = e.store.CreateSnapshot(e.ctx, e.project, k("db@s4"), "db.4", nil, snapshots.Usage{Size: -1})
	e.refused("negative usage", err, volume.InvalidArgument)
	view, err := e.store.CreateView(e.ctx, e.project, "look", k("db@s1"), "look.1", nil)
	if err != nil || view.Kind != snapshots.View || view.Parent != k("db@s1") {
		e.Errorf("got %+v, %v", view, err)
	}
}

func testSnapshotOfClone(e env) {
	defer e.sound()
	plain := e.snapshot("db@s1", "db.1")
	if !plain.Parent.IsZero() || plain.Kind != snapshots.Committed {
		e.Errorf("got %+v, want no parent", plain)
	}
	_, err := e.store.CreateClone(e.ctx, e.project, "copy", k("db@s1"), "copy.1", nil)
	e.must(err)
	if of := e.snapshot("copy@s1", "copy.2"); of.Parent != k("db@s1") {
		e.Errorf("got parent %s, want that of the clone", of.Parent)
	}
	if of := e.snapshot("copy@s1", "copy.2"); of.Parent != k("db@s1") {
		e.Errorf("repeated: got %+v", of)
	}
	family, err := e.store.SnapshotsOf(e.ctx, e.project, "copy")
	if err != nil || len(family) != 1 || family[0].Name != k("copy@s1") {
		e.Errorf("got %v, %v, want copy@s1 alone", family, err)
	}
	children, err := e.store.Children(e.ctx, e.project, k("db@s1"))
	if err != nil || !slices.Equal(children, keys("copy", "copy@s1")) {
		e.Errorf("got children %v, %v", children, err)
	}
	if has, err := e.store.HasChildren(e.ctx, e.project, k("copy@s1")); err != nil || has {
		e.Errorf("got %v, %v, want no children", has, err)
	}
	if has, err := e.store.HasChildren(e.ctx, e.project, k("db@s1")); err != nil || !has {
		e.Errorf("got %v, %v, want children", has, err)
	}
}

func testRemoveInSteps(e env) {
	defer e.sound()
	e.snapshot("db@s1", "db.1")
	_, err := e.store.CreateClone(e.ctx, e.project, "copy", k("db@s1"), "copy.1", nil)
	e.must(err)
	var blocked *snapshots.BlockedError
	err = e.store.BeginRemove(e.ctx, e.project, k("db@s1"), "one")
	if !errors.As(err, &blocked) || !slices.Equal(blocked.Children, keys("copy")) {
		e.Errorf("got %v, want blocked by copy", err)
	}
	e.refused("finish of what was not begun", e.store.FinishRemove(e.ctx, e.project, k("db@s1"), "one"), volume.FailedPrecondition)
	_, err = e.store.CreateView(e.ctx, e.project, "look", k("db@s1"), "look.1", nil) // no mark was left
	e.must(err)
	for name, id := range map[volume.Name]string{"copy": "copy.1", "look": "look.1"} {
		e.must(e.store.Remove(e.ctx, e.project, snapshots.VolumeKey(name), id))
	}
	if has, err := e.store.HasChildren(e.ctx, e.project, k("db@s1")); err != nil || has {
		e.Errorf("after their removal: got %v, %v, want no children", has, err)
	}
	for range 2 {
		e.must(e.store.BeginRemove(e.ctx, e.project, k("db@s1"), "one"))
	}
	create := func() error {
		_, err := e.store.CreateClone(e.ctx, e.project, "late", k("db@s1"), "late.1", nil)
		return err
	}
	err = create()
	e.refused("a clone of what is being removed", err, snapshots.ErrRemoving)
	e.refused("a clone of what is being removed", err, volume.Busy)
	e.refused("another remover", e.store.BeginRemove(e.ctx, e.project, k("db@s1"), "two"), volume.Busy)
	e.refused("another finisher", e.store.FinishRemove(e.ctx, e.project, k("db@s1"), "two"), volume.Busy)
	e.refused("a plain removal", e.remove("db@s1"), volume.Busy)
	e.refused("no owner", e.store.BeginRemove(e.ctx, e.project, k("db@s1"), ""), volume.InvalidArgument)
	e.must(e.store.CancelRemove(e.ctx, e.project, k("db@s1"), "two")) // not its own: nothing happens
	e.refused("after the cancel of another", create(), volume.Busy)
	e.must(e.store.CancelRemove(e.ctx, e.project, k("db@s1"), "one"))
	e.must(create())
	e.must(e.store.Remove(e.ctx, e.project, k("late"), "late.1"))
	e.must(e.store.BeginRemove(e.ctx, e.project, k("db@s1"), "one"))
	for range 2 {
		e.must(e.store.FinishRemove(e.ctx, e.project, k("db@s1"), "one"))
	}
	e.must(e.store.CancelRemove(e.ctx, e.project, k("db@s1"), "one"))
	e.refused("begin of what is gone", e.store.BeginRemove(e.ctx, e.project, k("db@s1"), "one"), volume.ErrSnapshotNotFound)
}

func testRemoveByID(e env) {
	defer e.sound()
	e.snapshot("db@s1", "db.1")
	_, err := e.store.CreateClone(e.ctx, e.project, "copy", k("db@s1"), "copy.2", nil)
	e.must(err)
	e.must(e.store.Remove(e.ctx, e.project, k("copy"), "copy.1")) // of an earlier life
	if _, err := e.store.Stat(e.ctx, e.project, k("copy")); err != nil {
		e.Errorf("got %v, want the later life untouched", err)
	}
	e.refused("with a child", e.store.Remove(e.ctx, e.project, k("db@s1"), "db.1"), volume.ErrSnapshotInUse)
	for range 2 {
		e.must(e.store.Remove(e.ctx, e.project, k("copy"), "copy.2"))
	}
	_, err = e.store.Stat(e.ctx, e.project, k("copy"))
	e.refused("after the removal", err, volume.NotFound)
}

// The entry of an earlier volume of the name is no parent of a later one's snapshot.
func testSnapshotOfALaterLife(e env) {
	defer e.sound()
	e.snapshot("db@s1", "db.1")
	_, err := e.store.CreateClone(e.ctx, e.project, "copy", k("db@s1"), "copy.1", nil)
	e.must(err)
	of, err := e.store.CreateSnapshot(e.ctx, e.project, k("copy@a"), "copy.9", nil, snapshots.Usage{}, snapshots.OfVolume("copy.8"))
	if err != nil || !of.Parent.IsZero() {
		e.Errorf("got parent %s, %v, want none", of.Parent, err)
	}
}

func testFlatten(e env) {
	defer e.sound()
	e.snapshot("db@s1", "db.1")
	_, err := e.store.CreateClone(e.ctx, e.project, "copy", k("db@s1"), "copy.1", nil)
	e.must(err)
	e.snapshot("copy@a", "copy.2")
	of, err := e.store.CreateSnapshot(e.ctx, e.project, k("copy@b"), "copy.3", nil, snapshots.Usage{}, snapshots.OfVolume("copy.1"))
	if err != nil || of.Parent != k("db@s1") {
		e.Errorf("snapshot of the clone: got parent %s, %v", of.Parent, err)
	}
	_, err = e.store.CreateClone(e.ctx, e.project, "second", k("copy@a"), "second.1", nil)
	e.must(err)
	_, err = e.store.CreateView(e.ctx, e.project, "look", k("db@s1"), "look.1", nil)
	e.must(err)
	e.must(e.store.Flatten(e.ctx, e.project, "copy", "copy.0")) // of an earlier life
	if depth, err := e.store.Depth(e.ctx, e.project, k("second")); err != nil || depth != 2 {
		e.Errorf("got depth %d, %v, want 2", depth, err)
	}
	for range 2 {
		e.must(e.store.Flatten(e.ctx, e.project, "copy", "copy.1"))
	}
	e.must(e.store.Flatten(e.ctx, e.project, "look", "look.1"))
	e.must(e.store.Flatten(e.ctx, e.project, "no-clone", "no-clone.1"))
	if children, err := e.store.Children(e.ctx, e.project, k("db@s1")); err != nil || len(children) != 0 {
		e.Errorf("got %v, %v, want no children left", children, err)
	}
	if depth, err := e.store.Depth(e.ctx, e.project, k("second")); err != nil || depth != 1 {
		e.Errorf("got depth %d, %v, want 1", depth, err)
	}
	if got, err := e.walk(); err != nil || !slices.Equal(got, []string{"copy@a", "copy@b", "db@s1", "look", "second"}) {
		e.Errorf("got %v, %v, want the clone's entry gone, the view's left", got, err)
	}
	if of := e.snapshot("copy@c", "copy.4"); !of.Parent.IsZero() {
		e.Errorf("a snapshot after the flatten: got parent %s", of.Parent)
	}
}

// Clones of one parent expect it and do not write it, so none is refused for another.
func testFan(e env) {
	defer e.sound()
	e.snapshot("db@s1", "db.1")
	const clones = 32
	var all sync.WaitGroup
	for i := range clones {
		all.Go(func() {
			tx, err := e.store.Begin(e.ctx, e.project, true)
			if err == nil {
				_, err = tx.Create(e.ctx, snapshots.Active, k(fmt.Sprint("copy-", i)), k("db@s1"))
			}
			if err == nil {
				err = tx.Apply(e.ctx) // once: there is no conflict to repeat
			}
			if err != nil {
				e.Errorf("clone %d: %v", i, err)
			}
		})
	}
	all.Wait()
	if children, err := e.store.Children(e.ctx, e.project, k("db@s1")); err != nil || len(children) != clones {
		e.Errorf("got %d children, %v, want %d", len(children), err, clones)
	}
}

// A removal and a clone of the same snapshot at the same time: one of them fails, or the
// removal sees the clone. Never both succeed.
func testRaces(e env) {
	rounds := 150
	if e.replicas > 1 {
		rounds = 60
	}
	var removed, cloned int
	for i := range rounds {
		source, copied := k(fmt.Sprintf("db@s%d", i)), volume.Name(fmt.Sprint("copy-", i))
		e.snapshot(source.String(), fmt.Sprint("db.", i))
		var removal, clone error
		var both sync.WaitGroup
		start := make(chan struct{})
		both.Go(func() {
			<-start
			if i%2 == 0 {
				removal = e.store.Remove(e.ctx, e.project, source, fmt.Sprint("db.", i))
				return
			}
			if removal = e.store.BeginRemove(e.ctx, e.project, source, "one"); removal == nil {
				removal = e.store.FinishRemove(e.ctx, e.project, source, "one")
			}
		})
		both.Go(func() {
			<-start
			_, clone = e.store.CreateClone(e.ctx, e.project, copied, source, string(copied)+".1", nil)
		})
		close(start)
		both.Wait()
		switch {
		case removal == nil && (errors.Is(clone, volume.ErrSnapshotNotFound) || errors.Is(clone, volume.Busy)):
			removed++
		case clone == nil && errors.Is(removal, volume.ErrSnapshotInUse):
			cloned++
		default:
			e.Errorf("round %d: got removal %v, clone %v", i, removal, clone)
		}
	}
	e.sound()
	e.Logf("%d rounds: the removal won %d, the clone %d", rounds, removed, cloned)
}
