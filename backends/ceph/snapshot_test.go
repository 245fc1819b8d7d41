//go:build ceph

package ceph

import (
	"encoding/binary"
	"errors"
	"fmt"
	"os/exec"
	"sync"
	"testing"

	"github.com/ceph/go-ceph/rados"
	"github.com/ceph/go-ceph/rbd"

	"github.com/jetvol/jetvol/backends"
	"github.com/jetvol/jetvol/internal/cephtest"
	"github.com/jetvol/jetvol/volume"
)

// snapshotted is a volume with the snapshot s1.
func snapshotted(t *testing.T, d *driver, name volume.Name) backends.Ref {
	t.Helper()
	ref := created(t, d, name)
	_, err := d.CreateSnapshot(t.Context(), ref, "s1")
	ok(t, err, "create snapshot")
	return ref
}

// snapshotNumber is the number by which librbd knows the snapshot.
func snapshotNumber(t *testing.T, d *driver, ref backends.Ref, name volume.SnapshotName) (number uint64) {
	t.Helper()
	withImage(t, d, imageName(ref.Key), func(image *rbd.Image) (err error) {
		number, err = image.GetSnapID(string(name))
		return err
	})
	return number
}

func imageID(t *testing.T, d *driver, ref backends.Ref) (id string) {
	t.Helper()
	withConn(t, d, func(c *conn) (err error) {
		id, err = c.named(imageName(ref.Key))
		return err
	})
	return id
}

// breakSnapshot leaves of the snapshot what a CreateSnapshot leaves that was killed before
// librbd had written the object map.
func breakSnapshot(t *testing.T, d *driver, ref backends.Ref) {
	t.Helper()
	object := fmt.Sprintf("%s%s.%016x", objectMapObject, imageID(t, d, ref), snapshotNumber(t, d, ref, "s1"))
	withConn(t, d, func(c *conn) error { return c.io.Delete(object) })
}

// trashSnapshot leaves of the snapshot what a DeleteSnapshot leaves that was killed before
// librbd had removed it from the trash (snapshot_trash_add of cls_rbd).
func trashSnapshot(t *testing.T, d *driver, ref backends.Ref) {
	t.Helper()
	number := snapshotNumber(t, d, ref, "s1")
	id := imageID(t, d, ref)
	withConn(t, d, func(c *conn) error {
		op := rados.CreateWriteOp()
		defer op.Release()
		op.Exec("rbd", "snapshot_trash_add", binary.LittleEndian.AppendUint64(nil, number))
		return op.Operate(c.io, headerObject+id, rados.OperationNoFlag)
	})
}

// The fault that the kit's kill cases found: the repeat of a killed CreateSnapshot told of
// a snapshot that nobody could ever clone.
func TestCreateSnapshot_HalfMade_IsMadeAnew(t *testing.T) {
	t.Parallel()
	d := open(t, inNamespace(t))
	ref, clone := snapshotted(t, d, "a"), refOf("copy")
	breakSnapshot(t, d, ref)
	refused(t, d.Clone(t.Context(), ref, "s1", clone, small), "clone of half a snapshot", volume.NotFound)
	refused(t, d.Restore(t.Context(), ref, "s1"), "restore of half a snapshot", volume.NotFound)
	_, err := d.CreateSnapshot(t.Context(), ref, "s1")
	ok(t, err, "create snapshot repeated")
	ok(t, d.Clone(t.Context(), ref, "s1", clone, small), "clone")
}

func TestDeleteSnapshot_HalfMade_IsRemoved(t *testing.T) {
	t.Parallel()
	d := open(t, inNamespace(t))
	ref := snapshotted(t, d, "a")
	breakSnapshot(t, d, ref)
	ok(t, d.DeleteSnapshot(t.Context(), ref, "s1"), "delete of half a snapshot")
	ok(t, d.Delete(t.Context(), ref), "delete")
}

