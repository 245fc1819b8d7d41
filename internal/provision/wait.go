package provision

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"

	"github.com/jetvol/jetvol/volume"
)

// DefaultPatience is how long [Apply] waits for a cluster that is not there yet: several
// elections, of which each takes up to nine seconds.
const DefaultPatience = 30 * time.Second

// An attempt at one stream takes three requests at most. A cluster without a leader does
// not answer, so that attempts are short; one that knows better refuses at once.
const (
	attemptTimeout = 3 * time.Second
	attemptPause   = 250 * time.Millisecond
)

// The server's error codes for a cluster that is not ready.
const (
	codeNoPeers            jetstream.ErrorCode = 10005 // has not met, or has lost, enough servers
	codeClusterUnavailable jetstream.ErrorCode = 10008 // has no leader
	codeNotLeader          jetstream.ErrorCode = 10009 // is changing its leader
)

// patiently makes attempts until one ends otherwise than with a cluster that is not ready.
// Every attempt may be repeated, also one whose outcome is unknown. After the time in
// [Options.Patience] it returns the last error with [volume.Unavailable].
func (o Options) patiently(ctx context.Context, attempt func(context.Context) error) error {
	patience := o.Patience
	if patience == 0 {
		patience = DefaultPatience
	}
	for began := time.Now(); ; {
		each, cancel := context.WithTimeout(ctx, attemptTimeout)
		err := attempt(each)
		cancel()
		switch {
		case err == nil || ctx.Err() != nil || !notReady(err):
			return err
		case time.Since(began) >= patience:
			return fmt.Errorf("no leader, or too few servers for the replicas, after %s: %w: %w", patience, err, volume.Unavailable)
		}
		if o.Waiting != nil {
			o.Waiting(err)
		}
		pause(ctx)
	}
}

// notReady reports whether err may pass when a cluster has a leader and its servers.
func notReady(err error) bool {
	if api, ok := errors.AsType[*jetstream.APIError](err); ok {
		return api.ErrorCode == codeNoPeers || api.ErrorCode == codeClusterUnavailable || api.ErrorCode == codeNotLeader
	}
	return errors.Is(err, context.DeadlineExceeded) || errors.Is(err, nats.ErrTimeout)
}

func pause(ctx context.Context) {
	timer := time.NewTimer(attemptPause)
	defer timer.Stop()
	select {
	case <-timer.C:
	case <-ctx.Done():
	}
}
