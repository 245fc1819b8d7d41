package local

import (
	"context"
	"encoding/json"
	"errors"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"testing"

	"github.com/jetvol/jetvol/backends"
	"github.com/jetvol/jetvol/volume"
)

// Epochs of the tests: a worker that is stopped or killed, and the one that follows.
const (
	staleEpoch = 1
	ownerEpoch = 2
)

func in(epoch uint64, ref backends.Ref) backends.Ref {
	ref.Epoch = epoch
	return ref
}

// TestFence_KilledBeforeEachDiskChange_IsMadeOrNot kills a process at every point of a
// fence: before the 1st, 2nd, 3rd … change to the disk, until the fence outlives it.
func TestFence_KilledBeforeEachDiskChange_IsMadeOrNot(t *testing.T) {
	for name, c := range map[string]struct {
		before uint64   // the fence that is there already
		at     position // how far the volume's life has come
	}{
		"NoVolume":       {0, 0},
		"AttachedVolume": {0, 4},
		"OlderFence":     {staleEpoch, 1},
		"DeletedVolume":  {staleEpoch, position(len(life))},
	} {
		t.Run(name, func(t *testing.T) {
			killed := 0
			for survived := false; !survived; killed++ {
				survived = killFence(t, c.before, c.at, killed+1)
			}
			if killed-1 < 4 { // lock, temporary file, its content, rename
				t.Errorf("points of the kill: got %d, want at least 4", killed-1)
			}
		})
	}
}

func killFence(t *testing.T, before uint64, at position, n int) (survived bool) {
	t.Helper()
	const name = volume.Name("db-01")
	opts := Options{Dir: filepath.Join(t.TempDir(), "volumes")}
	witness := openTest(t, opts) // or the next Open would be alone, and free to remove all fences
	drive(t, witness, 0, name, 0, at)
	ref := position(0).ref(name)
	if before != 0 {
		must(t, witness.Fence(t.Context(), in(before, ref)))
	}
	objects := listed(t, witness)

	output, killed := childCommand(t, "fence", opts.Dir, strconv.Itoa(n)).CombinedOutput()
	if killed != nil && !wasKilled(killed) {
		t.Fatalf("child: got %v, want success or SIGKILL; output:\n%s", killed, output)
	}
	d := openTest(t, opts)
	wantNoTemporaryFiles(t, opts.Dir)
	stored, err := d.fenced(ref.Key)
	must(t, err)
	if stored != ownerEpoch && (killed == nil || stored != before) {
		t.Errorf("fence: got %d, want %d, or %d after a kill", stored, ownerEpoch, before)
	}
	for range 2 {
		must(t, d.Fence(t.Context(), in(ownerEpoch, ref)))
	}
	if err := witness.Delete(t.Context(), in(staleEpoch, ref)); !errors.Is(err, volume.ErrFenced) {
		t.Errorf("delete in the older epoch: got %v, want %v", err, volume.ErrFenced)
	}
	wantOneOf(t, listed(t, d), objects, objects)
	return killed == nil
}

func fenceChild(args []string) error {
	d, err := Open(Options{Dir: args[0]})
	if err != nil {
		return err
	}
	n, err := strconv.Atoi(args[1])
	if err != nil {
		return err
	}
	d.beforeChange(n, killSelf)
	return d.Fence(context.Background(), in(ownerEpoch, position(0).ref("db-01")))
}

func TestOpen_OthersHaveItOpen_KeepsFences(t *testing.T) {
	opts := Options{Dir: filepath.Join(t.TempDir(), "volumes")}
	ref := position(0).ref("db-01")
	first, err := Open(opts)
	must(t, err)
	must(t, first.Fence(t.Context(), in(ownerEpoch, ref)))
	second, err := Open(opts)
	must(t, err)
	must(t, first.Close())
	third, err := Open(opts) // second is the only one left that was there
	must(t, err)
	if err := third.Create(t.Context(), in(staleEpoch, ref), volume.MiB); !errors.Is(err, volume.ErrFenced) {
		t.Errorf("create: got %v, want %v while another driver is open", err, volume.ErrFenced)
	}
	must(t, second.Close())
	must(t, third.Close())

	alone := openTest(t, opts)
	must(t, alone.Create(t.Context(), in(staleEpoch, ref), volume.MiB))
	entries, err := os.ReadDir(filepath.Join(opts.Dir, FencesDir))
	must(t, err)
	if len(entries) != 1 || entries[0].Name() != lockName {
		t.Errorf("files beside the lock: got %v, want none", entries)
	}
}

