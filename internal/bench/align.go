package bench

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"

	"github.com/jetvol/jetvol/commands"
	"github.com/jetvol/jetvol/internal/embednats"
)

// Bounds of how long a leader may take to move.
const (
	alignTimeout = time.Minute
	alignTry     = 2 * time.Second
	alignPause   = 50 * time.Millisecond
)

// align moves the leaders of the ceiling's streams and consumers to the servers that lead
// jetvol's. Where leaders are placed decides how many hops a write takes, and rounds would
// not even that out. It does nothing on a server that stands alone.
func align(ctx context.Context, js jetstream.JetStream) error {
	ctx, cancel := context.WithTimeout(ctx, alignTimeout)
	defer cancel()
	for _, name := range mirrored {
		limit := renaming.Replace(name)
		if err := follow(ctx, js.Conn(), "$JS.API.STREAM.LEADER.STEPDOWN."+limit,
			func(ctx context.Context) (string, error) { return embednats.LeaderOf(ctx, js, name) },
			func(ctx context.Context) (string, error) { return embednats.LeaderOf(ctx, js, limit) },
		); err != nil {
			return fmt.Errorf("leader of stream %s: %w", limit, err)
		}
	}
	limit := renaming.Replace(commands.StreamName)
	for partition := range commands.Partitions {
		consumer := consumerName(partition)
		if err := follow(ctx, js.Conn(), "$JS.API.CONSUMER.LEADER.STEPDOWN."+limit+"."+consumer,
			func(ctx context.Context) (string, error) {
				return embednats.ConsumerLeaderOf(ctx, js, commands.StreamName, consumer)
			},
			func(ctx context.Context) (string, error) {
				return embednats.ConsumerLeaderOf(ctx, js, limit, consumer)
			},
		); err != nil {
			return fmt.Errorf("leader of consumer %s of stream %s: %w", consumer, limit, err)
		}
	}
	return nil
}

// leaderOf tells who leads something; nobody for what is not replicated.
type leaderOf func(context.Context) (string, error)

// follow asks by stepdown until the follower's leader is the model's.
func follow(ctx context.Context, conn *nats.Conn, stepdown string, model, follower leaderOf) error {
	for {
		aligned, err := followOnce(ctx, conn, stepdown, model, follower)
		if aligned {
			return nil
		}
		if pause(ctx, alignPause) != nil {
			return errors.Join(err, context.Cause(ctx))
		}
	}
}

func followOnce(ctx context.Context, conn *nats.Conn, stepdown string, model, follower leaderOf) (aligned bool, err error) {
	ctx, cancel := context.WithTimeout(ctx, alignTry)
	defer cancel()
	want, err := model(ctx)
	if err != nil {
		return false, err
	}
	got, err := follower(ctx)
	if err != nil || got == want {
		return err == nil, err
	}
	request, err := json.Marshal(map[string]any{"placement": map[string]string{"preferred": want}})
	if err != nil {
		return false, err
	}
	_, err = conn.RequestWithContext(ctx, stepdown, request) // a refusal shows in who leads
	return false, err
}
