package kv_test

import (
	"context"
	"errors"
	"testing"
	"time"

	"github.com/nats-io/nats.go/jetstream"

	"github.com/jetvol/jetvol/internal/natstest"
	"github.com/jetvol/jetvol/kv"
)

// A caller's long deadline is not the time to wait for one answer: a server that is
// stopped, or a stream without a leader, swallows the request and will never answer it.
func TestBucket_LongDeadline_RequestEndsAfterDefaultTimeout(t *testing.T) {
	cluster := natstest.StartCluster(t, 3)
	provision(t, cluster.JetStream(t), 3)
	first := cluster.StopLeader(t, "KV_"+kv.VolumesBucket)
	second := cluster.StopLeader(t, "KV_"+kv.VolumesBucket)
	// The server that is left does not lead the bucket: nobody answers.
	js := cluster.Server(3-first-second).JetStream(t, jetstream.WithDefaultTimeout(500*time.Millisecond))
	ctx, cancel := context.WithTimeout(t.Context(), 5*time.Second)
	defer cancel()
	_, err := openItems(js).Get(ctx, "default.db-01")
	if !errors.Is(err, kv.ErrUnavailable) || ctx.Err() != nil {
		t.Errorf("got %v, %v, want unavailable long before the caller's deadline", err, ctx.Err())
	}
}