// The kit's case Snapshot_AtOnce_IsOne failed now and then: what another client was in the
// middle of making was taken for what a dead one had left, and removed.
func TestSnapshot_HalfMadeWhileItsMakerMayLive_IsBusyAndLeft(t *testing.T) {
	t.Parallel()
	calls := map[string]func(d *driver, ref backends.Ref) error{
		"create": func(d *driver, ref backends.Ref) error {
			_, err := d.CreateSnapshot(t.Context(), ref, "s1")
			return err
		},
		"delete": func(d *driver, ref backends.Ref) error { return d.DeleteSnapshot(t.Context(), ref, "s1") },
	}
	for name, call := range calls {
		t.Run(name, func(t *testing.T) {
			cfg := inNamespace(t)
			d := open(t, cfg)
			ref := snapshotted(t, d, "a")
			number := snapshotNumber(t, d, ref, "s1")
			breakSnapshot(t, d, ref)
			withImage(t, open(t, cfg), imageName(ref.Key), func(maker *rbd.Image) error {
				ok(t, maker.LockAcquire(rbd.LockModeExclusive), "lock of the maker")
				refused(t, call(d, ref), name, volume.Busy)
				return nil
			})
			if got := snapshotNumber(t, d, ref, "s1"); got != number {
				t.Errorf("snapshot: got number %d, want %d still", got, number)
			}
			ok(t, call(d, ref), name+" when the maker is gone")
			ok(t, d.DeleteSnapshot(t.Context(), ref, "s1"), "delete snapshot")
			ok(t, d.Delete(t.Context(), ref), "delete")
		})
	}
}

// All but one process begin as soon as they see that the snapshot is in the header. Its
// object map, 25 MiB for this size, is then not yet written.
func TestCreateSnapshot_WhileAnotherMakesIt_IsOne(t *testing.T) {
	t.Parallel()
	const size = 400 * volume.TiB
	cfg := inNamespace(t)
	var drivers [4]*driver
	for i := range drivers {
		drivers[i] = open(t, cfg)
	}
	ref := refOf("a")
	ok(t, drivers[0].Create(t.Context(), ref, size), "create")
	var made [len(drivers)]backends.Snapshot
	var calls sync.WaitGroup
	for i, d := range drivers {
		calls.Go(func() {
			var err error
			var listed []backends.Snapshot
			for i > 0 && len(listed) == 0 && err == nil {
				listed, err = d.ListSnapshots(t.Context(), ref)
			}
			for first := true; err == nil && first || errors.Is(err, volume.Busy); first = false {
				made[i], err = d.CreateSnapshot(t.Context(), ref, "s1")
			}
			if err != nil {
				t.Errorf("create snapshot: got %v, want success", err)
			}
		})
	}
	calls.Wait()
	for _, got := range made {
		if got != made[0] {
			t.Errorf("snapshot: got %+v, want %+v as others have got", got, made[0])
		}
	}
	// The volume stays: librbd would look at each of its 100 million objects.
}

// Another: what a killed DeleteSnapshot left was no snapshot any more, and kept its volume
// from ever being deleted.
func TestDelete_SnapshotLeftInTrash_IsSwept(t *testing.T) {
	t.Parallel()
	for name, repeat := range map[string]bool{"after a repeat": true, "at once": false} {
		t.Run(name, func(t *testing.T) {
			d := open(t, inNamespace(t))
			ref := snapshotted(t, d, "a")
			trashSnapshot(t, d, ref)
			if listed, err := d.ListSnapshots(t.Context(), ref); err != nil || len(listed) != 0 {
				t.Errorf("snapshots: got %v, %v, want none", listed, err)
			}
			if repeat {
				ok(t, d.DeleteSnapshot(t.Context(), ref, "s1"), "delete snapshot repeated")
			}
			ok(t, d.Delete(t.Context(), ref), "delete")
		})
	}
}

// What others do with the rbd program: a snapshot removed under its clone stays in the
// trash until the clone is gone.
func TestDelete_SnapshotInTrashWithClone_NamesTheClone(t *testing.T) {
	t.Parallel()
	cluster, cfg := cephtest.Start(t), inNamespace(t)
	d := open(t, cfg)
	ref, clone := snapshotted(t, d, "a"), refOf("copy")
	ok(t, d.Clone(t.Context(), ref, "s1", clone, small), "clone")
	cluster.RBD(t, "snap", "rm", "--no-progress", joinSpec(cfg.Pool, cfg.Namespace, imageName(ref.Key))+"@s1")
	wantBlocked(t, d.Delete(t.Context(), ref), backends.Blocker{Kind: backends.BlockedByChild, Name: "test.copy"})
	ok(t, d.Delete(t.Context(), clone), "delete of the clone")
	ok(t, d.Delete(t.Context(), ref), "delete")
}

