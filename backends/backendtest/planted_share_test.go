package backendtest_test

import (
	"context"
	"errors"
	"slices"

	"github.com/jetvol/jetvol/backends"
	"github.com/jetvol/jetvol/backends/null"
	"github.com/jetvol/jetvol/volume"
)

// holders returns who holds the object.
func holders(ctx context.Context, d *null.Driver, ref backends.Ref) volume.Attachments {
	found, _ := d.Get(ctx, ref.Key)
	return found.Attachments
}

// freeAll detaches all nodes.
func freeAll(ctx context.Context, d *null.Driver, ref backends.Ref) {
	for _, holder := range holders(ctx, d, ref) {
		_ = d.Detach(ctx, ref, holder.Node)
	}
}

// shareDenied knows one holder, whatever the mode.
type shareDenied struct{ *null.Driver }

func (d shareDenied) Attach(ctx context.Context, ref backends.Ref, node volume.Node, mode volume.Mode) (volume.Attachment, error) {
	held := holders(ctx, d.Driver, ref)
	if _, again := held.Of(node); len(held) > 0 && !again {
		return volume.Attachment{}, backends.HeldBy(held)
	}
	return d.Driver.Attach(ctx, ref, node, mode)
}

type shareReplaces struct{ *null.Driver }

func (d shareReplaces) Attach(ctx context.Context, ref backends.Ref, node volume.Node, mode volume.Mode) (volume.Attachment, error) {
	if mode == volume.ReadOnly && holders(ctx, d.Driver, ref).ReadOnly() {
		freeAll(ctx, d.Driver, ref)
	}
	return d.Driver.Attach(ctx, ref, node, mode)
}

type shareUnsorted struct{ *null.Driver }

func (d shareUnsorted) Get(ctx context.Context, key volume.Key) (backends.Object, error) {
	found, err := d.Driver.Get(ctx, key)
	slices.Reverse(found.Attachments)
	return found, err
}

type shareOnce struct{ *null.Driver }

func (d shareOnce) Attach(ctx context.Context, ref backends.Ref, node volume.Node, mode volume.Mode) (volume.Attachment, error) {
	held := holders(ctx, d.Driver, ref)
	if _, again := held.Of(node); again && len(held) > 1 {
		return volume.Attachment{}, backends.HeldBy(held)
	}
	return d.Driver.Attach(ctx, ref, node, mode)
}

// shareWriter lets a writer in where nobody else writes.
type shareWriter struct{ *null.Driver }

func (d shareWriter) Attach(ctx context.Context, ref backends.Ref, node volume.Node, mode volume.Mode) (volume.Attachment, error) {
	if held := holders(ctx, d.Driver, ref); held.ReadOnly() && len(held) > 0 {
		mode = volume.ReadOnly
	}
	return d.Driver.Attach(ctx, ref, node, mode)
}

type shareNamesOne struct{ *null.Driver }

func (d shareNamesOne) Attach(ctx context.Context, ref backends.Ref, node volume.Node, mode volume.Mode) (volume.Attachment, error) {
	attachment, err := d.Driver.Attach(ctx, ref, node, mode)
	if held := holders(ctx, d.Driver, ref); errors.Is(err, volume.FailedPrecondition) && len(held) > 0 {
		err = backends.HeldBy(held[:1])
	}
	return attachment, err
}

// shareWithWriter makes room for a reader by taking the writer for another reader.
type shareWithWriter struct{ *null.Driver }

func (d shareWithWriter) Attach(ctx context.Context, ref backends.Ref, node volume.Node, mode volume.Mode) (volume.Attachment, error) {
	if held := holders(ctx, d.Driver, ref); mode == volume.ReadOnly && !held.ReadOnly() {
		freeAll(ctx, d.Driver, ref)
		_, _ = d.Driver.Attach(ctx, ref, held[0].Node, volume.ReadOnly)
	}
	return d.Driver.Attach(ctx, ref, node, mode)
}

type shareUpgrades struct{ *null.Driver }

func (d shareUpgrades) Attach(ctx context.Context, ref backends.Ref, node volume.Node, mode volume.Mode) (volume.Attachment, error) {
	held := holders(ctx, d.Driver, ref)
	if _, again := held.Of(node); again && len(held) == 1 {
		_ = d.Detach(ctx, ref, node)
	}
	return d.Driver.Attach(ctx, ref, node, mode)
}

type shareDetachesAll struct{ *null.Driver }

func (d shareDetachesAll) Detach(ctx context.Context, ref backends.Ref, node volume.Node) error {
	if _, held := holders(ctx, d.Driver, ref).Of(node); held {
		freeAll(ctx, d.Driver, ref)
	}
	return d.Driver.Detach(ctx, ref, node)
}

// shareDetachOnce refuses a detach of a node that does not hold what another one does.
type shareDetachOnce struct{ *null.Driver }

func (d shareDetachOnce) Detach(ctx context.Context, ref backends.Ref, node volume.Node) error {
	held := holders(ctx, d.Driver, ref)
	if _, found := held.Of(node); !found && len(held) > 0 {
		return backends.HeldBy(held)
	}
	return d.Driver.Detach(ctx, ref, node)
}

// shareDeletes refuses a delete for a writer and for several readers.
type shareDeletes struct{ *null.Driver }

func (d shareDeletes) Delete(ctx context.Context, ref backends.Ref) error {
	if found, err := d.Get(ctx, ref.Key); err == nil && found.ID == ref.ID && len(found.Attachments) == 1 && found.Attachments.ReadOnly() {
		freeAll(ctx, d.Driver, ref)
	}
	return d.Driver.Delete(ctx, ref)
}

type shareListsOne struct{ *null.Driver }

func (d shareListsOne) List(ctx context.Context, yield func(backends.Object) bool) error {
	return d.Driver.List(ctx, func(o backends.Object) bool {
		o.Attachments = o.Attachments[:min(1, len(o.Attachments))]
		return yield(o)
	})
}

type shareFull struct{ *null.Driver }

const fifty = 50

func (d shareFull) Attach(ctx context.Context, ref backends.Ref, node volume.Node, mode volume.Mode) (volume.Attachment, error) {
	if held := holders(ctx, d.Driver, ref); len(held) >= fifty {
		return volume.Attachment{}, backends.Errorf(volume.ResourceExhausted, "no room")
	}
	return d.Driver.Attach(ctx, ref, node, mode)
}

// shareRaces writes back who it found when others have gone on meanwhile. One process has
// one call for a volume at a time, so it is the count of holders that shows it here.
type shareRaces struct{ *null.Driver }

const raceFrom = 4

func (d shareRaces) Attach(ctx context.Context, ref backends.Ref, node volume.Node, mode volume.Mode) (volume.Attachment, error) {
	if held := holders(ctx, d.Driver, ref); len(held) > raceFrom {
		_ = d.Detach(ctx, ref, held[raceFrom].Node)
	}
	return d.Driver.Attach(ctx, ref, node, mode)
}
