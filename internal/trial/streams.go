package trial

import (
	"context"
	"errors"
	"fmt"
	"math"
	"strings"
	"time"

	"github.com/nats-io/nats.go/jetstream"

	"github.com/jetvol/jetvol/audit"
	"github.com/jetvol/jetvol/commands"
	"github.com/jetvol/jetvol/events"
	"github.com/jetvol/jetvol/internal/verify"
	"github.com/jetvol/jetvol/kv"
	"github.com/jetvol/jetvol/volume"
)

// Bounds of collecting.
const (
	queueTimeout = 30 * time.Second // without one that leaves
	queueLook    = 50 * time.Millisecond
)

// streams that are compared before and after the cold start.
const (
	recordStream  = "KV_" + kv.VolumesBucket
	commandStream = commands.StreamName
	eventStream   = events.StreamName
)

// Left describes the commands that are still in the stream, a line for each partition that
// has some, by what its consumer says of them. It says nothing if there are none.
func Left(ctx context.Context, js jetstream.JetStream) (lines []string) {
	for number := range commands.Partitions {
		stream, err := js.Stream(ctx, commandStream)
		if err != nil {
			return append(lines, err.Error())
		}
		first, err := stream.GetMsg(ctx, 1, jetstream.WithGetMsgSubject(commands.PartitionFilter(number)))
		if errors.Is(err, jetstream.ErrMsgNotFound) {
			continue
		}
		if err != nil {
			return append(lines, err.Error())
		}
		consumer, err := stream.Consumer(ctx, fmt.Sprintf("partition-%d", number))
		if err != nil {
			return append(lines, err.Error())
		}
		info := consumer.CachedInfo()
		lines = append(lines, fmt.Sprintf("partition %d: %s at sequence %d; delivered %+v, floor %+v, %d pending, %d unacknowledged",
			number, first.Subject, first.Sequence, info.Delivered, info.AckFloor, info.NumPending, info.NumAckPending))
	}
	return lines
}

// Marks are the last sequences of streams, before a start that should find nothing to do,
// and how many commands are still in theirs.
type Marks struct {
	events, records, queued uint64
}

// AwaitEmpty waits until the command stream is empty: commands that were published twice
// are there after their answer. It gives up quietly when none has left it for a while, since
// the evidence will tell.
func AwaitEmpty(ctx context.Context, js jetstream.JetStream) error {
	ticker := time.NewTicker(queueLook)
	defer ticker.Stop()
	least, moved := uint64(math.MaxUint64), time.Now()
	for {
		asking, cancel := context.WithTimeout(ctx, queueTimeout)
		queue, err := state(asking, js, commandStream)
		cancel()
		if err != nil && asking.Err() != nil {
			return nil
		}
		if err != nil || queue.Msgs == 0 {
			return err
		}
		if queue.Msgs < least {
			least, moved = queue.Msgs, time.Now()
		}
		if time.Since(moved) > queueTimeout {
			return nil
		}
		select {
		case <-ticker.C:
		case <-ctx.Done():
			return nil
		}
	}
}

// TakeMarks returns where the streams end now.
func TakeMarks(ctx context.Context, js jetstream.JetStream) (Marks, error) {
	eventState, err := state(ctx, js, eventStream)
	if err != nil {
		return Marks{}, err
	}
	recordState, err := state(ctx, js, recordStream)
	if err != nil {
		return Marks{}, err
	}
	queue, err := state(ctx, js, commandStream)
	return Marks{events: eventState.LastSeq, records: recordState.LastSeq, queued: queue.Msgs}, err
}

func state(ctx context.Context, js jetstream.JetStream, name string) (jetstream.StreamState, error) {
	stream, err := js.Stream(ctx, name)
	if err != nil {
		return jetstream.StreamState{}, fmt.Errorf("stream %s: %w", name, err)
	}
	return stream.CachedInfo().State, nil
}