func TestDeleteSnapshot_ProtectedByOthers_IsUnprotected(t *testing.T) {
	t.Parallel()
	cluster, cfg := cephtest.Start(t), inNamespace(t)
	d := open(t, cfg)
	ref := snapshotted(t, d, "a")
	spec, other := joinSpec(cfg.Pool, cfg.Namespace, imageName(ref.Key))+"@s1", joinSpec(cfg.Pool, cfg.Namespace, "other")
	cluster.RBD(t, "snap", "protect", spec)
	cluster.RBD(t, "clone", "--rbd-default-clone-format", "1", spec, other)
	if listed, err := d.ListSnapshots(t.Context(), ref); err != nil || len(listed) != 1 || !listed[0].Protected {
		t.Errorf("snapshots: got %+v, %v, want a protected one", listed, err)
	}
	wantBlocked(t, d.DeleteSnapshot(t.Context(), ref, "s1"), backends.Blocker{Kind: backends.BlockedByChild, Name: other})
	if children, err := d.Children(t.Context(), ref, "s1"); err != nil || len(children) != 0 {
		t.Errorf("children: got %v, %v, want none that are volumes", children, err)
	}
	cluster.RBD(t, "flatten", "--no-progress", other)
	ok(t, d.DeleteSnapshot(t.Context(), ref, "s1"), "delete of a protected snapshot")
	ok(t, d.Delete(t.Context(), ref), "delete")
}

// A node writes through qemu, and what it reads back is told apart by its bytes.
func TestSnapshot_DataOfANode_IsRestoredAndCloned(t *testing.T) {
	t.Parallel()
	d := open(t, inNamespace(t))
	ref, clone := created(t, d, "a"), refOf("copy")
	node := attached(t, d, ref, "n1", volume.ReadWrite)
	qemu(t, node, "write -P 0x11 1M 3M")
	_, err := d.CreateSnapshot(t.Context(), ref, "s1")
	ok(t, err, "create snapshot")
	qemu(t, node, "write -P 0x22 2M 3M")
	ok(t, d.Clone(t.Context(), ref, "s1", clone, 2*small), "clone")
	copied := attached(t, d, clone, "n2", volume.ReadWrite)
	qemu(t, copied, "read -P 0x11 1M 3M", "read -P 0 4M 1M", "read -P 0 64M 1M", "write -P 0x33 1M 1M")
	qemu(t, node, "read -P 0x11 1M 1M", "read -P 0x22 2M 3M")
	ok(t, d.Detach(t.Context(), ref, "n1"), "detach")
	ok(t, d.Restore(t.Context(), ref, "s1"), "restore")
	node = attached(t, d, ref, "n1", volume.ReadWrite)
	qemu(t, node, "read -P 0x11 1M 3M", "read -P 0 4M 1M")
	qemu(t, copied, "read -P 0x33 1M 1M", "read -P 0x11 2M 2M")
}

// qemu carries out commands of qemu-io on a node's attachment. A read that finds other
// bytes than its pattern's fails.
func qemu(t *testing.T, a volume.Attachment, commands ...string) {
	t.Helper()
	args := []string{"-f", "raw", a.Connection["qemu"]}
	for _, command := range commands {
		args = append(args, "-c", command)
	}
	output, err := exec.CommandContext(t.Context(), "qemu-io", args...).CombinedOutput()
	if err != nil {
		t.Fatalf("qemu-io %q: got %v; output:\n%s", commands, err, output)
	}
}

func wantBlocked(t *testing.T, err error, by ...backends.Blocker) {
	t.Helper()
	want, _ := errors.AsType[*backends.BlockedError](backends.Blocked(by...))
	if got, typed := errors.AsType[*backends.BlockedError](err); !typed || got.Error() != want.Error() {
		t.Errorf("blocked: got %v, want %v", err, want)
	}
}
