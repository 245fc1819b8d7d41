package backendtest_test

import (
	"context"
	"errors"
	"sync"

	"github.com/jetvol/jetvol/backends"
	"github.com/jetvol/jetvol/backends/null"
	"github.com/jetvol/jetvol/volume"
)

type evictDenied struct{ *null.Driver }

func (d evictDenied) Evict(context.Context, backends.Ref, volume.Node) (backends.Eviction, error) {
	return backends.Eviction{}, backends.Errorf(volume.Unsupported, "no evictions here")
}

// evictFencesOnly leaves the reservation of the node.
type evictFencesOnly struct{ *null.Driver }

func (d evictFencesOnly) Evict(ctx context.Context, ref backends.Ref, _ volume.Node) (backends.Eviction, error) {
	return d.Driver.Evict(ctx, ref, "nobody")
}

// evictAny ends the reservation of whoever holds the object.
type evictAny struct{ *null.Driver }

func (d evictAny) Evict(ctx context.Context, ref backends.Ref, node volume.Node) (backends.Eviction, error) {
	eviction, err := d.Driver.Evict(ctx, ref, node)
	for _, one := range holders(ctx, d.Driver, ref) {
		_ = d.Detach(ctx, ref, one.Node)
	}
	return eviction, err
}

// evictAll ends the reservations of all, if the node has one of them.
type evictAll struct{ *null.Driver }

func (d evictAll) Evict(ctx context.Context, ref backends.Ref, node volume.Node) (backends.Eviction, error) {
	all := holders(ctx, d.Driver, ref)
	eviction, err := d.Driver.Evict(ctx, ref, node)
	if _, held := all.Of(node); held {
		for _, one := range all {
			_ = d.Detach(ctx, ref, one.Node)
		}
	}
	return eviction, err
}

// evictStrict wants the node to hold the object.
type evictStrict struct{ *null.Driver }

func (d evictStrict) Evict(ctx context.Context, ref backends.Ref, node volume.Node) (backends.Eviction, error) {
	found, err := d.Get(ctx, ref.Key)
	if err == nil && len(found.Attachments) == 0 {
		return backends.Eviction{}, backends.Errorf(volume.FailedPrecondition, "nobody holds it")
	}
	return d.Driver.Evict(ctx, ref, node)
}

// evictStrangers takes the key for the object.
type evictStrangers struct{ *null.Driver }

func (d evictStrangers) Evict(ctx context.Context, ref backends.Ref, node volume.Node) (backends.Eviction, error) {
	if found, err := d.Get(ctx, ref.Key); err == nil {
		ref.ID = found.ID
	}
	return d.Driver.Evict(ctx, ref, node)
}

// evictLoose takes a missing object for one that is not held.
type evictLoose struct{ *null.Driver }

func (d evictLoose) Evict(ctx context.Context, ref backends.Ref, node volume.Node) (backends.Eviction, error) {
	eviction, err := d.Driver.Evict(ctx, ref, node)
	if errors.Is(err, volume.NotFound) {
		err = nil
	}
	return eviction, err
}

// evictForces does not look at the fence.
type evictForces struct{ *null.Driver }

func (d evictForces) Evict(ctx context.Context, ref backends.Ref, node volume.Node) (backends.Eviction, error) {
	return d.Driver.Evict(ctx, past(ref), node)
}

// evictTorn writes back what it read before a resize that ran beside it.
type evictTorn struct {
	*null.Driver
	read, resized chan struct{} // closed once
	tear          *sync.Once
}

func newEvictTorn(d *null.Driver) backends.Driver {
	return evictTorn{d, make(chan struct{}), make(chan struct{}), &sync.Once{}}
}

func (d evictTorn) Evict(ctx context.Context, ref backends.Ref, node volume.Node) (backends.Eviction, error) {
	before, err := d.Get(ctx, ref.Key)
	if err != nil {
		return backends.Eviction{}, err
	}
	d.tear.Do(func() {
		close(d.read)
		<-d.resized
		_, _ = d.Driver.Evict(ctx, ref, node)
		_ = d.Delete(ctx, ref)
		err = d.Create(ctx, ref, before.Size)
	})
	return backends.Eviction{}, err
}

func (d evictTorn) Resize(ctx context.Context, ref backends.Ref, size volume.Bytes) error {
	<-d.read
	err := d.Driver.Resize(ctx, ref, size)
	if size == lastOfResizes {
		close(d.resized)
	}
	return err
}

// lastOfResizes is the size to which the case resizes last.
const lastOfResizes = 4 * volume.MiB

// evictNameless says that it fenced somebody and not whom.
type evictNameless struct{ *null.Driver }

func (d evictNameless) Evict(ctx context.Context, ref backends.Ref, node volume.Node) (backends.Eviction, error) {
	_, err := d.Driver.Evict(ctx, ref, node)
	return backends.Eviction{Clients: []string{""}}, err
}
