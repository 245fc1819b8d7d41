package backends

import (
	"cmp"
	"context"

	"github.com/jetvol/jetvol/volume"
)

// Evictor is a driver that can take an object away from a node that is dead or does not
// answer. Unlike Detach it does not rely on the node's having stopped.
type Evictor interface {
	// Evict fences every client through which the node may still write to the object, so
	// that nothing of it arrives any more, and only then ends the node's reservation. What
	// other nodes hold stays theirs. Not held by the node is success, after fencing what
	// is left of it. A missing object is NotFound; a stranger's is FailedPrecondition, and
	// nothing is fenced for it.
	//
	// The eviction names what was fenced by this call, also beside an error: another call
	// need not find it again. A driver over which a node has no client of its own, so that
	// holding is a label only, fences nothing and says so in its documentation.
	//
	// Evict may come while another call for the volume runs, for that call may wait for the
	// very node. Both do what they are to do; Busy is right for the one that finds the volume
	// changed or locked by the other, if that does not wait for the node.
	Evict(ctx context.Context, ref Ref, node volume.Node) (Eviction, error)
}

// Eviction is what an [Evictor] did to a node.
type Eviction struct {
	// Clients are the fenced clients, as the backend names them: "127.0.0.1:0/3948123".
	Clients []string
}

// CanEvict reports whether the driver is an [Evictor].
func (b *Backend) CanEvict() bool { return b.Capabilities().Evict }

// Evict fences the node and ends its reservation; see [Evictor] for what it returns. It
// returns Unsupported if the driver is no Evictor, and InvalidArgument for invalid
// arguments. It waits for no other call for the volume but an Evict; calls that come later
// wait for it. A call that was given up may still fence clients: they are then told to
// nobody.
func (b *Backend) Evict(ctx context.Context, ref Ref, node volume.Node) (Eviction, error) {
	evictor, able := b.driver.(Evictor)
	c := call{
		method: "evict", key: ref.Key, detail: " from node ", node: node, evicts: true,
		invalid: cmp.Or(ref.Validate(), node.Validate()),
	}
	if !able && c.invalid == nil {
		c.invalid = Errorf(volume.Unsupported, "driver cannot evict")
	}
	return perform(ctx, b, c, func(ctx context.Context) (Eviction, error) {
		return evictor.Evict(ctx, ref, node)
	})
}
