package local

import (
	"bytes"
	"context"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"testing"

	"github.com/jetvol/jetvol/backends"
	"github.com/jetvol/jetvol/volume"
)

// atStep is the position of a change in the first life.
func atStep(change Change) position {
	return position(slices.IndexFunc(life, func(s step) bool { return s.change == change }))
}

// old and restored are the contents of a volume before and after a restore.
var (
	old      = bytes.Repeat([]byte("after! "), int(secondSize)/7)
	restored = bytes.Repeat([]byte("before "), int(firstSize)/7)
)

// TestRestore_KilledBeforeEachDiskChange_ShowsOneStateWhole attaches the volume after the
// kill, without a repeat, as if the restore had been given up.
func TestRestore_KilledBeforeEachDiskChange_ShowsOneStateWhole(t *testing.T) {
	seen := make(map[volume.Bytes]int)
	n := 1
	for ; ; n++ {
		size, survived := killRestore(t, n)
		if survived {
			break
		}
		seen[size]++
	}
	if seen[firstSize] < 3 || seen[secondSize] < 3 {
		t.Errorf("killed at %d points: got %v by the size, want at least 3 of each", n-1, seen)
	}
}

func killRestore(t *testing.T, n int) (size volume.Bytes, survived bool) {
	t.Helper()
	opts := Options{Dir: filepath.Join(t.TempDir(), "volumes")}
	at := atStep(ChangeRestore)
	ref := at.ref("db-01")
	image := filepath.Join(opts.Dir, imageName(ref.Key))
	d := openTest(t, opts)
	drive(t, d, 0, ref.Key.Name, 0, atStep(ChangeSnapshot))
	overwrite(t, image, restored)
	drive(t, d, 0, ref.Key.Name, atStep(ChangeSnapshot), at)
	overwrite(t, image, old)

	output, killed := childCommand(t, "step", opts.Dir, "", strconv.Itoa(int(at)), strconv.Itoa(n)).CombinedOutput()
	if killed != nil && !wasKilled(killed) {
		t.Fatalf("child: got %v, want success or SIGKILL; output:\n%s", killed, output)
	}
	d = openTest(t, opts)
	found, err := d.Get(t.Context(), ref.Key)
	must(t, err)
	want := map[volume.Bytes][]byte{firstSize: restored, secondSize: old}[found.Size]
	wantContent(t, d, ref, found.Size, want)
	must(t, d.Restore(t.Context(), ref, monday))
	wantContent(t, d, ref, firstSize, restored)
	drive(t, d, 0, ref.Key.Name, at, position(len(life)))
	wantEmpty(t, opts.Dir)
	return found.Size, killed == nil
}

// wantContent wants what a node sees: so many bytes, which begin with the given ones.
func wantContent(t *testing.T, d *Driver, ref backends.Ref, size volume.Bytes, begin []byte) {
	t.Helper()
	attachment, err := d.Attach(t.Context(), ref, holder, volume.ReadOnly)
	must(t, err)
	got, err := os.ReadFile(attachment.Connection["path"])
	must(t, err)
	want := make([]byte, size)
	copy(want, begin)
	if !bytes.Equal(got, want) {
		t.Errorf("content of %s: got %d bytes from %.14q, want %d from %.14q", ref.Key, len(got), got, len(want), want)
	}
	must(t, d.Detach(t.Context(), ref, holder))
}

func overwrite(t *testing.T, path string, data []byte) {
	t.Helper()
	f, err := os.OpenFile(path, os.O_WRONLY, 0)
	must(t, err)
	_, err = f.Write(data)
	must(t, err)
	must(t, f.Close())
}

// TestDriver_KilledAndGivenUp_LeavesNothingBehind kills a process at every point of every
// call, and deletes what is there instead of making the call again.
func TestDriver_KilledAndGivenUp_LeavesNothingBehind(t *testing.T) {
	for p := range position(len(life)) {
		t.Run(string(p.step().change), func(t *testing.T) {
			for n, survived := 1, false; !survived; n++ {
				survived = killAndGiveUp(t, strconv.Itoa(int(p)), p, n)
			}
		})
	}
	t.Run("clone", func(t *testing.T) {
		n := 1
		for survived := false; !survived; n++ {
			survived = killAndGiveUp(t, cloneStep, atStep(ChangeDeleteSnapshot), n)
		}
		if n < 7 {
			t.Errorf("points of the kill: got %d, want at least 5", n-2)
		}
	})
}

// cloneStep is a clone of db-01@monday named db-02, to a child process.
const cloneStep = "-1"

func cloneRef() backends.Ref { return position(0).ref("db-02") }

func killAndGiveUp(t *testing.T, step string, before position, n int) (survived bool) {
	t.Helper()
	opts := Options{Dir: filepath.Join(t.TempDir(), "volumes")}
	d := openTest(t, opts)
	drive(t, d, 0, "db-01", 0, before)
	output, killed := childCommand(t, "step", opts.Dir, "", step, strconv.Itoa(n)).CombinedOutput()
	if killed != nil && !wasKilled(killed) {
		t.Fatalf("child: got %v, want success or SIGKILL; output:\n%s", killed, output)
	}
	d = openTest(t, opts)
	for _, ref := range []backends.Ref{before.ref("db-01"), cloneRef()} {
		removeAll(t, d, ref)
	}
	wantEmpty(t, opts.Dir)
	return killed == nil
}

// removeAll removes the volume, if there is one, and all that stands in the way of that.
func removeAll(t *testing.T, d *Driver, ref backends.Ref) {
	t.Helper()
	found, err := d.Get(t.Context(), ref.Key)
	if err == nil {
		for _, attachment := range found.Attachments {
			must(t, d.Detach(t.Context(), ref, attachment.Node))
		}
		snapshots, err := d.ListSnapshots(t.Context(), ref)
		must(t, err)
		for _, snapshot := range snapshots {
			must(t, d.DeleteSnapshot(t.Context(), ref, snapshot.Name))
		}
	}
	must(t, d.Delete(t.Context(), ref))
}

func cloneOfMonday(ctx context.Context, d *Driver) error {
	return d.Clone(ctx, position(0).ref("db-01"), monday, cloneRef(), secondSize)
}
