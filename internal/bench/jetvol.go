package bench

import (
	"context"
	"crypto/rand"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"

	"github.com/jetvol/jetvol/commands"
	"github.com/jetvol/jetvol/volume"
)

// actorName is who gives the commands.
const actorName = "jetvol-bench"

// throughClient gives commands as services do, with [commands.Client].
type throughClient struct{ client *commands.Client }

// begin prepares the call, which is made by await.
func (c throughClient) begin(_ context.Context, key volume.Key, d deed) (func(context.Context) error, error) {
	return func(ctx context.Context) error {
		_, err := c.client.Do(ctx, commands.Request{Key: key, Verb: d.verb, Args: d.args, Actor: actorName})
		return err
	}, nil
}

func newMessage(key volume.Key, d deed, reply string) (*nats.Msg, error) {
	return commands.NewMessage(volume.Command{
		ID: volume.CommandID(rand.Text()), Key: key, Verb: d.verb, Args: d.args, Actor: actorName,
	}, reply)
}

// inOrder publishes commands in the order of begin, which [commands.Client] does not
// promise to concurrent callers. It does not repeat them.
type inOrder struct {
	js      jetstream.JetStream
	answers *inbox
}

func newInOrder(conn *nats.Conn, js jetstream.JetStream) (*inOrder, error) {
	answers, err := newInbox(conn)
	return &inOrder{js: js, answers: answers}, err
}

// begin publishes without waiting.
func (c *inOrder) begin(_ context.Context, key volume.Key, d deed) (func(context.Context) error, error) {
	to, answer := c.answers.expect(rand.Text())
	msg, err := newMessage(key, d, to)
	if err != nil {
		return nil, err
	}
	stored, err := c.js.PublishMsgAsync(msg, jetstream.WithStallWait(stallWait))
	if err != nil {
		return nil, err
	}
	return func(ctx context.Context) error {
		select {
		case msg := <-answer:
			reply, err := commands.DecodeReply(msg.Data)
			if err != nil {
				return err
			}
			return reply.Err()
		case err := <-stored.Err():
			return err
		case <-ctx.Done():
			return context.Cause(ctx)
		}
	}, nil
}
