package local

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/jetvol/jetvol/backends"
	"github.com/jetvol/jetvol/volume"
)

// snapshotted is a volume with the snapshot monday, and its two data files.
func snapshotted(t *testing.T) (d *Driver, ref backends.Ref, image, file string) {
	t.Helper()
	d = openTest(t, Options{Dir: filepath.Join(t.TempDir(), "volumes")})
	ref = position(0).ref("db-01")
	drive(t, d, 0, ref.Key.Name, 0, atStep(ChangeSnapshot)+1)
	return d, ref, filepath.Join(d.dir.path, imageName(ref.Key)), filepath.Join(d.dir.path, snapshotName(ref.Key, monday))
}

// A clone takes no lock of its source: a file that is just being written, of a snapshot
// that was deleted and made anew, must not become a clone.
func TestClone_SnapshotMadeAnewMeanwhile_IsOfOneSnapshotWhole(t *testing.T) {
	const rounds = 60
	d, ref, image, _ := snapshotted(t)
	contents := [][]byte{bytes.Repeat([]byte("a"), int(firstSize)), bytes.Repeat([]byte("b"), int(firstSize))}
	must(t, d.DeleteSnapshot(t.Context(), ref, monday))
	overwrite(t, image, contents[0])
	_, err := d.CreateSnapshot(t.Context(), ref, monday)
	must(t, err)
	stopped, ended := make(chan struct{}), make(chan struct{})
	go func() {
		defer close(ended)
		other := openTest(t, Options{Dir: d.dir.path})
		for i := 0; ; i++ {
			select {
			case <-stopped:
				return
			default:
			}
			err := other.DeleteSnapshot(t.Context(), ref, monday)
			overwrite(t, image, contents[i%2])
			_, createErr := other.CreateSnapshot(t.Context(), ref, monday)
			if err := errors.Join(err, createErr); err != nil {
				t.Errorf("snapshot anew: got %v, want no error", err)
				return
			}
		}
	}()
	made, refusals := 0, 0
	for range 100_000 {
		if made == rounds {
			break
		}
		err := d.Clone(t.Context(), ref, monday, cloneRef(), firstSize)
		switch {
		case errors.Is(err, volume.NotFound), errors.Is(err, volume.Busy):
			refusals++
			continue
		case err != nil:
			t.Fatalf("clone: got %v, want it made, %v or %v", err, volume.NotFound, volume.Busy)
		}
		made++
		got, err := os.ReadFile(filepath.Join(d.dir.path, imageName(cloneRef().Key)))
		must(t, err)
		if !bytes.Equal(got, contents[0]) && !bytes.Equal(got, contents[1]) {
			t.Fatalf("clone: got %d of %q, %d of %q, %d zeros, want the content of one snapshot",
				bytes.Count(got, []byte("a")), "a", bytes.Count(got, []byte("b")), "b", bytes.Count(got, []byte{0}))
		}
		must(t, d.Delete(t.Context(), cloneRef()))
	}
	close(stopped)
	<-ended
	t.Logf("%d clones, %d refusals", made, refusals)
}

func TestClone_SnapshotChangesBeforeItsFileIsOpened_IsRefused(t *testing.T) {
	for name, c := range map[string]struct {
		meanwhile func(ctx context.Context, d *Driver, ref backends.Ref) error
		want      volume.Class
	}{
		"Deleted": {func(ctx context.Context, d *Driver, ref backends.Ref) error {
			return d.DeleteSnapshot(ctx, ref, monday)
		}, volume.NotFound},
		"MadeAnew": {func(ctx context.Context, d *Driver, ref backends.Ref) error {
			err := d.DeleteSnapshot(ctx, ref, monday)
			_, createErr := d.CreateSnapshot(ctx, ref, monday)
			return errors.Join(err, createErr)
		}, volume.Busy},
	} {
		t.Run(name, func(t *testing.T) {
			d, ref, _, _ := snapshotted(t)
			other := openTest(t, Options{Dir: d.dir.path})
			d.meanwhile = func() { must(t, c.meanwhile(t.Context(), other, ref)) }
			if err := d.Clone(t.Context(), ref, monday, cloneRef(), firstSize); !errors.Is(err, c.want) {
				t.Errorf("clone: got %v, want %v", err, c.want)
			}
			if _, err := d.Get(t.Context(), cloneRef().Key); !errors.Is(err, volume.NotFound) {
				t.Errorf("get of the clone: got %v, want %v", err, volume.NotFound)
			}
		})
	}
}

// A file that is open outlives its removal.
func TestClone_SnapshotDeletedWhileCopied_IsWhole(t *testing.T) {
	d, ref := withIslands(t)
	_, err := d.CreateSnapshot(t.Context(), ref, monday)
	must(t, err)
	other := openTest(t, Options{Dir: d.dir.path})
	d.duringCopy(func() { must(t, other.DeleteSnapshot(t.Context(), ref, monday)) })
	must(t, d.Clone(t.Context(), ref, monday, cloneRef(), 8*chunk))
	image, err := os.ReadFile(filepath.Join(d.dir.path, imageName(ref.Key)))
	must(t, err)
	wantContent(t, d, cloneRef(), 8*chunk, image)
}

func TestCreate_RestoreOfEarlierLifeLeft_IsRemoved(t *testing.T) {
	d := openTest(t, Options{Dir: filepath.Join(t.TempDir(), "volumes")})
	ref := position(0).ref("db-01")
	left := filepath.Join(d.dir.path, restoredName(ref.Key))
	must(t, os.WriteFile(left, []byte("of the life before"), 0o600))
	must(t, d.Create(t.Context(), ref, firstSize))
	if _, err := os.Lstat(left); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("file left by a restore: got %v, want it removed", err)
	}
}

