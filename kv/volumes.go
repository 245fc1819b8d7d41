package kv

import (
	"context"
	"fmt"

	"github.com/nats-io/nats.go/jetstream"

	"github.com/jetvol/jetvol/volume"
)

// Volumes is the bucket of volume records, each under the text of its [volume.Key].
type Volumes struct {
	*Bucket[volume.Record]
}

// NewVolumes returns the bucket of volume records. It calls no server.
func NewVolumes(js jetstream.JetStream) Volumes {
	return Volumes{Open[volume.Record](js, VolumesBucket)}
}

// ByKey returns the record of a volume by leader read, a tombstone included. It
// returns the errors of [Bucket.Get], and [ErrCorrupt] if the record under the key
// says that it belongs to another one.
func (v Volumes) ByKey(ctx context.Context, key volume.Key) (Entry[volume.Record], error) {
	entry, err := v.Get(ctx, key.String())
	if err != nil {
		return Entry[volume.Record]{}, err
	}
	if entry.Value.Key != key {
		return Entry[volume.Record]{}, v.failed("get", key.String(),
			fmt.Errorf("%w: it is that of %s", ErrCorrupt, entry.Value.Key))
	}
	return entry, nil
}

// ByID returns the record of the life with the given id, a tombstone included. The id
// contains the key, so it costs one read as ByKey does. It returns [ErrNotFound] if
// the name now belongs to another life, and an error of [volume.ErrInvalidName] if id
// is malformed.
func (v Volumes) ByID(ctx context.Context, id volume.ID) (Entry[volume.Record], error) {
	key, err := id.Key()
	if err != nil {
		return Entry[volume.Record]{}, err
	}
	entry, err := v.ByKey(ctx, key)
	if err == nil && entry.Value.ID != id {
		err = fmt.Errorf("get volume id %s: %w", id, ErrNotFound)
	}
	if err != nil {
		return Entry[volume.Record]{}, err
	}
	return entry, nil
}
