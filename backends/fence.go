package backends

import (
	"cmp"
	"context"
	"fmt"

	"github.com/jetvol/jetvol/volume"
)

// Fencer is a driver that can shut out callers that have lost their volume.
type Fencer interface {
	// Fence refuses from now on the calls for ref.Key whose Epoch is lower than
	// ref.Epoch, in every process, whatever their ID and whether or not there is an
	// object, which Fence neither needs nor makes. When it has returned nil, no older
	// call changes anything any more, also none that was in progress: Fence waits for
	// its end, or returns Busy. The fence outlives the driver and the object. It may end
	// when no process is left that had the backend open while it was made.
	//
	// The refused calls are Create, Delete, Attach, Detach, Evict, Resize, Fence,
	// CreateSnapshot, DeleteSnapshot, Restore, Flatten, and Clone for its target, with a
	// [FencedError]. Equal epochs pass, so a repeat is success. A call with a higher
	// epoch passes and leaves the fence as it is.
	Fence(ctx context.Context, ref Ref) error
}

// FencedError refuses a call because of its epoch: another worker owns the volume. Its
// code is [volume.ErrFenced]. Who rightfully owns the volume, and has an epoch that is
// lower because records were lost, raises it above Stored.
type FencedError struct {
	Epoch  uint64 // of the call
	Stored uint64 // the lowest that is taken
}

// Check returns a [FencedError] if ref's epoch is lower than the stored one, for use by
// drivers.
func (r Ref) Check(stored uint64) error {
	if r.Epoch < stored {
		return &FencedError{Epoch: r.Epoch, Stored: stored}
	}
	return nil
}

// Error tells both epochs: "epoch 3 is fenced, the lowest taken is 5: fenced".
func (e *FencedError) Error() string {
	return fmt.Sprintf("epoch %d is fenced, the lowest taken is %d: %s", e.Epoch, e.Stored, volume.ErrFenced)
}

// Is reports whether target is the class of [volume.ErrFenced].
func (e *FencedError) Is(target error) bool { return target == error(volume.ErrFenced.Class()) }

// Unwrap returns [volume.ErrFenced].
func (e *FencedError) Unwrap() error { return volume.ErrFenced }

// CanFence reports whether the driver is a [Fencer].
func (b *Backend) CanFence() bool { return b.Capabilities().Fence }

// Fence shuts out the callers with a lower epoch than ref's; see [Fencer] for what it
// returns. It returns Unsupported if the driver is no Fencer, and InvalidArgument for an
// invalid ref or one without an epoch. A call of this Backend that still runs for the
// volume is waited for, up to the timeout.
func (b *Backend) Fence(ctx context.Context, ref Ref) error {
	fencer, able := b.driver.(Fencer)
	c := call{method: "fence", key: ref.Key, invalid: cmp.Or(ref.Validate(), ref.validateEpoch())}
	if !able && c.invalid == nil {
		c.invalid = Errorf(volume.Unsupported, "driver cannot fence")
	}
	return b.change(ctx, c, func(ctx context.Context) error {
		return fencer.Fence(ctx, ref)
	})
}

func (r Ref) validateEpoch() error {
	if r.Epoch == 0 {
		return volume.Errorf(volume.ErrInvalidArgument, "epoch 0 of volume %s fences nothing", r.Key)
	}
	return nil
}
