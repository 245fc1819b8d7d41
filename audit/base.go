package audit

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"hash"
	"strings"
	"time"

	"github.com/nats-io/nats.go/jetstream"

	"github.com/jetvol/jetvol/kv"
	"github.com/jetvol/jetvol/volume"
)

// markKey is where the bucket holds which checkpoint is in force.
const markKey = "_"

// slots are the two places for what a checkpoint says of volumes: one in force, one for the
// next, so that a checkpoint comes into force as a whole or not at all.
var slots = [2]string{"a", "b"}

// CheckpointMark says which checkpoint is in force. It is the record `_` of the bucket. Without
// a Slot none is: the first one is being written.
type CheckpointMark struct {
	SchemaVersion int `json:"schema_version"`
	// Sequence is the last one of the event stream that is in it.
	Sequence uint64 `json:"sequence"`
	Volumes  uint64 `json:"volumes"`
	// Digest is a SHA-256 over what is stored of all volumes. Kept elsewhere, it tells
	// whether this is still the checkpoint that was taken.
	Digest  string    `json:"digest"`
	TakenAt time.Time `json:"taken_at"`
	By      string    `json:"by"`
	Slot    string    `json:"slot"` // a or b: the prefix of its keys
}

// VolumeMark is where a checkpoint leaves a volume: the record `<slot>.<project>.<volume>`.
type VolumeMark struct {
	SchemaVersion int       `json:"schema_version"`
	Checkpoint    uint64    `json:"checkpoint"` // its Sequence
	Generation    uint64    `json:"generation"`
	Sequence      uint64    `json:"sequence"` // of the volume's last event
	EventHash     string    `json:"event_hash"`
	VolumeID      volume.ID `json:"volume_id,omitempty"`
	// State is the volume's, and Content stands for its id, state and spec.
	State   volume.State `json:"state"`
	Content string       `json:"content"`
	Chained bool         `json:"chained"`
	Expires bool         `json:"expires,omitempty"` // whether its record may expire
	// Unproven is the generation before which nothing is proven.
	Unproven uint64 `json:"unproven,omitempty"`
}

func (s *state) mark(name string, checkpoint uint64) VolumeMark {
	m := VolumeMark{
		SchemaVersion: volume.SchemaVersion, Checkpoint: checkpoint, Generation: s.generation, Sequence: s.sequence,
		EventHash: s.hash.String(), State: stateOf(s.to), Content: hex.EncodeToString(s.content[:]), Chained: s.chained,
		Expires: s.mayExpire, Unproven: s.before,
	}
	if s.life > 0 {
		m.VolumeID = volume.ID(fmt.Sprintf("%s.%d", name, s.life))
	}
	return m
}

// state is the reverse of mark. It returns an [volume.ErrInvalidPayload] for what mark
// never makes.
func (m VolumeMark) state(name string) (*state, error) {
	s := &state{
		generation: m.Generation, sequence: m.Sequence, to: stateNumbers[m.State], begun: true, chained: m.Chained,
		mayExpire: m.Expires, before: m.Unproven,
	}
	var hashed, lives bool
	s.hash, hashed = parseDigest(m.EventHash)
	s.life, lives = lifeOf(name, m.VolumeID)
	n, err := hex.Decode(s.content[:], []byte(m.Content[:min(len(m.Content), 2*len(s.content))]))
	if !hashed || !lives || s.to == 0 || err != nil || n != len(s.content) || len(m.Content) != 2*n {
		return nil, volume.Errorf(volume.ErrInvalidPayload, "checkpoint of volume %s: %+v", name, m)
	}
	return s, nil
}

// sealer computes a checkpoint's digest, over volumes in the order of their places.
type sealer struct {
	hash    hash.Hash
	volumes uint64
}

func newSealer() *sealer { return &sealer{hash: sha256.New()} }

func (s *sealer) add(states map[string]*state) {
	for _, name := range byPlace(states) {
		m := states[name].mark(name, 0)
		s.volumes++
		fmt.Fprintf(s.hash, "%s %d %d %s %s %s %s %t %t %d\n", name, m.Generation, m.Sequence, m.EventHash,
			m.VolumeID, m.State, m.Content, m.Chained, m.Expires, m.Unproven)
	}
}

func (s *sealer) digest() string { return hex.EncodeToString(s.hash.Sum(nil)) }

// base is the checkpoint on which a verify stands.
type base struct {
	mark   CheckpointMark
	marks  *kv.Bucket[VolumeMark]
	seal   *sealer
	broken error // one of its records cannot be read
}

// openBase returns the checkpoint in force and the revision of its mark. It returns nil if there
// is none, also if the bucket does not exist: it came later than the others.
func openBase(ctx context.Context, js jetstream.JetStream) (*base, uint64, error) {
	if _, err := js.Stream(ctx, "KV_"+kv.CheckpointsBucket); errors.Is(err, jetstream.ErrStreamNotFound) {
		return nil, 0, nil
	}
	entry, err := kv.Open[CheckpointMark](js, kv.CheckpointsBucket).Get(ctx, markKey)
	if errors.Is(err, kv.ErrNotFound) {
		return nil, 0, nil
	}
	if err != nil || entry.Value.Slot == "" {
		return nil, entry.Revision, err
	}
	return &base{
		mark: entry.Value, seal: newSealer(), marks: kv.Open[VolumeMark](js, kv.CheckpointsBucket),
	}, entry.Revision, nil
}

// load tells where the checkpoint left the volumes that match filter.
func (b *base) load(ctx context.Context, filter string, tell func(string, *state)) error {
	prefix := b.mark.Slot + "."
	for change, err := range b.marks.Watch(ctx, prefix+filter) {
		switch {
		case change.Kind == kv.CaughtUp:
			return nil
		case kv.Unreadable(err):
			b.broken = err
			continue
		case err != nil:
			return err
		case change.Kind != kv.Put || change.Value.Checkpoint != b.mark.Sequence:
			continue // left by an earlier one
		}
		name := strings.TrimPrefix(change.Key, prefix)
		s, err := change.Value.state(name)
		if err != nil {
			b.broken = err
			continue
		}
		tell(name, s)
	}
	return fmt.Errorf("read checkpoint: %w", context.Cause(ctx))
}

// inForce returns [volume.Aborted] if another checkpoint has come into force since this one was
// opened: what is written over then is this one.
func (b *base) inForce(ctx context.Context, js jetstream.JetStream) error {
	now, _, err := openBase(ctx, js)
	if err != nil || now != nil && now.mark.Digest == b.mark.Digest && now.mark.TakenAt.Equal(b.mark.TakenAt) {
		return err
	}
	return fmt.Errorf("read checkpoint at sequence %d: another one was taken meanwhile: %w", b.mark.Sequence, volume.Aborted)
}

// altered returns the fault of a checkpoint that is not the one that was taken.
func (b *base) altered() (Fault, bool) {
	detail := ""
	switch {
	case b.broken != nil:
		detail = b.broken.Error()
	case b.seal.volumes != b.mark.Volumes:
		detail = fmt.Sprintf("it has %d volumes, and had %d", b.seal.volumes, b.mark.Volumes)
	case b.seal.digest() != b.mark.Digest:
		detail = fmt.Sprintf("its digest is %s, and was %s", b.seal.digest(), b.mark.Digest)
	}
	return Fault{Volume: markKey, Kind: AlteredCheckpoint, Sequence: b.mark.Sequence, Detail: detail}, detail != ""
}
