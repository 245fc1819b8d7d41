package commands

import (
	"context"

	"github.com/jetvol/jetvol/volume"
)

// The methods below are [Client.Do] for one verb each, under a new command ID: calling
// one again is another command. Use Do with an ID to ask again, for preconditions and
// for progress.

// Create makes a volume. Args.Size is required, Args.Backend and Args.Labels are not.
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

// NodeGone takes a volume from a node that is dead or does not answer: the backend fences
// the node first. The reason is required and stays in the volume's events.
func (c *Client) NodeGone(ctx context.Context, key volume.Key, node volume.Node, reason string) (Reply, error) {
	return c.Do(ctx, Request{Key: key, Verb: volume.VerbNodeGone, Args: volume.Args{Node: node, Reason: reason}})
}

// Cancel gives up the command with the ID target, or whichever is running if target is
// empty.
func (c *Client) Cancel(ctx context.Context, key volume.Key, target volume.CommandID) (Reply, error) {
	return c.Do(ctx, Request{Key: key, Verb: volume.VerbCancel, Args: volume.Args{Target: target}})
}
