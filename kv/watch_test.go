package kv_test

import (
	"context"
	"errors"
	"fmt"
	"testing"

	"github.com/jetvol/jetvol/kv"
)

func TestBucket_Watch_TellsEveryChange(t *testing.T) {
	js := startStore(t)
	b := openItems(js)
	ctx, cancel := context.WithCancel(testContext(t))
	defer cancel()
	first := mustCreate(t, b, "default.a", "first")
	mustCreate(t, b, "other.a", "unwatched")
	steps := []func() error{
		func() error { _, err := b.CompareAndSet(ctx, "default.a", item{1, "second"}, first); return err },
		func() error { return b.Delete(ctx, "default.a", first+2) },
		func() error { _, err := js.Publish(ctx, "$KV.volumes.default.a", []byte("x")); return err },
		func() error { cancel(); return nil },
	}
	want := []string{"put default.a first", "caught_up  ", "put default.a second", "deleted default.a ", "put default.a  corrupt"}
	var got []string
	for change, err := range b.Watch(ctx, "default.*") {
		line := fmt.Sprint(change.Kind, " ", change.Key, " ", change.Value.Status)
		if errors.Is(err, kv.ErrCorrupt) {
			line += " corrupt"
		} else if err != nil {
			t.Fatal(err)
		}
		got = append(got, line)
		if len(got) < 2 {
			continue // what was there is told first
		}
		if err := steps[0](); err != nil {
			t.Fatal(err)
		}
		steps = steps[1:]
	}
	if fmt.Sprint(got) != fmt.Sprint(want) {
		t.Errorf("got %q, want %q", got, want)
	}
}

// The check against leaked goroutines at the end of the run is part of these cases: a
// watcher whose updates nobody takes would block its delivery for ever.
func TestBucket_Watch_Left_LeavesNothingBehind(t *testing.T) {
	js := startStore(t)
	b := openItems(js)
	fill(t, js, "default", 2000)
	t.Run("by the loop", func(t *testing.T) {
		for _, err := range b.Watch(testContext(t), "") {
			if err != nil {
				t.Fatal(err)
			}
			break
		}
	})
	t.Run("by the context", func(t *testing.T) {
		ctx, cancel := context.WithCancel(testContext(t))
		defer cancel()
		for _, err := range b.Watch(ctx, "") {
			if err != nil {
				t.Fatal(err)
			}
			cancel()
		}
	})
	t.Run("before it began", func(t *testing.T) {
		ctx, cancel := context.WithCancel(testContext(t))
		cancel()
		for change, err := range b.Watch(ctx, "") {
			t.Errorf("got %v, %v, want nothing", change, err)
		}
	})
}

func TestBucket_Watch_ConnectionClosed_IsUnavailable(t *testing.T) {
	js := startStore(t)
	b := openItems(js)
	var last error
	for change, err := range b.Watch(testContext(t), "") {
		if change.Kind == kv.CaughtUp {
			js.Conn().Close()
		}
		last = err
	}
	if !errors.Is(last, kv.ErrUnavailable) {
		t.Errorf("got %v, want %v", last, kv.ErrUnavailable)
	}
}
