package query

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/jetvol/jetvol/drift"
	"github.com/jetvol/jetvol/kv"
	"github.com/jetvol/jetvol/volume"
)

// Orphan is an object of a volume's name that a backend has without a record: what sweeps of
// workers have found.
type Orphan struct {
	Backend  string       `json:"backend"`
	ObjectID volume.ID    `json:"object_id"`
	Size     volume.Bytes `json:"size_bytes"`
	FoundAt  time.Time    `json:"found_at"`
	SeenAt   time.Time    `json:"seen_at"`
}

// String is `default.db-01.7, 1GiB, at backend ceph`.
func (o Orphan) String() string {
	return fmt.Sprintf("%s, %s, at backend %s", o.ObjectID, o.Size, o.Backend)
}

// addFindings adds what sweeps have found of the volume and its record does not show to be
// settled. A finding that cannot be read is left out: the bucket is only an index.
func (l *Local) addFindings(ctx context.Context, e *Explanation, record volume.Record) error {
	entry, err := drift.NewFindings(l.js).ByKey(ctx, e.Key())
	switch found := entry.Value; {
	case errors.Is(err, kv.ErrNotFound), kv.Unreadable(err):
	case err != nil:
		return err
	case found.Outdated(record):
	case found.Is(volume.DriftOrphan):
		e.Orphan = &Orphan{
			Backend: found.Backend, ObjectID: found.ObjectID, Size: found.Size, FoundAt: found.FoundAt, SeenAt: found.SeenAt,
		}
	case e.Drift == nil:
		e.Drift = found.Drift()
	}
	return nil
}
