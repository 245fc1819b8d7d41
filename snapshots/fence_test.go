package snapshots_test

import (
	"github.com/jetvol/jetvol/snapshots"
	"github.com/jetvol/jetvol/volume"
)

// testFence shows that a former owner changes nothing any more, whenever it had begun.
func testFence(e env) {
	defer e.sound()
	e.snapshot("db@s1", "db.1")
	former, next := snapshots.ByOwner(e.ctx, "copy", 1), snapshots.ByOwner(e.ctx, "copy", 2)
	_, err := e.store.CreateClone(former, e.project, "copy", k("db@s1"), "copy.1", nil)
	e.must(err)
	tx, err := e.store.Begin(former, e.project, true) // before the fence, and applied after it
	e.must(err)
	_, err = tx.Remove(former, k("copy"))
	e.must(err)
	e.must(e.store.Fence(e.ctx, e.project, "copy", 2))
	e.must(e.store.Fence(e.ctx, e.project, "copy", 2))
	e.refused("a transaction that had begun", tx.Apply(former), snapshots.ErrFenced)
	e.refused("remove", e.store.Remove(former, e.project, k("copy"), "copy.1"), snapshots.ErrFenced)
	_, err = e.store.CreateClone(former, e.project, "other", k("db@s1"), "other.1", nil)
	e.refused("create", err, snapshots.ErrFenced)
	e.refused("a lower fence", e.store.Fence(e.ctx, e.project, "copy", 1), snapshots.ErrFenced)
	e.must(e.store.Remove(next, e.project, k("copy"), "copy.1"))
	_, err = e.store.CreateClone(snapshots.ByOwner(e.ctx, "another", 1), e.project, "another", k("db@s1"), "another.1", nil)
	e.must(err)
	e.refused("no name", e.store.Fence(e.ctx, e.project, "", 1), volume.ErrInvalidName)
}
