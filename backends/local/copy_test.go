package local

import (
	"bytes"
	"context"
	"errors"
	"io"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"testing/synctest"
	"time"

	"github.com/jetvol/jetvol/backends"
)

// The places of data in the sparse file of the copy tests: across the end of a chunk, and
// far behind a hole.
var islands = []int64{0, chunk - 4096, 3 * chunk}

const islandSize = 3 * 4096

func sparse(t *testing.T, size int64) *os.File {
	t.Helper()
	f, err := os.Create(filepath.Join(t.TempDir(), "sparse"))
	must(t, err)
	t.Cleanup(func() { must(t, f.Close()) })
	must(t, f.Truncate(size))
	for i, at := range islands {
		_, err := f.WriteAt(bytes.Repeat([]byte{byte(i + 1)}, islandSize), at)
		must(t, err)
	}
	return f
}

func blocks(t *testing.T, f *os.File) int64 {
	t.Helper()
	must(t, f.Sync())
	info, err := f.Stat()
	must(t, err)
	return info.Sys().(*syscall.Stat_t).Blocks * blockSize
}

func TestCopySparsely_HolesAndChunks_AreKept(t *testing.T) {
	d := openTest(t, Options{Dir: filepath.Join(t.TempDir(), "volumes")})
	for name, size := range map[string]int64{
		"Whole": 4 * chunk, "HoleAtTheEnd": 8 * chunk, "CutInData": 3*chunk + 100, "CutInAHole": 2 * chunk, "Tiny": 1,
	} {
		t.Run(name, func(t *testing.T) {
			from := sparse(t, 8*chunk) // longer than what is copied, as after a killed resize
			to, err := os.Create(filepath.Join(t.TempDir(), "copy"))
			must(t, err)
			defer to.Close()
			must(t, d.copySparsely(t.Context(), to, from, size))
			if info, err := to.Stat(); err != nil || info.Size() > size {
				t.Errorf("copy: got %d bytes and %v, want at most %d", info.Size(), err, size)
			}
			must(t, to.Truncate(size))
			got, err := os.ReadFile(to.Name())
			must(t, err)
			want, err := os.ReadFile(from.Name())
			must(t, err)
			if !bytes.Equal(got, want[:size]) {
				t.Errorf("copy: got other content than the first %d bytes of the source", size)
			}
			if taken, most := blocks(t, to), blocks(t, from); taken > most {
				t.Errorf("copy: got %d bytes in use, want at most %d", taken, most)
			}
		})
	}
}

// withIslands is a volume with data that takes several chunks to copy.
func withIslands(t *testing.T) (*Driver, backends.Ref) {
	t.Helper()
	d := openTest(t, Options{Dir: filepath.Join(t.TempDir(), "volumes")})
	d.share = nil
	ref := position(0).ref("db-01")
	must(t, d.Create(t.Context(), ref, 8*chunk))
	for i, at := range islands {
		f, err := os.OpenFile(filepath.Join(d.dir.path, imageName(ref.Key)), os.O_WRONLY, 0)
		must(t, err)
		_, err = f.WriteAt(bytes.Repeat([]byte{byte(i + 1)}, islandSize), at)
		must(t, err)
		must(t, f.Close())
	}
	return d, ref
}

// copies are the calls that copy an image, the clone from a snapshot that is there.
var copies = map[string]func(ctx context.Context, d *Driver, ref backends.Ref) error{
	"snapshot": func(ctx context.Context, d *Driver, ref backends.Ref) error {
		_, err := d.CreateSnapshot(ctx, ref, "tuesday")
		return err
	},
	"restore": func(ctx context.Context, d *Driver, ref backends.Ref) error { return d.Restore(ctx, ref, monday) },
	"clone": func(ctx context.Context, d *Driver, ref backends.Ref) error {
		return d.Clone(ctx, ref, monday, cloneRef(), 8*chunk)
	},
}

func TestDriver_CancelledWhileCopying_StopsAndLeavesNoFile(t *testing.T) {
	for name, copying := range copies {
		t.Run(name, func(t *testing.T) {
			d, ref := withIslands(t)
			_, err := d.CreateSnapshot(t.Context(), ref, monday)
			must(t, err)
			before := filesIn(t, d.dir.path)
			ctx, cancel := context.WithCancel(t.Context())
			d.duringCopy(cancel)
			if err := copying(ctx, d, ref); !errors.Is(err, context.Canceled) {
				t.Errorf("got %v, want %v", err, context.Canceled)
			}
			for file := range filesIn(t, d.dir.path) {
				if _, there := before[file]; !there {
					t.Errorf("file left by the cancelled call: got %s, want none", file)
				}
			}
			must(t, copying(t.Context(), d, ref))
		})
	}
}

