package local_test

import (
	"context"
	"os"
	"os/exec"
	"path/filepath"
	"syscall"
	"testing"

	"golang.org/x/sys/unix"

	"github.com/jetvol/jetvol/backends/backendtest"
	"github.com/jetvol/jetvol/volume"
)

func TestConformance_BlocksShared(t *testing.T) {
	dir := reflinkFileSystem(t)
	s := store{dir: filepath.Join(dir, "volumes"), journal: filepath.Join(dir, "journal")}
	backendtest.Run(t, s)
	if files := s.files(t); len(files) != 0 {
		t.Errorf("files left by the suite: got %q, want none", files)
	}
}

func TestSnapshots_BlocksShared_TakeNoSpace(t *testing.T) {
	const written, most = 64 * volume.MiB, 4 * volume.MiB
	dir := reflinkFileSystem(t)
	s := store{dir: filepath.Join(dir, "volumes"), journal: filepath.Join(dir, "journal")}
	d := s.open(t)
	t.Cleanup(func() { must(t, d.Close()) })
	health, err := d.Health(t.Context())
	must(t, err)
	if got, want := health.Facts["snapshots"], "copy-on-write by FICLONE"; got != want {
		t.Errorf("health: got snapshots %q, want %q", got, want)
	}
	ref := refOf("db-01", 1)
	must(t, d.Create(t.Context(), ref, written))
	s.WriteContent(t, ref, make([]byte, written), 0)
	before := free(t, dir)
	for _, name := range []volume.SnapshotName{"monday", "tuesday"} {
		_, err := d.CreateSnapshot(t.Context(), ref, name)
		must(t, err)
	}
	must(t, d.Clone(t.Context(), ref, "monday", refOf("db-02", 1), 2*written))
	must(t, d.Restore(t.Context(), ref, "tuesday"))
	if taken := before - free(t, dir); taken > int64(most) {
		t.Errorf("two snapshots, a clone and a restore of %s: got %d bytes taken, want at most %s", written, taken, most)
	}
}

// free syncs the file system, so that all that is written has its blocks.
func free(t *testing.T, dir string) int64 {
	t.Helper()
	root, err := os.Open(dir)
	must(t, err)
	must(t, unix.Syncfs(int(root.Fd())))
	must(t, root.Close())
	var fs syscall.Statfs_t
	must(t, syscall.Statfs(dir, &fs))
	return int64(fs.Bfree) * fs.Bsize
}

// reflinkFileSystem mounts a file system whose files can share blocks, which needs root.
func reflinkFileSystem(t *testing.T) string {
	t.Helper()
	dir, disk := t.TempDir(), filepath.Join(t.TempDir(), "disk")
	must(t, os.WriteFile(disk, nil, 0o600))
	must(t, os.Truncate(disk, int64(400*volume.MiB))) // sparse; mkfs.xfs takes no less than 300 MiB
	for _, command := range [][]string{
		{"mkfs.xfs", "-q", "-m", "reflink=1", disk},
		{"mount", "-o", "loop", disk, dir},
	} {
		if output, err := exec.CommandContext(t.Context(), command[0], command[1:]...).CombinedOutput(); err != nil {
			t.Skipf("missing: a file system with FICLONE: %v: %v: %s", command, err, output)
		}
	}
	t.Cleanup(func() {
		must(t, exec.CommandContext(context.WithoutCancel(t.Context()), "umount", "--lazy", dir).Run())
	})
	return dir
}
