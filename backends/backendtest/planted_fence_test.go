package backendtest_test

import (
	"context"
	"errors"
	"math"
	"sync"
	"time"

	"github.com/jetvol/jetvol/backends"
	"github.com/jetvol/jetvol/backends/null"
	"github.com/jetvol/jetvol/volume"
)

// past is ref with an epoch that no fence stops.
func past(ref backends.Ref) backends.Ref {
	ref.Epoch = math.MaxUint64
	return ref
}

type fenceDenied struct{ *null.Driver }

func (d fenceDenied) Fence(context.Context, backends.Ref) error {
	return backends.Errorf(volume.Unsupported, "no fences here")
}

type fenceHalf struct{ *null.Driver }

func (d fenceHalf) Attach(ctx context.Context, ref backends.Ref, node volume.Node, mode volume.Mode) (volume.Attachment, error) {
	return d.Driver.Attach(ctx, past(ref), node, mode)
}

type fenceOff struct{ *null.Driver }

func (d fenceOff) Create(ctx context.Context, ref backends.Ref, size volume.Bytes) error {
	if ref.Epoch > 0 {
		ref.Epoch--
	}
	return d.Driver.Create(ctx, ref, size)
}

type fenceRaised struct{ *null.Driver }

func (d fenceRaised) Create(ctx context.Context, ref backends.Ref, size volume.Bytes) error {
	return errors.Join(d.Fence(ctx, ref), d.Driver.Create(ctx, ref, size))
}

type fenceFree struct{ *null.Driver }

func (d fenceFree) Create(ctx context.Context, ref backends.Ref, size volume.Bytes) error {
	if ref.Epoch == 0 {
		ref = past(ref)
	}
	return d.Driver.Create(ctx, ref, size)
}

type fenceOnce struct{ *null.Driver }

func (d fenceOnce) Fence(ctx context.Context, ref backends.Ref) error {
	below := ref
	below.Epoch--
	if err := d.Driver.Fence(ctx, below); err != nil {
		return err
	}
	return d.Driver.Fence(ctx, ref)
}

type fenceQuiet struct{ *null.Driver }

func (d fenceQuiet) Fence(ctx context.Context, ref backends.Ref) error {
	if err := d.Driver.Fence(ctx, ref); !errors.Is(err, volume.ErrFenced) {
		return err
	}
	return nil
}

// fenceOfLife stops only callers with the ID that was fenced.
type fenceOfLife struct {
	*null.Driver
	fenced sync.Map
}

func (d *fenceOfLife) Fence(ctx context.Context, ref backends.Ref) error {
	d.fenced.Store(ref.ID, true)
	return d.Driver.Fence(ctx, ref)
}

func (d *fenceOfLife) Create(ctx context.Context, ref backends.Ref, size volume.Bytes) error {
	if _, fenced := d.fenced.Load(ref.ID); !fenced {
		ref = past(ref)
	}
	return d.Driver.Create(ctx, ref, size)
}

type fenceMakes struct{ *null.Driver }

func (d fenceMakes) Fence(ctx context.Context, ref backends.Ref) error {
	if _, err := d.Get(ctx, ref.Key); errors.Is(err, volume.NotFound) {
		_ = d.Create(ctx, ref, volume.MiB)
	}
	return d.Driver.Fence(ctx, ref)
}

type fenceDetaches struct{ *null.Driver }

func (d fenceDetaches) Fence(ctx context.Context, ref backends.Ref) error {
	if found, err := d.Get(ctx, ref.Key); err == nil && len(found.Attachments) > 0 {
		_ = d.Detach(ctx, ref, found.Attachments[0].Node)
	}
	return d.Driver.Fence(ctx, ref)
}

// fenceAll has one fence for the whole store.
type fenceAll struct{ *null.Driver }

var everyVolume = volume.Key{Project: "every", Name: "volume"}

func (d fenceAll) Fence(ctx context.Context, ref backends.Ref) error {
	all := backends.Ref{Key: everyVolume, ID: volume.NewID(everyVolume, 1), Epoch: ref.Epoch}
	return errors.Join(d.Driver.Fence(ctx, all), d.Driver.Fence(ctx, ref))
}

func (d fenceAll) Create(ctx context.Context, ref backends.Ref, size volume.Bytes) error {
	all := backends.Ref{Key: everyVolume, ID: volume.NewID(everyVolume, 1), Epoch: ref.Epoch}
	if err := d.Driver.Delete(ctx, all); err != nil {
		return err
	}
	return d.Driver.Create(ctx, ref, size)
}

// fenceHere keeps its fences in the memory of its handle.
type fenceHere struct {
	*null.Driver
	fences *null.Driver
}

func newFenceHere(d *null.Driver) *fenceHere { return &fenceHere{d, null.New(null.Options{})} }

func (d *fenceHere) Fence(ctx context.Context, ref backends.Ref) error {
	return d.fences.Fence(ctx, ref)
}

func (d *fenceHere) Create(ctx context.Context, ref backends.Ref, size volume.Bytes) error {
	if err := d.fences.Delete(ctx, ref); err != nil {
		return err
	}
	return d.Driver.Create(ctx, ref, size)
}

func (d *fenceHere) Delete(ctx context.Context, ref backends.Ref) error {
	if err := d.fences.Delete(ctx, ref); err != nil {
		return err
	}
	return d.Driver.Delete(ctx, ref)
}

// fenceMortal loses a fence when its volume is deleted.
type fenceMortal struct{ *fenceHere }

func (d *fenceMortal) Delete(ctx context.Context, ref backends.Ref) error {
	err := d.fenceHere.Delete(ctx, ref)
	if err == nil {
		d.fences = null.New(null.Options{})
	}
	return err
}

// fenceEarly looks at the fence before it acts, and lets a fence come between the two.
type fenceEarly struct{ *null.Driver }

func (d fenceEarly) Delete(ctx context.Context, ref backends.Ref) error {
	absent := backends.Ref{Key: ref.Key, ID: volume.NewID(ref.Key, math.MaxUint32), Epoch: ref.Epoch}
	if err := d.Driver.Delete(ctx, absent); err != nil {
		return err
	}
	<-time.After(5 * time.Millisecond)
	return d.Driver.Delete(ctx, past(ref))
}