// A copy that took longer than a call's timeout would otherwise never be made.
func TestDriver_TimeoutWhileCopying_GoesOn(t *testing.T) {
	for name, copying := range copies {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				d, ref := withIslands(t)
				_, err := d.CreateSnapshot(t.Context(), ref, monday)
				must(t, err)
				ctx, cancel := context.WithTimeout(t.Context(), time.Second)
				defer cancel()
				d.duringCopy(func() { <-ctx.Done() })
				must(t, copying(ctx, d, ref))
				if ctx.Err() == nil {
					t.Error("context: got it going on, want it ended during the call")
				}
			})
		})
	}
}

// A call that copies is bounded by the time without progress: it may take longer in all.
func TestBackend_CopyTakesLongerThanTheTimeout_IsMade(t *testing.T) {
	for name, do := range map[string]func(context.Context, *backends.Backend, backends.Ref) error{
		"snapshot": func(ctx context.Context, b *backends.Backend, ref backends.Ref) error {
			_, err := b.CreateSnapshot(ctx, ref, "tuesday")
			return err
		},
		"restore": func(ctx context.Context, b *backends.Backend, ref backends.Ref) error {
			return b.Restore(ctx, ref, monday)
		},
		"clone": func(ctx context.Context, b *backends.Backend, ref backends.Ref) error {
			return b.Clone(ctx, ref, monday, cloneRef(), 8*chunk)
		},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				d, ref := withIslands(t)
				_, err := d.CreateSnapshot(t.Context(), ref, monday)
				must(t, err)
				d.copying = func() { <-time.After(900 * time.Millisecond) }
				began := time.Now()
				must(t, do(t.Context(), backends.New("local", d, backends.Options{Timeout: time.Second}), ref))
				if took := time.Since(began); took <= time.Second {
					t.Errorf("the copy took %s, want more than the timeout", took)
				}
				synctest.Wait()
			})
		})
	}
}

// duringCopy calls f once, before the second chunk of a copy.
func (d *Driver) duringCopy(f func()) {
	begun := false
	d.copying = func() {
		if begun && f != nil {
			f()
			f = nil
		}
		begun = true
	}
}

func TestOpen_DirectoryCannotShare_SaysSoAndCopies(t *testing.T) {
	for name, share := range map[string]func(to, from *os.File) error{
		"Refused":      func(*os.File, *os.File) error { return os.NewSyscallError("FICLONE", syscall.EOPNOTSUPP) },
		"OtherContent": func(to, _ *os.File) error { _, err := to.WriteString("jetvol"); return err },
	} {
		t.Run(name, func(t *testing.T) {
			d := openTest(t, Options{Dir: filepath.Join(t.TempDir(), "volumes")})
			if d.share, d.sharing = d.dir.probe(share); d.share != nil {
				t.Error("probe: got sharing, want none")
			}
			health, err := d.Health(t.Context())
			must(t, err)
			if told := health.Facts["snapshots"]; !strings.Contains(told, "sparse copies") || !strings.Contains(told, "FICLONE") {
				t.Errorf("health: got snapshots %q, want that they are sparse copies, and why", told)
			}
			wantEmpty(t, d.dir.path)
		})
	}
}

func TestDriver_DirectoryCanShare_SharesAndNeverCopies(t *testing.T) {
	d, ref := withIslands(t)
	shared := 0
	d.share, d.sharing = d.dir.probe(func(to, from *os.File) error {
		shared++
		info, err := from.Stat()
		if err != nil {
			return err
		}
		_, err = io.Copy(to, io.NewSectionReader(from, 0, info.Size()))
		return err
	})
	if d.share == nil || d.sharing != sharingBlocks {
		t.Fatalf("probe: got %q, want %q", d.sharing, sharingBlocks)
	}
	d.copying = func() { t.Error("copied, want shared") }
	_, err := d.CreateSnapshot(t.Context(), ref, monday)
	must(t, err)
	for _, name := range []string{"snapshot", "clone", "restore"} {
		must(t, copies[name](t.Context(), d, ref))
	}
	if shared != 5 { // the probe too
		t.Errorf("shared: got %d times, want 5", shared)
	}
}
