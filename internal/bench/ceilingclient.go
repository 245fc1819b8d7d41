package bench

import (
	"context"
	"errors"
	"strconv"
	"strings"
	"sync/atomic"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"

	"github.com/jetvol/jetvol/commands"
	"github.com/jetvol/jetvol/volume"
)

// stallWait bounds the wait for a free place among publishes in flight.
const stallWait = 10 * time.Second

// errCeilingFailed is told by a ceiling worker; its process's log has the reason.
var errCeilingFailed = errors.New("ceiling worker failed, see its log")

// errDuplicate says that the stream has dropped a command, since another had its id.
var errDuplicate = errors.New("taken for a duplicate, and not stored")

// failedReply is the payload of a ceiling worker's reply if a write was refused.
const failedReply = "failed"

// bareClient gives the ceiling's commands: a publish, and a wait for its acknowledgement
// and for the reply.
type bareClient struct {
	js        jetstream.JetStream
	answers   *inbox
	templates atomic.Pointer[map[volume.Verb]Template]
	serial    atomic.Uint64
}

func newBareClient(conn *nats.Conn, js jetstream.JetStream) (*bareClient, error) {
	answers, err := newInbox(conn)
	return &bareClient{js: js, answers: answers}, err
}

// begin publishes the template of the verb to the volume.
func (c *bareClient) begin(_ context.Context, key volume.Key, d deed) (func(context.Context) error, error) {
	t := (*c.templates.Load())[d.verb]
	token := padded(c.serial.Add(1), len(t.Command.Header.Get(commands.HeaderID)))
	msg := &nats.Msg{
		Subject: renaming.Replace(commands.Subject(key, d.verb)),
		Header:  make(nats.Header, len(t.Command.Header)),
		Data:    t.Command.Data,
	}
	for name, values := range t.Command.Header {
		msg.Header[name] = values
	}
	// The id of a command and the token of its reply are of one length in jetvol too.
	msg.Header[commands.HeaderID] = []string{token}
	to, answer := c.answers.expect(token)
	msg.Header[commands.HeaderReply] = []string{to}
	acked, err := c.js.PublishMsgAsync(msg, jetstream.WithStallWait(stallWait))
	if err != nil {
		return nil, err
	}
	return func(ctx context.Context) error { return awaitBoth(ctx, acked, answer) }, nil
}

func awaitBoth(ctx context.Context, acked jetstream.PubAckFuture, answer <-chan *nats.Msg) error {
	select {
	case ack := <-acked.Ok():
		if ack.Duplicate {
			return errDuplicate
		}
	case err := <-acked.Err():
		return err
	case <-ctx.Done():
		return context.Cause(ctx)
	}
	select {
	case msg := <-answer:
		if string(msg.Data) == failedReply {
			return errCeilingFailed
		}
		return nil
	case <-ctx.Done():
		return context.Cause(ctx)
	}
}

// padded writes n with zeros before it, length digits long. It is never the same for two n.
func padded(n uint64, length int) string {
	text := strconv.FormatUint(n, 10)
	return strings.Repeat("0", max(0, length-len(text))) + text
}
