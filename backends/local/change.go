package local

import (
	"context"
	"errors"
	"io/fs"

	"github.com/jetvol/jetvol/backends"
	"github.com/jetvol/jetvol/volume"
)

// Delete removes the sidecar and then the image; see [backends.Driver].
func (d *Driver) Delete(ctx context.Context, ref backends.Ref) error {
	held, err := d.begin(ctx, ref)
	if err != nil {
		return err
	}
	defer held.release()
	// What took the place of the image is not ours to remove.
	if _, err := d.dir.exists(imageName(ref.Key)); err != nil {
		return err
	}
	found, err := d.load(ref.Key)
	switch {
	case errors.Is(err, volume.NotFound):
		if err := d.dir.discardImage(sidecarName(ref.Key)); err != nil { // of what was released
			return err
		}
		return d.removeImage(ref.Key)
	case err != nil:
		return err
	case found.ID != ref.ID:
		return nil
	}
	if err := backends.Blocked(append(backends.Holders(found.Attachments), found.blockers()...)...); err != nil {
		return err
	}
	// Before the sidecar, which alone tells its name.
	if err := d.discardUnfinished(ref.Key, &found); err != nil {
		return err
	}
	if err := d.dir.discard(sidecarName(ref.Key)); err != nil {
		return err
	}
	if err := d.dir.sync(); err != nil {
		return err
	}
	// Journal here: the object is gone, and what a repeat does is only tidying up.
	if err := d.record(JournalEntry{Change: ChangeDelete, ID: ref.ID, Size: found.Size}, ref.Key); err != nil {
		return err
	}
	return d.removeImage(ref.Key)
}

// removeImage removes the image and what an unfinished Restore left.
func (d *Driver) removeImage(key volume.Key) error {
	for _, name := range []string{restoredName(key), imageName(key)} {
		if err := d.dir.discard(name); err != nil {
			return err
		}
	}
	return d.dir.sync()
}

// Attach records the node in the sidecar. The connection information is "path", the
// absolute path of the image; see [backends.Driver].
func (d *Driver) Attach(ctx context.Context, ref backends.Ref, node volume.Node, mode volume.Mode) (volume.Attachment, error) {
	wanted := volume.Attachment{Node: node, Mode: mode}
	img, found, err := d.take(ctx, ref)
	if err != nil {
		return volume.Attachment{}, err
	}
	defer img.release()
	if err := backends.CheckAttach(found.Attachments, node, mode); err != nil {
		return volume.Attachment{}, err
	}
	if _, held := found.Attachments.Of(node); held {
		return d.attachment(ref.Key, wanted), d.dir.sync()
	}
	// A node must not see the length that a killed and then abandoned Resize left.
	if err := img.resize(found.Size); err != nil {
		return volume.Attachment{}, err
	}
	found.Attachments = found.Attachments.With(wanted)
	if err := d.store(ref.Key, found); err != nil {
		return volume.Attachment{}, err
	}
	err = d.record(JournalEntry{Change: ChangeAttach, ID: ref.ID, Size: found.Size, Node: node}, ref.Key)
	return d.attachment(ref.Key, wanted), err
}

// Detach removes the node from the sidecar; see [backends.Driver].
func (d *Driver) Detach(ctx context.Context, ref backends.Ref, node volume.Node) error {
	img, found, err := d.take(ctx, ref)
	if err != nil {
		return err
	}
	defer img.release()
	if err := backends.CheckDetach(found.Attachments, node); err != nil {
		return err
	}
	if _, held := found.Attachments.Of(node); !held {
		return d.dir.sync()
	}
	found.Attachments = found.Attachments.Without(node)
	if err := d.store(ref.Key, found); err != nil {
		return err
	}
	return d.record(JournalEntry{Change: ChangeDetach, ID: ref.ID, Size: found.Size, Node: node}, ref.Key)
}

// Evict removes the node from the sidecar, if it is there. It fences nothing, as a node is
// a label here and no client of the directory: a process that has the image open goes on
// writing to it. Whoever says that a node is gone has made sure that its processes are;
// see [backends.Evictor].
func (d *Driver) Evict(ctx context.Context, ref backends.Ref, node volume.Node) (backends.Eviction, error) {
	img, found, err := d.take(ctx, ref)
	if err != nil {
		return backends.Eviction{}, err
	}
	defer img.release()
	if _, held := found.Attachments.Of(node); !held {
		return backends.Eviction{}, d.dir.sync()
	}
	found.Attachments = found.Attachments.Without(node)
	if err := d.store(ref.Key, found); err != nil {
		return backends.Eviction{}, err
	}
	return backends.Eviction{}, d.record(JournalEntry{Change: ChangeEvict, ID: ref.ID, Size: found.Size, Node: node}, ref.Key)
}

