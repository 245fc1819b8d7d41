package kv_test

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"testing"
	"time"

	"github.com/jetvol/jetvol/internal/natstest"
	"github.com/jetvol/jetvol/kv"
)

const requestTimeout = 2 * time.Second

// tally is a counter that knows whose increments it holds, so that a writer who got no
// answer can find out whether its write happened.
type tally struct {
	SchemaVersion int            `json:"schema_version"`
	Total         int            `json:"total"`
	By            map[string]int `json:"by"`
}

// counting is the work of several writers on one tally.
type counting struct {
	key     string
	each    int           // increments of one writer
	stepped chan struct{} // one for each increment
}

// write increments until all of the writer's increments are known to be stored. It
// returns an error for an answer that can not be right.
func (c counting) write(ctx context.Context, b *kv.Bucket[tally], name string) error {
	for done := 0; done < c.each; {
		if ctx.Err() != nil {
			return fmt.Errorf("writer %s: %d of %d: %w", name, done, c.each, context.Cause(ctx))
		}
		entry, err := c.read(ctx, b)
		if errors.Is(err, kv.ErrUnavailable) {
			continue
		}
		if err != nil {
			return err
		}
		switch stored := entry.Value.By[name]; {
		case stored < done:
			return fmt.Errorf("writer %s: read %d at revision %d after %d were stored: lost", name, stored, entry.Revision, done)
		case stored > done+1:
			return fmt.Errorf("writer %s: read %d after %d were stored: written twice", name, stored, done)
		case stored == done+1: // the write without an answer
			done++
			c.stepped <- struct{}{}
			continue
		}
		entry.Value.By[name]++
		entry.Value.Total++
		err = c.store(ctx, b, entry)
		switch {
		case err == nil:
			done++
			c.stepped <- struct{}{}
		case errors.Is(err, kv.ErrConflict), errors.Is(err, kv.ErrUnavailable):
		default:
			return err
		}
	}
	return nil
}

// A server that is stopped takes requests with it: each has to end soon.
func (c counting) read(ctx context.Context, b *kv.Bucket[tally]) (kv.Entry[tally], error) {
	ctx, cancel := context.WithTimeout(ctx, requestTimeout)
	defer cancel()
	return b.Get(ctx, c.key)
}

func (c counting) store(ctx context.Context, b *kv.Bucket[tally], entry kv.Entry[tally]) error {
	ctx, cancel := context.WithTimeout(ctx, requestTimeout)
	defer cancel()
	_, err := b.CompareAndSet(ctx, c.key, entry.Value, entry.Revision)
	return err
}

// No update is lost and none happens twice while the bucket's leader changes under the
// writers: the tally holds exactly what the writers know to be stored.
func TestBucket_LeaderStopped_NoUpdateLost(t *testing.T) {
	cluster := natstest.StartCluster(t, 3)
	provision(t, cluster.JetStream(t), 3)
	const writers = 8
	c := counting{key: "default.tally", each: 40, stepped: make(chan struct{}, writers*40)}
	open := func() *kv.Bucket[tally] {
		return kv.Open[tally](cluster.JetStream(t), kv.VolumesBucket)
	}
	ctx, cancel := context.WithTimeout(t.Context(), 3*testTimeout)
	defer cancel()
	b := open()
	if _, err := b.Create(ctx, c.key, tally{SchemaVersion: 1, By: map[string]int{}}); err != nil {
		t.Fatal(err)
	}
	var working sync.WaitGroup
	errs := make([]error, writers)
	for i := range writers {
		own := open()
		working.Go(func() {
			if errs[i] = c.write(ctx, own, fmt.Sprint("w", i)); errs[i] != nil {
				cancel()
			}
		})
	}
	for round := range 2 {
		for range writers * c.each / 4 { // then three quarters or a half are still to come
			select {
			case <-c.stepped:
			case <-ctx.Done():
				t.Errorf("round %d: the writers do not get on", round)
			}
		}
		stopped := cluster.StopLeader(t, "KV_"+kv.VolumesBucket)
		cluster.Restart(t, stopped)
	}
	working.Wait()
	if err := errors.Join(errs...); err != nil {
		t.Fatal(err)
	}
	entry, err := b.Get(ctx, c.key)
	if err != nil {
		t.Fatal(err)
	}
	if entry.Value.Total != writers*c.each {
		t.Errorf("got a total of %d, want %d", entry.Value.Total, writers*c.each)
	}
	for name, n := range entry.Value.By {
		if n != c.each {
			t.Errorf("writer %s: got %d, want %d", name, n, c.each)
		}
	}
}
