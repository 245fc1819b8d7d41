package local

import (
	"context"
	"fmt"
	"os"
	"reflect"
	"slices"
	"testing"

	"github.com/jetvol/jetvol/backends"
	"github.com/jetvol/jetvol/volume"
)

// step is one change in the life that the crash tests repeat, and what is there after it.
type step struct {
	change Change
	call   func(ctx context.Context, d *Driver, ref backends.Ref) error
	size   volume.Bytes // 0: no object
	node   volume.Node  // of the change
	held   bool         // by the node
}

const (
	firstSize  = volume.MiB
	secondSize = 4 * volume.MiB
	holder     = volume.Node("n1")
	goner      = volume.Node("n2")
	monday     = volume.SnapshotName("monday")
)

var life = []step{
	{ChangeCreate, func(ctx context.Context, d *Driver, ref backends.Ref) error {
		return d.Create(ctx, ref, firstSize)
	}, firstSize, "", false},
	{ChangeSnapshot, func(ctx context.Context, d *Driver, ref backends.Ref) error {
		_, err := d.CreateSnapshot(ctx, ref, monday)
		return err
	}, firstSize, "", false},
	{ChangeResize, func(ctx context.Context, d *Driver, ref backends.Ref) error {
		return d.Resize(ctx, ref, secondSize)
	}, secondSize, "", false},
	{ChangeAttach, func(ctx context.Context, d *Driver, ref backends.Ref) error {
		_, err := d.Attach(ctx, ref, holder, volume.ReadWrite)
		return err
	}, secondSize, holder, true},
	{ChangeDetach, func(ctx context.Context, d *Driver, ref backends.Ref) error {
		return d.Detach(ctx, ref, holder)
	}, secondSize, holder, false},
	{ChangeAttach, func(ctx context.Context, d *Driver, ref backends.Ref) error {
		_, err := d.Attach(ctx, ref, goner, volume.ReadWrite)
		return err
	}, secondSize, goner, true},
	{ChangeEvict, func(ctx context.Context, d *Driver, ref backends.Ref) error {
		_, err := d.Evict(ctx, ref, goner)
		return err
	}, secondSize, goner, false},
	{ChangeRestore, func(ctx context.Context, d *Driver, ref backends.Ref) error {
		return d.Restore(ctx, ref, monday)
	}, firstSize, "", false},
	{ChangeDeleteSnapshot, func(ctx context.Context, d *Driver, ref backends.Ref) error {
		return d.DeleteSnapshot(ctx, ref, monday)
	}, firstSize, "", false},
	{ChangeDelete, func(ctx context.Context, d *Driver, ref backends.Ref) error {
		return d.Delete(ctx, ref)
	}, 0, "", false},
}

// position counts the steps of one volume's name through all its lives: 0, 1, 2 …
type position int

func (p position) step() step { return life[int(p)%len(life)] }

func (p position) ref(name volume.Name) backends.Ref {
	key := volume.Key{Project: "default", Name: name}
	return backends.Ref{Key: key, ID: volume.NewID(key, uint64(int(p)/len(life)+1))}
}

// objects is what is there when the steps before p are done.
func (p position) objects(d *Driver, name volume.Name) []backends.Object {
	if int(p)%len(life) == 0 {
		return nil
	}
	before := (p - 1).step()
	object := backends.Object{Ref: p.ref(name), Size: before.size}
	if before.held {
		attachment := d.attachment(object.Key, volume.Attachment{Node: before.node, Mode: volume.ReadWrite})
		object.Attachments = volume.Attachments{attachment}
	}
	return []backends.Object{object}
}

func (p position) String() string {
	return fmt.Sprintf("life %d %s", int(p)/len(life)+1, p.step().change)
}

// positionOf is the step that a journal entry is of.
func positionOf(t *testing.T, entry JournalEntry) position {
	t.Helper()
	var generation int
	if _, err := fmt.Sscanf(string(entry.ID), entry.Key+".%d", &generation); err != nil {
		t.Fatalf("journal entry %+v: got %v, want an id of its key", entry, err)
	}
	index := slices.IndexFunc(life, func(s step) bool { return s.change == entry.Change && s.node == entry.Node })
	if index < 0 {
		t.Fatalf("journal entry %+v: got an unknown change", entry)
	}
	return position((generation-1)*len(life) + index)
}

func listed(t *testing.T, d *Driver) []backends.Object {
	t.Helper()
	var objects []backends.Object
	must(t, d.List(t.Context(), func(o backends.Object) bool { objects = append(objects, o); return true }))
	return objects
}

func openTest(t *testing.T, opts Options) *Driver {
	t.Helper()
	d, err := Open(opts)
	must(t, err)
	t.Cleanup(func() { must(t, d.Close()) })
	return d
}

// wantEmpty wants a directory in which nothing is left of any volume but its fence.
func wantEmpty(t *testing.T, dir string) {
	t.Helper()
	entries, err := os.ReadDir(dir)
	must(t, err)
	if len(entries) != 1 || entries[0].Name() != FencesDir {
		t.Errorf("files left: got %v, want %s only", entries, FencesDir)
	}
}

// wantOneOf wants the store to hold one of the two contents and nothing between.
func wantOneOf(t *testing.T, got, before, after []backends.Object) {
	t.Helper()
	if !reflect.DeepEqual(got, before) && !reflect.DeepEqual(got, after) {
		t.Errorf("listed: got %+v, want %+v or %+v", got, before, after)
	}
}

func must(t testing.TB, err error) {
	t.Helper()
	if err != nil {
		t.Fatalf("got error %v, want none", err)
	}
}
