package backendtest_test

import (
	"context"
	"errors"
	"os"
	"path/filepath"
	"testing"

	"github.com/jetvol/jetvol/backends"
	"github.com/jetvol/jetvol/backends/local"
	"github.com/jetvol/jetvol/volume"
)

// fileHarness is a directory of local.Driver, which is an importer.
type fileHarness struct {
	dir   string
	plant func(*local.Driver) backends.Driver
}

func (h fileHarness) MaxSize() volume.Bytes { return volume.TiB }

func (h fileHarness) Open(t testing.TB) backends.Driver {
	t.Helper()
	d, err := local.Open(local.Options{Dir: h.dir})
	if err != nil {
		t.Fatalf("open: got %v, want no error", err)
	}
	return h.plant(d)
}

func (h fileHarness) open(t testing.TB, ref backends.Ref, do func(*os.File) (int, error)) {
	t.Helper()
	f, err := os.OpenFile(filepath.Join(h.dir, ref.Key.String()+".img"), os.O_RDWR, 0)
	if err == nil {
		_, err = do(f)
		err = errors.Join(err, f.Close())
	}
	if err != nil {
		t.Fatalf("content: got %v, want no error", err)
	}
}

func (h fileHarness) ReadContent(t testing.TB, ref backends.Ref, data []byte, offset int64) {
	h.open(t, ref, func(f *os.File) (int, error) { return f.ReadAt(data, offset) })
}

func (h fileHarness) WriteContent(t testing.TB, ref backends.Ref, data []byte, offset int64) {
	h.open(t, ref, func(f *os.File) (int, error) { return f.WriteAt(data, offset) })
}

// giver is a local.Driver that gives away or takes in otherwise.
type giver struct {
	*local.Driver
	release func(ctx context.Context, ref backends.Ref, name volume.Image) error
	take    func(ctx context.Context, ref backends.Ref, name volume.Image) (volume.Bytes, error)
}

// looker is a local.Driver that looks otherwise at what it could take in.
type looker struct {
	*local.Driver
	look func(ctx context.Context, ref backends.Ref, name volume.Image) (backends.Candidate, error)
}

func (l looker) Importable(ctx context.Context, ref backends.Ref, name volume.Image) (backends.Candidate, error) {
	return l.look(ctx, ref, name)
}

func (g giver) Release(ctx context.Context, ref backends.Ref, name volume.Image) error {
	if g.release != nil {
		return g.release(ctx, ref, name)
	}
	return g.Driver.Release(ctx, ref, name)
}

func (g giver) Import(ctx context.Context, ref backends.Ref, name volume.Image) (volume.Bytes, error) {
	if g.take != nil {
		return g.take(ctx, ref, name)
	}
	return g.Driver.Import(ctx, ref, name)
}

// found is the object of the key whatever its ID, for a driver that ignores that.
func found(ctx context.Context, d *local.Driver, ref backends.Ref) backends.Ref {
	if o, err := d.Get(ctx, ref.Key); err == nil {
		o.Epoch = ref.Epoch
		return o.Ref
	}
	return ref
}