func TestFence_FileDamaged_RefusesEveryChangeNamingIt(t *testing.T) {
	d := openTest(t, Options{Dir: filepath.Join(t.TempDir(), "volumes")})
	ref := in(ownerEpoch, position(0).ref("db-01"))
	must(t, d.Fence(t.Context(), ref))
	path := filepath.Join(d.fences.path, fenceName(ref.Key))
	must(t, os.WriteFile(path, []byte(`{"schema_version":1`), 0o600))
	for p := range position(len(life)) {
		if err := p.step().call(t.Context(), d, ref); !errors.Is(err, volume.Internal) || !strings.Contains(err.Error(), path) {
			t.Errorf("%s: got %v, want %v naming %s", p, err, volume.Internal, path)
		}
	}
}

func TestDriver_FencesMissing_IsUnavailable(t *testing.T) {
	for name, harm := range map[string]func(t *testing.T, d *Driver){
		"Lock":      func(t *testing.T, d *Driver) { must(t, os.Remove(filepath.Join(d.fences.path, lockName))) },
		"Directory": func(t *testing.T, d *Driver) { must(t, os.RemoveAll(d.fences.path)) },
		"DirectoryReplaced": func(t *testing.T, d *Driver) {
			must(t, os.Rename(d.fences.path, d.fences.path+".away"))
			must(t, os.Mkdir(d.fences.path, 0o700))
		},
	} {
		t.Run(name, func(t *testing.T) {
			d := openTest(t, Options{Dir: filepath.Join(t.TempDir(), "volumes")})
			harm(t, d)
			for p := range position(len(life)) {
				if err := p.step().call(t.Context(), d, p.ref("db-01")); !errors.Is(err, volume.Unavailable) {
					t.Errorf("%s: got %v, want %v", p, err, volume.Unavailable)
				}
			}
		})
	}
}

func TestOpen_FencesAreALink_IsRefused(t *testing.T) {
	parent := t.TempDir()
	dir := filepath.Join(parent, "volumes")
	must(t, os.Mkdir(dir, 0o700))
	must(t, os.Mkdir(filepath.Join(parent, "elsewhere"), 0o700))
	must(t, os.Symlink(filepath.Join(parent, "elsewhere"), filepath.Join(dir, FencesDir)))
	if _, err := Open(Options{Dir: dir}); !errors.Is(err, volume.FailedPrecondition) {
		t.Errorf("open: got %v, want %v", err, volume.FailedPrecondition)
	}
}

const goodFence = `{"schema_version":1,"key":"default.db-01","epoch":18446744073709551615}`

func TestDecodeFence(t *testing.T) {
	for _, c := range []struct{ name, text, want string }{
		{"Good", goodFence, ""},
		{"Truncated", goodFence[:20], "unexpected EOF"},
		{"TwoValues", goodFence + goodFence, "more than one"},
		{"UnknownField", replace("{", `{"x":1,`)(goodFence), "unknown field"},
		{"LaterVersion", replace(`:1,`, `:2,`)(goodFence), "schema version 2"},
		{"OtherKey", replace(`db-01`, `db-02`)(goodFence), "default.db-02"},
		{"NoEpoch", replace(`18446744073709551615`, `0`)(goodFence), "epoch 0"},
		{"NegativeEpoch", replace(`18446744073709551615`, `-1`)(goodFence), "cannot unmarshal"},
	} {
		t.Run(c.name, func(t *testing.T) {
			_, err := decodeFence(testKey, []byte(c.text))
			if (err == nil) != (c.want == "") || err != nil && !strings.Contains(err.Error(), c.want) {
				t.Errorf("got error %v, want %q in it", err, c.want)
			}
		})
	}
}

func FuzzDecodeFence(f *testing.F) {
	f.Add([]byte(goodFence))
	f.Add([]byte(`{}`))
	f.Fuzz(func(t *testing.T, data []byte) {
		found, err := decodeFence(testKey, data)
		if err != nil {
			return
		}
		encoded, err := json.Marshal(found)
		must(t, err)
		again, err := decodeFence(testKey, encoded)
		must(t, err)
		if found != again || found.Epoch == 0 {
			t.Errorf("decoded again: got %+v, want %+v with an epoch", again, found)
		}
	})
}
