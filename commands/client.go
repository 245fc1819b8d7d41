package commands

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"strings"
	"sync"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"

	"github.com/jetvol/jetvol/volume"
)

// ErrClientClosed is the cause of the error of calls that [Client.Close] ended.
var ErrClientClosed = errors.New("command client closed")

// PendingError says that a call ended before its command did. The command may have been
// carried out, may be at work, or may still come: ask again with the same ID.
type PendingError struct {
	CommandID volume.CommandID
	Key       volume.Key
	// Cause is why the call ended: the context's error, [ErrClientClosed] or what the
	// server said last.
	Cause error
}

// Error names the command and says that it may still be carried out.
func (e *PendingError) Error() string {
	return fmt.Sprintf("command %s to volume %s: may still be carried out: %v", e.CommandID, e.Key, e.Cause)
}

// Unwrap returns the cause.
func (e *PendingError) Unwrap() error { return e.Cause }

// Request is a command to be published.
type Request struct {
	Key  volume.Key
	Verb volume.Verb
	Args volume.Args
	volume.Preconditions

	// ID is made at random if it is empty. A caller who may have to ask again after a
	// crash of its own chooses one and keeps it.
	ID    volume.CommandID
	Actor string
	// TraceParent is a W3C trace context; see [WithTrace].
	TraceParent string

	// Progress, if set, is called by [Client.Do] with each committed event of this
	// command, in order. Events may be missing: the event stream has them all.
	Progress func(ProgressEvent)
}

// Receipt says where the stream has stored a command.
type Receipt struct {
	CommandID volume.CommandID
	Sequence  uint64
	// Duplicate says that the stream had just seen a message with this ID and dropped
	// this one. It is the same command, unless the ID was used for another one.
	Duplicate bool
}

// maxPublishes is how many publishes of a client may wait for their acknowledgement: as many as
// there are calls, in practice.
const maxPublishes = 1 << 20

// once has nats.go publish a command one time only: the client itself publishes it again.
var once = jetstream.WithRetryAttempts(0)

// Client publishes commands and waits for their answers over one connection. It is safe
// for concurrent use.
type Client struct {
	conn    *nats.Conn
	stream  jetstream.Publisher
	options options
	inbox   string // answers come to <inbox>.<token>
	replies *nats.Subscription
	done    chan struct{} // closed by Close

	mu      sync.Mutex // guards waiting
	waiting map[string]*call
}

// New returns a client on the connection, which stays the caller's and must outlive the
// client. It returns [volume.ErrInvalidArgument] for an option without sense, or the
// connection's error if it cannot subscribe.
func New(conn *nats.Conn, opts ...Option) (*Client, error) {
	chosen, err := newOptions(opts)
	if err != nil {
		return nil, err
	}
	stream, err := jetstream.New(conn, jetstream.WithPublishAsyncTimeout(chosen.publishTimeout),
		jetstream.WithPublishAsyncMaxPending(maxPublishes))
	if err != nil {
		return nil, fmt.Errorf("command client: %w", err)
	}
	client := &Client{
		conn:    conn,
		stream:  stream,
		options: chosen,
		inbox:   conn.NewInbox(),
		done:    make(chan struct{}),
		waiting: map[string]*call{},
	}
	client.replies, err = conn.Subscribe(client.inbox+".*", client.deliver)
	if err != nil {
		return nil, fmt.Errorf("command client: subscribe to answers: %w", err)
	}
	return client, nil
}

// Close ends all calls under way with a [*PendingError] and stops listening. It may be
// called again.
func (c *Client) Close() error {
	c.mu.Lock()
	defer c.mu.Unlock()
	select {
	case <-c.done:
		return nil
	default:
		close(c.done)
	}
	if err := c.replies.Unsubscribe(); err != nil && !errors.Is(err, nats.ErrConnectionClosed) {
		return fmt.Errorf("command client: close: %w", err)
	}
	return nil
}

// ended returns why no call with the context may go on, or nil.
func (c *Client) ended(ctx context.Context) error {
	select {
	case <-c.done:
		return ErrClientClosed
	default:
		return ctx.Err()
	}
}

// Do publishes the command and waits until it has ended. It returns the answer together
// with [Reply.Err]: the reply is there whatever the outcome was, and its Outcome is empty
// if no answer came.
//
// Until the context ends Do publishes the command again, with the same ID, whenever it
// cannot know whether it was stored or has been silent for long; a command is carried out
// once however often it is published. It returns:
//
//   - the [*volume.Error] of an invalid request, before anything is published;
//   - an error of class [volume.Unavailable] if the server refuses to store commands for
//     the time of [WithUnavailableAfter], as without a stream, or the connection is closed;
//   - the context's error, wrapped, if it ended before anything was published;
//   - a [*PendingError] around either of these if the command may have been stored.
func (c *Client) Do(ctx context.Context, request Request) (Reply, error) {
	call, err := c.begin(ctx, request)
	if err != nil {
		return Reply{}, err
	}
	defer call.end()
	if err := call.listen(ctx); err != nil {
		call.traced(err)
		return Reply{}, err
	}
	reply, err := call.do(ctx)
	call.traced(err)
	if err != nil {
		return Reply{}, err
	}
	return reply, reply.Err()
}

// Publish publishes the command and returns as soon as the stream has it; Progress is
// not used. It repeats as [Client.Do] does and returns the same errors, apart from the
// command's own.
func (c *Client) Publish(ctx context.Context, request Request) (Receipt, error) {
	msg, command, err := request.message("")
	if err != nil {
		return Receipt{}, err
	}
	call := &call{client: c, id: command.ID, key: command.Key, message: msg}
	call.trace(ctx, command)
	receipt, err := call.publish(ctx)
	call.traced(err)
	return receipt, err
}

// message returns the message that publishes the request as the command that is
// returned with it.
func (r Request) message(reply string) (*nats.Msg, volume.Command, error) {
	command := volume.Command{
		ID:            r.ID,
		Key:           r.Key,
		Verb:          r.Verb,
		Args:          r.Args,
		Preconditions: r.Preconditions,
		Actor:         r.Actor,
		TraceParent:   r.TraceParent,
	}
	if command.ID == "" {
		command.ID = volume.CommandID(rand.Text())
	}
	msg, err := NewMessage(command, reply)
	return msg, command, err
}

// begin prepares a call whose answer is delivered to it.
func (c *Client) begin(ctx context.Context, request Request) (*call, error) {
	token := rand.Text()
	msg, command, err := request.message(c.inbox + "." + token)
	if err != nil {
		return nil, err
	}
	call := &call{
		client:   c,
		id:       command.ID,
		key:      command.Key,
		message:  msg,
		token:    token,
		replies:  make(chan Reply, 1),
		progress: request.Progress,
	}
	call.trace(ctx, command)
	c.mu.Lock()
	defer c.mu.Unlock()
	c.waiting[token] = call
	return call, nil
}

// deliver gives an answer to the call that waits for it. What is no answer to that
// command, or a second one, is dropped.
func (c *Client) deliver(msg *nats.Msg) {
	reply, err := DecodeReply(msg.Data)
	if err != nil {
		return
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	call, waits := c.waiting[strings.TrimPrefix(msg.Subject, c.inbox+".")]
	if !waits || call.id != reply.CommandID {
		return
	}
	select {
	case call.replies <- reply:
	default:
	}
}