var importPlants = map[string]struct {
	plant  func(*local.Driver) backends.Driver
	caught string
}{
	"release is claimed but unsupported": {func(d *local.Driver) backends.Driver {
		return giver{d, func(context.Context, backends.Ref, volume.Image) error {
			return backends.Errorf(volume.Unsupported, "no releases here")
		}, nil}
	}, "Abilities_Claimed_AreHad"},
	"release keeps the object": {func(d *local.Driver) backends.Driver {
		return giver{d, func(context.Context, backends.Ref, volume.Image) error { return nil }, nil}
	}, "Release_Volume_IsGoneAndImportBringsItBack"},
	"release refuses a repeat": {func(d *local.Driver) backends.Driver {
		return giver{d, func(ctx context.Context, ref backends.Ref, name volume.Image) error {
			if _, err := d.Get(ctx, ref.Key); err != nil {
				return err
			}
			return d.Release(ctx, ref, name)
		}, nil}
	}, "Release_Volume_IsGoneAndImportBringsItBack"},
	"release ignores the id": {func(d *local.Driver) backends.Driver {
		return giver{d, func(ctx context.Context, ref backends.Ref, name volume.Image) error {
			return d.Release(ctx, found(ctx, d, ref), name)
		}, nil}
	}, "Release_Stranger_IsLeftAlone"},
	"release takes the volume from its node": {func(d *local.Driver) backends.Driver {
		return giver{d, func(ctx context.Context, ref backends.Ref, name volume.Image) error {
			_ = d.Detach(ctx, ref, "node-b.example")
			return d.Release(ctx, ref, name)
		}, nil}
	}, "Release_WhileAttached_IsBlocked"},
	"release deletes snapshots": {func(d *local.Driver) backends.Driver {
		return giver{d, func(ctx context.Context, ref backends.Ref, name volume.Image) error {
			_ = d.DeleteSnapshot(ctx, ref, "monday")
			return d.Release(ctx, ref, name)
		}, nil}
	}, "Release_WithSnapshot_IsBlocked"},
	"release of nothing is success": {func(d *local.Driver) backends.Driver {
		return giver{d, func(ctx context.Context, ref backends.Ref, name volume.Image) error {
			if err := d.Release(ctx, ref, name); !errors.Is(err, volume.NotFound) {
				return err
			}
			return nil
		}, nil}
	}, "Release_NeitherThere_IsNotFound"},
	"release replaces what has the name": {func(d *local.Driver) backends.Driver {
		return giver{d, func(ctx context.Context, ref backends.Ref, name volume.Image) error {
			err := d.Release(ctx, ref, name)
			if _, getErr := d.Get(ctx, ref.Key); getErr == nil && errors.Is(err, volume.FailedPrecondition) {
				return d.Delete(ctx, ref)
			}
			return err
		}, nil}
	}, "Release_NameTaken_IsRefused"},
	"release empties the image": {func(d *local.Driver) backends.Driver {
		return giver{d, nil, func(ctx context.Context, ref backends.Ref, name volume.Image) (volume.Bytes, error) {
			size, err := d.Import(ctx, ref, name)
			if err == nil {
				err = errors.Join(d.Delete(ctx, ref), d.Create(ctx, ref, size))
			}
			return size, err
		}}
	}, "Release_Content_ComesWithIt"},
	"import refuses a repeat": {func(d *local.Driver) backends.Driver {
		return giver{d, nil, func(ctx context.Context, ref backends.Ref, name volume.Image) (volume.Bytes, error) {
			if _, err := d.Get(ctx, ref.Key); err == nil {
				return 0, backends.Errorf(volume.AlreadyExists, "it is here")
			}
			return d.Import(ctx, ref, name)
		}}
	}, "Import_Repeated_ReturnsTheSame"},
	"import tells no size": {func(d *local.Driver) backends.Driver {
		return giver{d, nil, func(ctx context.Context, ref backends.Ref, name volume.Image) (volume.Bytes, error) {
			_, err := d.Import(ctx, ref, name)
			return 0, err
		}}
	}, "Import_Repeated_ReturnsTheSame"},
	"import makes what is not there": {func(d *local.Driver) backends.Driver {
		return giver{d, nil, func(ctx context.Context, ref backends.Ref, name volume.Image) (volume.Bytes, error) {
			size, err := d.Import(ctx, ref, name)
			if errors.Is(err, volume.NotFound) {
				return volume.MiB, d.Create(ctx, ref, volume.MiB)
			}
			return size, err
		}}
	}, "Import_NothingThere_IsNotFound"},
	"import takes the place of a stranger": {func(d *local.Driver) backends.Driver {
		return giver{d, nil, func(ctx context.Context, ref backends.Ref, name volume.Image) (volume.Bytes, error) {
			if at := found(ctx, d, ref); at.ID != ref.ID {
				_ = d.Delete(ctx, at)
			}
			return d.Import(ctx, ref, name)
		}}
	}, "Import_KeyOfStranger_IsAlreadyExists"},
	"look takes it in": {func(d *local.Driver) backends.Driver {
		return looker{d, func(ctx context.Context, ref backends.Ref, name volume.Image) (backends.Candidate, error) {
			size, err := d.Import(ctx, ref, name)
			return backends.Candidate{Size: size, Becomes: "image"}, err
		}}
	}, "Importable_Foreign_TellsTheSizeAndChangesNothing"},
	"look tells no size": {func(d *local.Driver) backends.Driver {
		return looker{d, func(ctx context.Context, ref backends.Ref, name volume.Image) (backends.Candidate, error) {
			found, err := d.Importable(ctx, ref, name)
			found.Size = 0
			return found, err
		}}
	}, "Importable_Foreign_TellsTheSizeAndChangesNothing"},
	"look is content with nothing": {func(d *local.Driver) backends.Driver {
		return looker{d, func(ctx context.Context, ref backends.Ref, name volume.Image) (backends.Candidate, error) {
			found, err := d.Importable(ctx, ref, name)
			if errors.Is(err, volume.NotFound) {
				return backends.Candidate{}, nil
			}
			return found, err
		}}
	}, "Importable_NothingThere_IsNotFound"},
	"look does not see a stranger": {func(d *local.Driver) backends.Driver {
		return looker{d, func(ctx context.Context, ref backends.Ref, name volume.Image) (backends.Candidate, error) {
			found, err := d.Importable(ctx, ref, name)
			if errors.Is(err, volume.AlreadyExists) {
				return backends.Candidate{}, nil
			}
			return found, err
		}}
	}, "Importable_KeyOfStranger_IsAlreadyExists"},
	"import ignores the fence": {func(d *local.Driver) backends.Driver {
		return giver{d, nil, func(ctx context.Context, ref backends.Ref, name volume.Image) (volume.Bytes, error) {
			ref.Epoch = 1 << 40
			return d.Import(ctx, ref, name)
		}}
	}, "Import_OlderEpoch_IsRefused"},
}
