package commands

import (
	"context"

	"github.com/jetvol/jetvol/volume"
)

// The methods below are [Client.Do] for one verb each, under a new command ID: calling
// one again is another command. Use Do with an ID to ask again, for preconditions and
// for progress.

// Create makes a volume. Args.Size is required, Args.Backend and Args.Labels are not. With
// Args.Source it is a clone, as [Client.Clone] makes.
func (c *Client) Create(ctx context.Context, key volume.Key, args volume.Args) (Reply, error) {
	return c.Do(ctx, Request{Key: key, Verb: volume.VerbCreate, Args: args})
}

// Delete removes a volume and its data.
func (c *Client) Delete(ctx context.Context, key volume.Key) (Reply, error) {
	return c.Do(ctx, Request{Key: key, Verb: volume.VerbDelete})
}

// Attach gives a volume to a node. An empty mode is [volume.ReadWrite].
func (c *Client) Attach(ctx context.Context, key volume.Key, node volume.Node, mode volume.Mode) (Reply, error) {
	return c.Do(ctx, Request{Key: key, Verb: volume.VerbAttach, Args: volume.Args{Node: node, Mode: mode}})
}

// Detach takes a volume from the node, or from whichever node holds it if node is empty.
func (c *Client) Detach(ctx context.Context, key volume.Key, node volume.Node) (Reply, error) {
	return c.Do(ctx, Request{Key: key, Verb: volume.VerbDetach, Args: volume.Args{Node: node}})
}

// Resize makes a volume larger.
func (c *Client) Resize(ctx context.Context, key volume.Key, size volume.Bytes) (Reply, error) {
	return c.Do(ctx, Request{Key: key, Verb: volume.VerbResize, Args: volume.Args{Size: size}})
}

// Reconcile compares a volume's record with its backend and settles what differs.
func (c *Client) Reconcile(ctx context.Context, key volume.Key) (Reply, error) {
	return c.Do(ctx, Request{Key: key, Verb: volume.VerbReconcile})
}

// ReconcileBelieving does the same, and takes over what the backend has of a volume that is
// settled and drifted: its size and who holds it.
func (c *Client) ReconcileBelieving(ctx context.Context, key volume.Key, side volume.Side) (Reply, error) {
	return c.Do(ctx, Request{Key: key, Verb: volume.VerbReconcile, Args: volume.Args{Believe: side}})
}

// Adopt makes a record of what a backend has under the name, and no record knows. An empty
// backend is the worker's default one; with an id, an object of another one is refused. It
// is refused with [volume.ErrVolumeExists] for a name that has a record, and with
// [volume.ErrBackendNotFound] if the backend has no such object. Use Do with ValidateOnly
// to ask only whether it would be taken in.
func (c *Client) Adopt(ctx context.Context, key volume.Key, backend string, id volume.ID) (Reply, error) {
	return c.Do(ctx, Request{Key: key, Verb: volume.VerbAdopt, Args: volume.Args{Backend: backend, ID: id}})
}

// AdoptImage takes in, under a name that no volume has, an image that jetvol never made: the
// backend renames and marks it, and keeps its data. An empty backend is the worker's default
// one. What is refused leaves the image as it is: [volume.ErrBackendNotFound] if there is none,
// [volume.ErrBackendBusy] and [volume.ErrBackendPrecondition] if it is in use or cannot be a
// volume, [volume.ErrBackendUnsupported] by a backend that cannot. Use Do with ValidateOnly to
// be told the plan only.
func (c *Client) AdoptImage(ctx context.Context, key volume.Key, backend string, image volume.Image) (Reply, error) {
	return c.Do(ctx, Request{Key: key, Verb: volume.VerbAdopt, Args: volume.Args{Backend: backend, Image: image}})
}

// Unmanage ends jetvol's part in an available volume and keeps its data: the backend has it
// under the name then, or under [volume.ReleasedImage] if the name is empty, which the reply
// tells as Image. It is refused for a volume with snapshots ([volume.ErrHasSnapshots]), for a
// clone ([volume.ErrIsAClone]), and by a backend that cannot ([volume.ErrBackendUnsupported]).
func (c *Client) Unmanage(ctx context.Context, key volume.Key, name volume.Image) (Reply, error) {
	return c.Do(ctx, Request{Key: key, Verb: volume.VerbUnmanage, Args: volume.Args{Name: name}})
}

// NodeGone takes a volume from a node that is dead or does not answer: the backend fences
// the node first. The reason is required and stays in the volume's events.
func (c *Client) NodeGone(ctx context.Context, key volume.Key, node volume.Node, reason string) (Reply, error) {
	return c.Do(ctx, Request{Key: key, Verb: volume.VerbNodeGone, Args: volume.Args{Node: node, Reason: reason}})
}

// Snapshot keeps what is in a volume now under a name. Repeating it is refused with
// [volume.ErrSnapshotExists].
func (c *Client) Snapshot(ctx context.Context, key volume.Key, name volume.SnapshotName, labels volume.Labels) (Reply, error) {
	return c.Do(ctx, Request{Key: key, Verb: volume.VerbSnapshot, Args: volume.Args{Snapshot: name, Labels: labels}})
}

// DeleteSnapshot deletes a snapshot of a volume. It is refused with
// [volume.ErrSnapshotInUse] while there are clones of it: the reply's failure names them.
func (c *Client) DeleteSnapshot(ctx context.Context, key volume.Key, name volume.SnapshotName) (Reply, error) {
	return c.Do(ctx, Request{Key: key, Verb: volume.VerbDeleteSnapshot, Args: volume.Args{Snapshot: name}})
}

// Restore brings a snapshot's content back into the volume that it was made of. What was
// written since is lost. It is refused unless no node holds the volume.
func (c *Client) Restore(ctx context.Context, key volume.Key, name volume.SnapshotName) (Reply, error) {
	return c.Do(ctx, Request{Key: key, Verb: volume.VerbRestore, Args: volume.Args{Snapshot: name}})
}

// Clone makes a volume that begins with the content of a snapshot of the same project.
// Size may be 0, which is that of the snapshot, and else not be less. With readOnly it is
// a view: nodes attach it to read only.
func (c *Client) Clone(ctx context.Context, key volume.Key, source volume.SnapshotKey, size volume.Bytes, readOnly bool) (Reply, error) {
	return c.Do(ctx, Request{Key: key, Verb: volume.VerbCreate, Args: volume.Args{Source: source, Size: size, ReadOnly: readOnly}})
}

// Flatten makes a clone independent of the snapshot that it was made from: what they share
// is copied, which may take long.
func (c *Client) Flatten(ctx context.Context, key volume.Key) (Reply, error) {
	return c.Do(ctx, Request{Key: key, Verb: volume.VerbFlatten})
}

// Cancel gives up the command with the ID target, or whichever is running if target is
// empty.
func (c *Client) Cancel(ctx context.Context, key volume.Key, target volume.CommandID) (Reply, error) {
	return c.Do(ctx, Request{Key: key, Verb: volume.VerbCancel, Args: volume.Args{Target: target}})
}