func TestGet_DuringRestores_FindsTheVolumeWhole(t *testing.T) {
	const restores = 60
	d, ref, _, _ := snapshotted(t)
	must(t, d.Resize(t.Context(), ref, secondSize))
	_, err := d.CreateSnapshot(t.Context(), ref, "tuesday")
	must(t, err)
	ended := make(chan struct{})
	var looking sync.WaitGroup
	for range 2 {
		looking.Go(func() {
			for {
				found, err := d.Get(t.Context(), ref.Key)
				if err == nil && found.Size != firstSize && found.Size != secondSize || err != nil && !errors.Is(err, volume.Busy) {
					t.Errorf("get: got %+v and %v, want the volume", found, err)
				}
				count := 0
				err = d.List(t.Context(), func(backends.Object) bool { count++; return true })
				if err == nil && count != 1 || err != nil && !errors.Is(err, volume.Busy) {
					t.Errorf("list: got %d objects and %v, want the volume", count, err)
				}
				select {
				case <-ended:
					return
				default:
				}
			}
		})
	}
	for i := range restores {
		must(t, d.Restore(t.Context(), ref, []volume.SnapshotName{monday, "tuesday"}[i%2]))
	}
	close(ended)
	looking.Wait()
}

func TestDriver_SnapshotFileHarmed_IsToldAndNotFollowed(t *testing.T) {
	elsewhere := filepath.Join(t.TempDir(), "elsewhere")
	must(t, os.WriteFile(elsewhere, make([]byte, firstSize), 0o600))
	for name, c := range map[string]struct {
		harm func(file string) error
		want volume.Class
	}{
		"Missing":   {os.Remove, volume.Internal},
		"Short":     {func(file string) error { return os.Truncate(file, 1) }, volume.Internal},
		"Link":      {func(file string) error { return errors.Join(os.Remove(file), os.Symlink(elsewhere, file)) }, volume.FailedPrecondition},
		"Directory": {func(file string) error { return errors.Join(os.Remove(file), os.Mkdir(file, 0o700)) }, volume.FailedPrecondition},
	} {
		t.Run(name, func(t *testing.T) {
			d, ref, _, file := snapshotted(t)
			must(t, c.harm(file))
			for call, err := range map[string]error{
				"restore": d.Restore(t.Context(), ref, monday),
				"clone":   d.Clone(t.Context(), ref, monday, cloneRef(), firstSize),
			} {
				if !errors.Is(err, c.want) || !strings.Contains(err.Error(), file) {
					t.Errorf("%s: got %v, want %s naming %s", call, err, c.want, file)
				}
			}
			err := d.DeleteSnapshot(t.Context(), ref, monday)
			if c.want == volume.Internal {
				must(t, err) // what is lost can be given up
				return
			}
			if !errors.Is(err, c.want) {
				t.Errorf("delete: got %v, want %s", err, c.want)
			}
			if _, err := os.Lstat(file); err != nil {
				t.Errorf("what took the place of the file: got %v, want it left there", err)
			}
		})
	}
}

func TestCreateSnapshot_TooMany_IsResourceExhausted(t *testing.T) {
	d, ref, _, _ := snapshotted(t)
	found, err := d.load(ref.Key)
	must(t, err)
	for i := len(found.Snapshots); i < MaxSnapshots; i++ {
		found.Snapshots = append(found.Snapshots, longestSnapshot(i))
	}
	must(t, d.store(ref.Key, found))
	_, err = d.CreateSnapshot(t.Context(), ref, "tuesday")
	if !errors.Is(err, volume.ResourceExhausted) {
		t.Errorf("got %v, want %v", err, volume.ResourceExhausted)
	}
	again, err := d.CreateSnapshot(t.Context(), ref, monday)
	if err != nil || again.Name != monday {
		t.Errorf("repeat: got %+v and %v, want %s", again, err, monday)
	}
}

func longestSnapshot(i int) kept {
	name := fmt.Sprintf("%0*d", volume.MaxNameLength, i)
	return kept{Name: volume.SnapshotName(name), Size: volume.MaxSize, CreatedAt: time.Date(2026, 11, 21, 1, 2, 3, 123456789, time.UTC)}
}

func TestSidecar_Largest_CanBeReadAgain(t *testing.T) {
	longest := strings.Repeat("p", volume.MaxNameLength)
	key := volume.Key{Project: volume.Project(longest), Name: volume.Name(longest)}
	s := newSidecar(backends.Ref{Key: key, ID: volume.NewID(key, 1<<64-1)}, volume.MaxSize)
	for i := range volume.MaxAttachments {
		node := volume.Node(fmt.Sprintf("%0*d", volume.MaxNodeLength, i))
		s.Attachments = append(s.Attachments, volume.Attachment{Node: node, Mode: volume.ReadOnly})
	}
	for i := range MaxSnapshots {
		s.Snapshots = append(s.Snapshots, longestSnapshot(i))
	}
	s.Unfinished, s.Restored = volume.SnapshotName(longest), true
	must(t, s.validate(key))
	data, err := json.Marshal(s)
	must(t, err)
	if len(data) >= maxRead {
		t.Errorf("largest sidecar: got %d bytes, want less than %d", len(data), maxRead)
	}
}
