package load

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"
	"golang.org/x/sync/errgroup"

	"github.com/jetvol/jetvol/commands"
	"github.com/jetvol/jetvol/internal/verify"
	"github.com/jetvol/jetvol/volume"
)

// Timings of a client. They are short because the server is away so often.
const (
	reconnectWait  = 50 * time.Millisecond
	publishTimeout = time.Second
	// patience is how long a client waits before it gives its next command besides. A
	// volume or partition that stands still does not keep it from all others, until it
	// waits for [Options.Waiting] answers.
	patience = 300 * time.Millisecond
)

// Shares of a client's commands, in percent; the rest are new commands of all verbs.
const (
	shareRepeat    = 10
	shareReuse     = 4
	shareMalformed = 2
	shareValidate  = 3
	shareCancel    = 8
	shareLeave     = 15
)

// client asks and waits, mostly one command after another, over a connection of its own.
type client struct {
	options  Options
	number   int
	conn     *nats.Conn
	stream   jetstream.JetStream
	commands *commands.Client
	ledger   *Ledger
	workload workload
}

func newClient(o Options, number int, l *Ledger) (*client, error) {
	conn, err := nats.Connect(o.URL, nats.Name(fmt.Sprintf("%s-client-%02d", o.Projects[0], number)),
		nats.MaxReconnects(-1), nats.ReconnectWait(reconnectWait), nats.ReconnectJitter(reconnectWait, reconnectWait),
		nats.ErrorHandler(func(*nats.Conn, *nats.Subscription, error) {})) // that servers go away is no news
	if err != nil {
		return nil, fmt.Errorf("client %d: %w", number, err)
	}
	stream := uint64(number) + 1 //nolint:gosec // counted from 0; stream 0 is the caller's
	c := &client{options: o, number: number, conn: conn, ledger: l, workload: workload{
		rng: rand.New(rand.NewPCG(o.Seed, stream)), projects: o.Projects, client: number, volumes: o.Volumes,
	}}
	if c.stream, err = jetstream.New(conn); err == nil {
		c.commands, err = commands.New(conn, commands.WithPublishTimeout(publishTimeout),
			commands.WithResendAfter(o.ResendAfter), commands.WithUnavailableAfter(o.AskAgainAfter))
	}
	if err != nil {
		conn.Close()
		return nil, fmt.Errorf("client %d: %w", number, err)
	}
	return c, nil
}

// run issues commands until issuing ends, and waits for the last answer until waiting
// does. It returns an error only if the program itself is wrong.
func (c *client) run(issuing, waiting context.Context) error {
	defer c.conn.Close()
	group, waiting := errgroup.WithContext(waiting)
	group.SetLimit(c.options.Waiting)
	for issuing.Err() == nil && waiting.Err() == nil {
		deed := c.next()
		done := make(chan struct{})
		group.Go(func() error {
			defer close(done)
			return deed(waiting)
		})
		impatient := time.NewTimer(patience)
		select {
		case <-done:
		case <-impatient.C:
		}
		impatient.Stop()
	}
	return group.Wait()
}

// deed gives a command and waits for its answer. All that is left to chance about it was
// decided before.
type deed func(context.Context) error

// next makes up a command of any kind.
func (c *client) next() deed {
	w := &c.workload
	dice := w.rng.IntN(100)
	for _, choice := range []struct {
		share int
		give  func() deed // nil if there is nothing yet to refer to
	}{
		{shareRepeat, c.repeat},
		{shareReuse, c.reuse},
		{shareMalformed, c.malformed},
		{shareValidate, c.validate},
		{shareCancel, c.cancel},
		{shareLeave, c.leave},
	} {
		if dice < choice.share {
			if give := choice.give(); give != nil {
				return give
			}
			break
		}
		dice -= choice.share
	}
	key := w.key()
	return c.first(w.next(key, c.ledger.sight(key, w.rng)), verify.Ordinary)
}

// first gives a new command.
func (c *client) first(request commands.Request, kind verify.Kind) deed {
	e := c.ledger.ask(c.number, request, kind)
	return c.asking(request, func(reply commands.Reply) { c.ledger.answered(e, reply) })
}

