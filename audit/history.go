package audit

import (
	"context"
	"fmt"
	"iter"
	"strconv"
	"time"

	"github.com/nats-io/nats.go/jetstream"

	"github.com/jetvol/jetvol/events"
	"github.com/jetvol/jetvol/volume"
)

// History tells all events of one volume, oldest first, refusals included. It reads that
// volume's alone. Errors are those of [events.Read].
func History(ctx context.Context, js jetstream.JetStream, key volume.Key) iter.Seq2[events.Stored, error] {
	return events.Read(ctx, js, events.Filter{Project: key.Project, Volume: key.Name})
}

// Moment is a point in the life of a volume: a generation or, if that is 0, a time.
type Moment struct {
	Generation uint64
	Time       time.Time
}

// ParseMoment reads a whole number or a time of RFC 3339. It returns an
// [volume.ErrInvalidArgument] for anything else.
func ParseMoment(text string) (Moment, error) {
	if generation, err := strconv.ParseUint(text, 10, 64); err == nil && generation > 0 {
		return Moment{Generation: generation}, nil
	}
	stamp, err := time.Parse(time.RFC3339, text)
	if err != nil {
		return Moment{}, volume.Errorf(volume.ErrInvalidArgument, "%.80q: want a time like 2030-01-31T12:00:00Z or a generation from 1", text)
	}
	return Moment{Time: stamp}, nil
}

// String returns `generation 4`, or the time.
func (m Moment) String() string {
	if m.Generation > 0 {
		return fmt.Sprintf("generation %d", m.Generation)
	}
	return m.Time.Format(time.RFC3339Nano)
}

func (m Moment) before(t volume.Transition) bool {
	if m.Generation > 0 {
		return m.Generation < t.Generation
	}
	return m.Time.Before(t.Time)
}

// At returns a volume's record as its events tell that it was: with the transition that led
// there, and without what only the record knew, such as the operation and the answers. Times
// are those of the events, by the clocks of the workers. It returns an
// [volume.ErrVolumeNotFound] if the volume had no transition by then, never came so far, or
// if the events of that time have aged out, which its message says.
func At(ctx context.Context, js jetstream.JetStream, key volume.Key, when Moment) (volume.Record, events.Stored, error) {
	var at, first events.Stored
	var created time.Time
	for stored, err := range History(ctx, js, key) {
		if err != nil {
			return volume.Record{}, events.Stored{}, err
		}
		t := stored.Data
		if t.Event == volume.EventRejected {
			continue
		}
		if first.Sequence == 0 {
			first = stored
		}
		if when.before(t) {
			break
		}
		if at = stored; t.VolumeID == volume.NewID(key, t.Generation) {
			created = t.Time
		}
	}
	missing := func(format string, args ...any) (volume.Record, events.Stored, error) {
		return volume.Record{}, events.Stored{}, volume.Errorf(volume.ErrVolumeNotFound, "volume %s at %s: %s", key, when, fmt.Sprintf(format, args...))
	}
	switch {
	case first.Sequence == 0:
		return missing("it has no events")
	case at.Sequence == 0 && first.Data.Generation > 1:
		return missing("its events before generation %d have aged out", first.Data.Generation)
	case at.Sequence == 0:
		return missing("its first event is of %s", first.Data.Time.Format(time.RFC3339Nano))
	case at.Data.Generation < when.Generation:
		return missing("it is at generation %d", at.Data.Generation)
	}
	return recordOf(at, created), at, nil
}

func recordOf(at events.Stored, created time.Time) volume.Record {
	t := at.Data
	return volume.Record{
		SchemaVersion: volume.SchemaVersion, State: t.To, Generation: t.Generation, Key: t.Key, ID: t.VolumeID, Spec: t.Spec,
		CreatedAt: created, UpdatedAt: t.Time, Owner: volume.Owner{Worker: t.Worker, Epoch: t.Epoch},
		CommandSequence: t.CommandSequence, EventSequence: at.Sequence, EventHash: at.Hash,
	}
}
