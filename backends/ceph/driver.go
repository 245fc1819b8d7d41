//go:build ceph

package ceph

import (
	"cmp"
	"context"
	"syscall"

	"github.com/ceph/go-ceph/rbd"

	"github.com/jetvol/jetvol/backends"
)

// Built says whether this program has the driver.
const Built = true

// driver is a pool of a cluster.
type driver struct {
	cfg      Config
	features rbd.FeatureSet
	conns    connections
	slots    chan struct{}
}

var (
	_ backends.Driver  = (*driver)(nil)
	_ backends.Resizer = (*driver)(nil)
	_ backends.Lister  = (*driver)(nil)
	_ backends.Evictor = (*driver)(nil)
)

// Open returns a driver for the pool. It returns InvalidArgument for an invalid cfg and
// does not connect: the first call does, so that a worker may start before its cluster,
// and lives on when the cluster goes and comes.
//
// All errors of the driver carry a class: Unavailable for a cluster that does not answer
// within the timeouts; FailedPrecondition for a wrong conf, key, pool, namespace or
// capability; ResourceExhausted for a full cluster or quota; the rest as
// [backends.Driver] says.
func Open(_ context.Context, cfg Config) (backends.Driver, error) {
	if err := cfg.Validate(); err != nil {
		return nil, err
	}
	cfg = cfg.WithDefaults()
	return &driver{
		cfg:      cfg,
		features: rbd.FeatureSetFromNames(cfg.Features),
		conns:    connections{cfg: cfg},
		slots:    make(chan struct{}, cfg.Concurrency),
	}, nil
}

// Close ends the connection.
func (d *driver) Close() error {
	d.conns.close()
	return nil
}

// use calls f with a connection. A call into C cannot be ended by a context: f looks at
// its own between steps, and each step ends by the timeouts of librados.
func (d *driver) use(ctx context.Context, f func(*conn) error) error {
	select {
	case d.slots <- struct{}{}:
		defer func() { <-d.slots }()
	case <-ctx.Done():
		return ctx.Err()
	}
	if err := ctx.Err(); err != nil {
		return err
	}
	c, err := d.conns.acquire(ctx)
	for err == nil && c.fences.guard.isShut() {
		d.conns.retire(c)
		d.conns.release(c)
		c, err = d.conns.acquire(ctx)
	}
	if err != nil {
		return err
	}
	defer d.conns.release(c)
	err = f(c)
	if is(err, errBlocklisted) {
		// Who has shut us out meant the connection: a new one has another address.
		d.conns.retire(c)
	}
	if is(err, errNotFound, syscall.EPERM) {
		// So the OSDs answer to what is wanted in a pool that was removed.
		err = cmp.Or(d.confirmAbsence(c), err)
	}
	return classify(err)
}