// Resize lengthens the image and then says so in the sidecar; see [backends.Resizer].
func (d *Driver) Resize(ctx context.Context, ref backends.Ref, size volume.Bytes) error {
	img, found, err := d.take(ctx, ref)
	if err != nil {
		return err
	}
	defer img.release()
	if found.Size > size {
		return backends.Errorf(volume.FailedPrecondition, "has size %s, cannot shrink to %s", found.Size, size)
	}
	// Longer than recorded is what a killed Resize left, to any size.
	if err := img.resize(size); err != nil {
		return err
	}
	if found.Size == size {
		return d.dir.sync()
	}
	found.Size = size
	if err := d.store(ref.Key, found); err != nil {
		return err
	}
	return d.record(JournalEntry{Change: ChangeResize, ID: ref.ID, Size: size}, ref.Key)
}

// begin locks the volume for a change of ref, whatever is there. It returns Busy if
// another call holds the lock and a [backends.FencedError] if ref's epoch is fenced.
func (d *Driver) begin(ctx context.Context, ref backends.Ref) (*hold, error) {
	if err := d.readyFor(ctx, ref); err != nil {
		return nil, err
	}
	held, err := d.lock(ref.Key)
	if err != nil {
		return nil, err
	}
	// Locked, so that no fence can come between this look and the change.
	if held.fenced, err = d.fenced(ref.Key); err == nil {
		err = ref.Check(held.fenced)
	}
	if err != nil {
		held.release()
		return nil, err
	}
	return held, nil
}

// taken is an object that a call has locked and opened.
type taken struct {
	*image
	held *hold
}

func (t taken) release() {
	t.close()
	t.held.release()
}

// take begins a change of the object with the key and the ID of ref, and reads its
// state. It returns NotFound if there is none and FailedPrecondition if it has another
// ID.
func (d *Driver) take(ctx context.Context, ref backends.Ref) (taken, sidecar, error) {
	held, err := d.begin(ctx, ref)
	if err != nil {
		return taken{}, sidecar{}, err
	}
	found, err := d.own(ref)
	if err != nil {
		held.release()
		return taken{}, sidecar{}, err
	}
	img, err := d.openWhole(ref.Key, &found)
	if err != nil {
		held.release()
		return taken{}, sidecar{}, err
	}
	return taken{img, held}, found, nil
}

// own returns the sidecar of the object with the key and the ID of ref. It returns
// NotFound if there is none, but what took the place of the image is refused, and
// FailedPrecondition if the object has another ID.
func (d *Driver) own(ref backends.Ref) (sidecar, error) {
	found, err := d.load(ref.Key)
	if errors.Is(err, volume.NotFound) {
		if _, refused := d.dir.exists(imageName(ref.Key)); refused != nil {
			return sidecar{}, refused
		}
	}
	if err != nil {
		return sidecar{}, err
	}
	if found.ID != ref.ID {
		return sidecar{}, backends.Errorf(volume.FailedPrecondition, "another volume is here: %s, not %s", found.ID, ref.ID)
	}
	found.Foreign = "" // that was done, or given up: from the next change on a missing image is a lost one
	return found, nil
}

// openWhole opens the image of an object whose lock is held, after ending a restore that
// was decided.
func (d *Driver) openWhole(key volume.Key, found *sidecar) (*image, error) {
	if err := d.finishRestore(key, found); err != nil {
		return nil, err
	}
	img, err := d.openImage(key)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, d.dir.lost(imageName(key))
	}
	if err != nil {
		return nil, err
	}
	size, err := img.size()
	if err == nil {
		err = d.dir.damaged(img.name, size, found.Size)
	}
	if err != nil {
		img.close()
		return nil, err
	}
	return img, nil
}

// readyFor is ready for a change of ref. The Backend has validated ref already; a
// driver used without one must not leave its directory either.
func (d *Driver) readyFor(ctx context.Context, ref backends.Ref) error {
	if err := ref.Validate(); err != nil {
		return err
	}
	return d.ready(ctx)
}