// asking asks and hands on the answer, if there is one.
func (c *client) asking(request commands.Request, answered func(commands.Reply)) deed {
	return func(ctx context.Context) error {
		reply, err := c.do(ctx, request)
		if err == nil && reply.Outcome != "" {
			answered(reply)
		}
		return err
	}
}

func (c *client) repeat() deed {
	e := c.ledger.askAgain(c.workload.rng)
	if e == nil {
		return nil
	}
	return c.asking(e.request, func(reply commands.Reply) { c.ledger.answered(e, reply) })
}

func (c *client) reuse() deed {
	e := c.ledger.reuse(c.workload.rng)
	if e == nil {
		return nil
	}
	return c.asking(c.workload.other(e.request), func(reply commands.Reply) { c.ledger.refused(e, reply) })
}

func (c *client) validate() deed {
	key := c.workload.key()
	request := c.workload.next(key, c.ledger.sight(key, c.workload.rng))
	request.ValidateOnly = true
	return c.first(request, verify.ValidateOnly)
}

func (c *client) cancel() deed {
	target, found := c.ledger.target(c.workload.rng)
	if !found {
		return nil
	}
	return c.first(c.workload.cancel(target), verify.Ordinary)
}

// leave gives a command and does not wait for its answer: the stream has it, and that
// must be enough.
func (c *client) leave() deed {
	key := c.workload.key()
	e := c.ledger.leave(c.number, c.workload.next(key, c.ledger.sight(key, c.workload.rng)))
	return func(ctx context.Context) error {
		_, err := c.commands.Publish(ctx, e.request)
		if errors.Is(err, volume.InvalidArgument) {
			return fmt.Errorf("command %s (%s): %w", e.request.ID, e.request.Verb, err)
		}
		if err == nil {
			c.ledger.accepted(e)
		}
		return nil
	}
}

// do asks until there is an answer, which is empty if ctx ends first. It returns an
// error for a request that cannot be published at all.
func (c *client) do(ctx context.Context, request commands.Request) (commands.Reply, error) {
	for ctx.Err() == nil {
		attempt, cancel := context.WithTimeout(ctx, c.options.AskAgainAfter)
		reply, err := c.commands.Do(attempt, request)
		cancel()
		if reply.Outcome != "" {
			return reply, nil
		}
		if errors.Is(err, volume.InvalidArgument) {
			return commands.Reply{}, fmt.Errorf("command %s (%s): %w", request.ID, request.Verb, err)
		}
		pause(ctx, reconnectWait)
	}
	return commands.Reply{}, nil
}

// malformed gives a command that [commands.Client] would not let through.
func (c *client) malformed() deed {
	request := commands.Request{ID: c.workload.id(), Key: c.workload.key(), Verb: volume.VerbCreate}
	e := c.ledger.ask(c.number, request, verify.Malformed)
	msg := nats.NewMsg(commands.Subject(request.Key, request.Verb))
	msg.Header.Set(commands.HeaderID, string(request.ID))
	msg.Data = c.workload.malformed()
	return func(ctx context.Context) error {
		inbox := c.conn.NewInbox()
		msg.Header.Set(commands.HeaderReply, inbox)
		answers, err := c.conn.SubscribeSync(inbox)
		if err != nil {
			return fmt.Errorf("command %s: %w", request.ID, err)
		}
		defer func() { _ = answers.Unsubscribe() }() // fails only if the connection is closed
		for ctx.Err() == nil {
			if reply, ok := c.publish(ctx, msg, answers); ok {
				c.ledger.answered(e, reply)
				return nil
			}
			pause(ctx, reconnectWait)
		}
		return nil
	}
}

// publish sends the message once and waits a while for its answer.
func (c *client) publish(ctx context.Context, msg *nats.Msg, answers *nats.Subscription) (commands.Reply, bool) {
	ctx, cancel := context.WithTimeout(ctx, c.options.ResendAfter)
	defer cancel()
	if _, err := c.stream.PublishMsg(ctx, msg); err != nil {
		return commands.Reply{}, false
	}
	answer, err := answers.NextMsgWithContext(ctx)
	if err != nil {
		return commands.Reply{}, false
	}
	reply, err := commands.DecodeReply(answer.Data)
	return reply, err == nil
}

// pause waits, but not beyond the end of ctx.
func pause(ctx context.Context, d time.Duration) {
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-timer.C:
	case <-ctx.Done():
	}
}