// ReadStreams collects what the streams and buckets hold after a cold start. Before are
// the marks from before it.
func ReadStreams(ctx context.Context, js jetstream.JetStream, before Marks, e *verify.Evidence) error {
	if err := ReadProject(ctx, js, "", e); err != nil {
		return err
	}
	if err := readQuotas(ctx, js, e); err != nil {
		return err
	}
	var err error
	if e.DeadLetters, err = deadLetters(ctx, js); err != nil {
		return err
	}
	if e.Audited, err = audited(ctx, js); err != nil {
		return err
	}
	after, err := TakeMarks(ctx, js)
	if err != nil {
		return err
	}
	e.ColdStart = verify.ColdStart{
		Queued: max(before.queued, after.queued),
		Events: after.events - before.events,
		Writes: after.records - before.records,
	}
	return nil
}

// ReadProject collects the events, records, outcomes, snapshots and clones of a project, of
// all if it is "".
func ReadProject(ctx context.Context, js jetstream.JetStream, project volume.Project, e *verify.Evidence) error {
	for stored, err := range events.Read(ctx, js, events.Filter{Project: project}) {
		if err != nil {
			return err
		}
		e.Transitions = append(e.Transitions, stored.Data)
	}
	e.Records, e.Outcomes = map[volume.Key]volume.Record{}, map[volume.Key][]volume.Outcome{}
	err := each(ctx, kv.NewVolumes(js).Bucket, project, func(key string, record volume.Record) error {
		parsed, err := volume.ParseKey(key)
		e.Records[parsed] = record
		return err
	})
	if err != nil {
		return err
	}
	if err := readChains(ctx, js, e); err != nil {
		return err
	}
	return each(ctx, kv.Open[volume.Outcome](js, kv.OutcomesBucket), project, func(key string, outcome volume.Outcome) error {
		owner, err := volume.ParseKey(key[:max(0, strings.LastIndexByte(key, '.'))])
		e.Outcomes[owner] = append(e.Outcomes[owner], outcome)
		return err
	})
}

// each calls f with everything in the bucket that is the project's, page by page.
func each[T any](ctx context.Context, bucket *kv.Bucket[T], project volume.Project, f func(key string, value T) error) error {
	options := kv.ListOptions{Limit: kv.MaxPageSize}
	if project != "" {
		options.Filter = string(project) + ".>"
	}
	for {
		page, next, err := bucket.List(ctx, options)
		if err != nil {
			return err
		}
		for _, entry := range page {
			if err := f(entry.Key, entry.Value); err != nil {
				return fmt.Errorf("bucket entry %s: %w", entry.Key, err)
			}
		}
		if next == 0 {
			return nil
		}
		options.After = next
	}
}

// deadLetters counts the dead letters of each command.
func deadLetters(ctx context.Context, js jetstream.JetStream) (map[volume.CommandID]int, error) {
	letters := map[volume.CommandID]int{}
	stream, err := js.Stream(ctx, commands.DeadLetterStreamName)
	if err != nil {
		return nil, fmt.Errorf("stream %s: %w", commands.DeadLetterStreamName, err)
	}
	last := stream.CachedInfo().State.LastSeq
	for sequence := stream.CachedInfo().State.FirstSeq; sequence > 0 && sequence <= last; sequence++ {
		letter, err := stream.GetMsg(ctx, sequence)
		if errors.Is(err, jetstream.ErrMsgNotFound) {
			continue
		}
		if err != nil {
			return nil, fmt.Errorf("dead letter %d: %w", sequence, err)
		}
		letters[volume.CommandID(letter.Header.Get(commands.HeaderOriginalPrefix+commands.HeaderID))]++
	}
	return letters, nil
}

// audited returns the faults that `jetvol audit verify --strict` finds.
func audited(ctx context.Context, js jetstream.JetStream) ([]verify.Fault, error) {
	report, err := audit.Verify(ctx, js, audit.Options{Strict: true})
	if err != nil {
		return nil, err
	}
	var faults []verify.Fault
	for _, fault := range report.Faults {
		key, err := volume.ParseKey(fault.Volume)
		if err != nil {
			return nil, err
		}
		faults = append(faults, verify.Fault{Class: verify.Disagreement, Key: key, Detail: "audit: " + fault.String()})
	}
	if report.Unchained > 0 {
		faults = append(faults, verify.Fault{Class: verify.Disagreement, Detail: fmt.Sprintf("audit: %d events outside their chain", report.Unchained)})
	}
	return faults, nil
}
