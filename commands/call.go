package commands

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"

	"github.com/jetvol/jetvol/volume"
)

// errSilence is await's: nothing came in time.
var errSilence = errors.New("no answer yet")

// call is one command on its way, used by one goroutine apart from replies.
type call struct {
	client  *Client
	id      volume.CommandID
	key     volume.Key
	message *nats.Msg

	// Of a call that waits for its answer; zero for one that only publishes.
	token    string
	replies  chan Reply
	progress func(ProgressEvent)
	events   chan *nats.Msg
	feed     *nats.Subscription

	// endTrace ends the span of the publish; nil if there is none any more.
	endTrace func(error)

	receipt      Receipt   // of the latest publish that was taken
	stored       bool      // the stream has the command for certain
	uncertain    bool      // the stream may have the command
	refusedSince time.Time // the server has refused since then; zero if it does not
	failures     int       // publishes not taken, in a row
	resends      int       // publishes taken
	duplicates   int       // publishes dropped for another caller's
}

// end forgets the call: an answer that comes later is dropped.
func (c *call) end() {
	c.client.mu.Lock()
	delete(c.client.waiting, c.token)
	c.client.mu.Unlock()
	c.stopListening()
}

// do publishes and waits, again and again, until the answer comes.
func (c *call) do(ctx context.Context) (Reply, error) {
	for {
		pause, err := c.publishOnce(ctx)
		if err != nil {
			return c.answeredOr(err)
		}
		reply, err := c.await(ctx, pause)
		if errors.Is(err, errSilence) {
			continue
		}
		return reply, err
	}
}

// publish publishes until the stream has taken the command.
func (c *call) publish(ctx context.Context) (Receipt, error) {
	for {
		pause, err := c.publishOnce(ctx)
		if err != nil {
			return Receipt{}, err
		}
		if c.stored {
			return c.receipt, nil
		}
		if _, err := c.await(ctx, pause); !errors.Is(err, errSilence) {
			return Receipt{}, err
		}
	}
}

// publishOnce publishes the command and returns after what silence to do so again, or
// the error with which to give up.
func (c *call) publishOnce(ctx context.Context) (time.Duration, error) {
	if err := c.client.ended(ctx); err != nil {
		return 0, c.giveUp(err)
	}
	// Published without waiting, and waited for at once: that costs less than a request.
	future, err := c.client.stream.PublishMsgAsync(c.message, once)
	if err != nil && c.client.conn.IsClosed() {
		err = nats.ErrConnectionClosed // of which nats.go may tell no more than the text
	}
	if err != nil {
		return c.notTaken(ctx, err)
	}
	select {
	case ack := <-future.Ok():
		return c.taken(ack), nil
	case err = <-future.Err():
	case <-ctx.Done():
		err = ctx.Err()
	}
	return c.notTaken(ctx, err)
}

// trace begins the span of the publish, if the client traces and the publisher does not.
func (c *call) trace(ctx context.Context, command volume.Command) {
	if c.client.options.trace == nil || command.TraceParent != "" {
		return
	}
	var traceParent string
	traceParent, c.endTrace = c.client.options.trace(ctx, command)
	setHeader(c.message, HeaderTraceParent, readTraceParent(traceParent))
}

// traced ends the span of the publish, the first time.
func (c *call) traced(err error) {
	if c.endTrace != nil {
		c.endTrace(err)
		c.endTrace = nil
	}
}

// taken notes that the stream has the command.
func (c *call) taken(ack *jetstream.PubAck) time.Duration {
	c.traced(nil)
	// The duplicate of a message that this call did not send is somebody else's, and
	// the answer to it goes there: publish again as soon as the stream takes it.
	foreign := ack.Duplicate && !c.uncertain
	c.receipt = Receipt{CommandID: c.id, Sequence: ack.Sequence, Duplicate: ack.Duplicate}
	c.stored, c.failures, c.refusedSince = true, 0, time.Time{}
	if foreign {
		c.duplicates++
		return grow(afterDedupe, c.client.options.resendAfter, c.duplicates-1)
	}
	c.uncertain = true // from here on it may be carried out
	pause := grow(c.client.options.resendAfter, maxResendAfter, c.resends)
	c.resends++
	return pause
}

// notTaken decides what a failed publish means.
func (c *call) notTaken(ctx context.Context, err error) (time.Duration, error) {
	switch {
	case ctx.Err() != nil:
		c.uncertain = true
		return 0, c.giveUp(ctx.Err())
	case errors.Is(err, nats.ErrConnectionClosed), errors.Is(err, nats.ErrConnectionDraining):
		return 0, c.giveUp(fmt.Errorf("%w: %w", err, volume.Unavailable))
	case isRefusal(err):
		return c.refused(err)
	}
	c.uncertain, c.refusedSince = true, time.Time{}
	return c.backoff(), nil
}

// refused gives up when the server has said no for too long.
func (c *call) refused(err error) (time.Duration, error) {
	now := time.Now()
	if c.refusedSince.IsZero() {
		c.refusedSince = now
	}
	if now.Sub(c.refusedSince) >= c.client.options.unavailableAfter {
		return 0, c.giveUp(fmt.Errorf("%w: %w", err, volume.Unavailable))
	}
	return c.backoff(), nil
}

// isRefusal reports whether the server answered that it did not store the message: there
// is no stream, or the stream cannot take it now. Any other error leaves that open.
func isRefusal(err error) bool {
	_, told := errors.AsType[*jetstream.APIError](err)
	return told || errors.Is(err, jetstream.ErrNoStreamResponse)
}

// backoff returns a growing wait, of which half is random so that many clients do not
// come back at once.
func (c *call) backoff() time.Duration {
	wait := grow(minBackoff, maxBackoff, c.failures)
	c.failures++
	return wait/2 + rand.N(wait/2)
}

// grow doubles first the given number of times, up to limit if that is longer.
func grow(first, limit time.Duration, times int) time.Duration {
	wait := first
	for ; times > 0 && wait < limit; times-- {
		wait = min(2*wait, limit)
	}
	return wait
}

// await waits for the answer, and passes events on meanwhile. It returns errSilence
// when neither an answer nor an event came for the given time.
func (c *call) await(ctx context.Context, silence time.Duration) (Reply, error) {
	timer := time.NewTimer(silence)
	defer timer.Stop()
	for {
		select {
		case reply := <-c.replies:
			c.drainEvents()
			return reply, nil
		case msg := <-c.events:
			if c.pass(msg) && c.stored {
				timer.Reset(silence)
			}
		case <-timer.C:
			return Reply{}, errSilence
		case <-c.client.done:
			return c.answeredOr(c.giveUp(ErrClientClosed))
		case <-ctx.Done():
			return c.answeredOr(c.giveUp(ctx.Err()))
		}
	}
}

// answeredOr returns the answer if it has come meanwhile, and err if not.
func (c *call) answeredOr(err error) (Reply, error) {
	select {
	case reply := <-c.replies:
		c.drainEvents()
		return reply, nil
	default:
		return Reply{}, err
	}
}

// giveUp returns the error of a call that ends without an answer.
func (c *call) giveUp(cause error) error {
	if c.uncertain || c.stored {
		return &PendingError{CommandID: c.id, Key: c.key, Cause: cause}
	}
	return fmt.Errorf("publish command %s to volume %s: %w", c.id, c.key, cause)
}
