package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"strings"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"

	"github.com/jetvol/jetvol/commands"
	"github.com/jetvol/jetvol/events"
	"github.com/jetvol/jetvol/internal/verify"
	"github.com/jetvol/jetvol/kv"
	"github.com/jetvol/jetvol/volume"
)

// Bounds of collecting.
const (
	queueTimeout = 30 * time.Second
	queueLook    = 50 * time.Millisecond
)

// streams that are compared before and after the cold start.
const (
	recordStream  = "KV_" + kv.VolumesBucket
	commandStream = commands.StreamName
	eventStream   = events.StreamName
)

// collect brings the system to rest: it lets the queue run empty, ends the server in
// order, starts it once more, asks it for everything, ends it again and reads its files.
func (t *trial) collect(ctx context.Context, log io.Writer) (verify.Evidence, error) {
	var e verify.Evidence
	before, err := t.beforeRest(ctx)
	if err != nil {
		return e, err
	}
	if err := t.current.stop(); err != nil {
		return e, err
	}
	if err := t.startReady(ctx, log); err != nil {
		return e, fmt.Errorf("cold start: %w", err)
	}
	e.Commands, e.Kills = t.ledger.commands(), t.kills
	err = t.connected(func(js jetstream.JetStream) error { return ask(ctx, js, before, &e) })
	if err != nil {
		return e, err
	}
	if err := t.current.stop(); err != nil {
		return e, err
	}
	return e, t.place.read(ctx, &e)
}

// connected calls f with a connection to the server.
func (t *trial) connected(f func(jetstream.JetStream) error) error {
	conn, err := nats.Connect(t.url(), nats.Name("crash-witness"))
	if err != nil {
		return err
	}
	defer conn.Close()
	js, err := jetstream.New(conn)
	if err != nil {
		return err
	}
	return f(js)
}

// marks are the last sequences of streams.
type marks struct {
	events, records uint64
}

// beforeRest waits until the command stream is empty: commands that were published
// twice are there after their answer. It gives up quietly, since the evidence will tell.
func (t *trial) beforeRest(ctx context.Context) (marks, error) {
	var m marks
	err := t.connected(func(js jetstream.JetStream) error {
		bound := time.Now().Add(queueTimeout)
		for {
			queue, err := state(ctx, js, commandStream)
			if err != nil {
				return err
			}
			if queue.Msgs == 0 || time.Now().After(bound) {
				break
			}
			pause(ctx, queueLook)
		}
		var err error
		m, err = takeMarks(ctx, js)
		return err
	})
	return m, err
}

func takeMarks(ctx context.Context, js jetstream.JetStream) (marks, error) {
	eventState, err := state(ctx, js, eventStream)
	if err != nil {
		return marks{}, err
	}
	recordState, err := state(ctx, js, recordStream)
	return marks{events: eventState.LastSeq, records: recordState.LastSeq}, err
}

func state(ctx context.Context, js jetstream.JetStream, name string) (jetstream.StreamState, error) {
	stream, err := js.Stream(ctx, name)
	if err != nil {
		return jetstream.StreamState{}, fmt.Errorf("stream %s: %w", name, err)
	}
	return stream.CachedInfo().State, nil
}

// ask collects what the streams and buckets of the cold server hold.
func ask(ctx context.Context, js jetstream.JetStream, before marks, e *verify.Evidence) error {
	for stored, err := range events.Read(ctx, js, events.Filter{}) {
		if err != nil {
			return err
		}
		e.Transitions = append(e.Transitions, stored.Data)
	}
	if err := readBuckets(ctx, js, e); err != nil {
		return err
	}
	var err error
	if e.DeadLetters, err = deadLetters(ctx, js); err != nil {
		return err
	}
	after, err := takeMarks(ctx, js)
	if err != nil {
		return err
	}
	queue, err := state(ctx, js, commandStream)
	e.ColdStart = verify.ColdStart{Queued: queue.Msgs, Events: after.events - before.events, Writes: after.records - before.records}
	return err
}

func readBuckets(ctx context.Context, js jetstream.JetStream, e *verify.Evidence) error {
	e.Records = map[volume.Key]volume.Record{}
	err := each(ctx, kv.NewVolumes(js).Bucket, func(key string, record volume.Record) error {
		parsed, err := volume.ParseKey(key)
		e.Records[parsed] = record
		return err
	})
	if err != nil {
		return err
	}
	e.Outcomes = map[volume.Key][]volume.Outcome{}
	return each(ctx, kv.Open[volume.Outcome](js, kv.OutcomesBucket), func(key string, outcome volume.Outcome) error {
		owner, err := volume.ParseKey(key[:max(0, strings.LastIndexByte(key, '.'))])
		e.Outcomes[owner] = append(e.Outcomes[owner], outcome)
		return err
	})
}

// each calls f with everything in the bucket, page by page.
func each[T any](ctx context.Context, bucket *kv.Bucket[T], f func(key string, value T) error) error {
	for cursor := uint64(0); ; {
		page, next, err := bucket.List(ctx, kv.ListOptions{After: cursor, Limit: kv.MaxPageSize})
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
		cursor = next
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
