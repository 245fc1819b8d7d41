package kv

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"

	"github.com/nats-io/nats.go/jetstream"

	"github.com/jetvol/jetvol/volume"
)

// tokenLength is how many bytes of the SHA-256 of a command id stand for it in a key.
// The id itself may hold characters that a key may not.
const tokenLength = 16

// Outcomes is the bucket of answers that no longer fit in their volume's record, each
// under `<project>.<volume>.<hash of the command id>`. They expire with the bucket's
// retention.
type Outcomes struct {
	bucket *Bucket[volume.Outcome]
}

// NewOutcomes returns the bucket of outcomes. It calls no server.
func NewOutcomes(js jetstream.JetStream) Outcomes {
	return Outcomes{Open[volume.Outcome](js, OutcomesBucket)}
}

// OutcomeKey is the key of a command's outcome in the outcomes bucket.
func OutcomeKey(key volume.Key, id volume.CommandID) string {
	sum := sha256.Sum256([]byte(id))
	return key.String() + "." + hex.EncodeToString(sum[:tokenLength])
}

// Get returns the stored outcome of a command by leader read. It returns [ErrNotFound]
// if there is none or it has expired, and the errors of [Bucket.Get].
func (o Outcomes) Get(ctx context.Context, key volume.Key, id volume.CommandID) (volume.Outcome, error) {
	entry, err := o.bucket.Get(ctx, OutcomeKey(key, id))
	if err != nil {
		return volume.Outcome{}, err
	}
	if entry.Value.CommandID != id {
		return volume.Outcome{}, o.bucket.failed("get", entry.Key,
			fmt.Errorf("%w: it is that of command %s", ErrCorrupt, entry.Value.CommandID))
	}
	return entry.Value, nil
}

// Put stores outcome unless its command has one already, and returns the one that is
// kept: the first answer wins. It may be repeated, also after [ErrUnavailable].
func (o Outcomes) Put(ctx context.Context, key volume.Key, outcome volume.Outcome) (volume.Outcome, error) {
	_, err := o.bucket.Create(ctx, OutcomeKey(key, outcome.CommandID), outcome)
	if errors.Is(err, ErrExists) {
		return o.Get(ctx, key, outcome.CommandID)
	}
	if err != nil {
		return volume.Outcome{}, err
	}
	return outcome, nil
}
