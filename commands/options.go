package commands

import (
	"context"
	"time"

	"github.com/jetvol/jetvol/volume"
)

// Defaults of a [Client].
const (
	DefaultPublishTimeout   = 2 * time.Second
	DefaultResendAfter      = 5 * time.Second
	DefaultUnavailableAfter = 15 * time.Second
)

// maxResendAfter bounds the growing time between repeats of one command.
const maxResendAfter = time.Minute

// The wait before a publish that the server did not take is tried again grows from
// minBackoff to maxBackoff.
const (
	minBackoff = 50 * time.Millisecond
	maxBackoff = 2 * time.Second
)

// afterDedupe is how long to wait until the stream takes a message with an id that it
// has just seen.
const afterDedupe = DedupeWindow + DedupeWindow/2

type options struct {
	publishTimeout   time.Duration
	resendAfter      time.Duration
	unavailableAfter time.Duration
	trace            Trace
}

// Option changes a default of a [Client].
type Option func(*options)

// WithPublishTimeout sets how long one publish waits for the stream's acknowledgement
// before it is repeated.
func WithPublishTimeout(timeout time.Duration) Option {
	return func(o *options) { o.publishTimeout = timeout }
}

// WithResendAfter sets how long [Client.Do] waits for a sign of life of a stored command
// before it publishes it again with the same ID. The time doubles with each repeat, up
// to a minute or the given time if that is longer.
func WithResendAfter(silence time.Duration) Option {
	return func(o *options) { o.resendAfter = silence }
}

// WithUnavailableAfter sets how long the server may refuse a command, because there is
// no stream or it has no leader, before the client gives up.
func WithUnavailableAfter(limit time.Duration) Option {
	return func(o *options) { o.unavailableAfter = limit }
}

// Trace begins a span for a command that is about to be published. It returns its trace
// context in the form of W3C's traceparent, empty for none, and what is called once when
// the stream has the command, or with the error with which it was given up.
type Trace func(ctx context.Context, command volume.Command) (traceParent string, end func(error))

// WithTrace has the publish of each command traced by the caller's means: this package
// knows no tracing library. A request that has a TraceParent of its own is left alone.
func WithTrace(trace Trace) Option {
	return func(o *options) { o.trace = trace }
}

func newOptions(changes []Option) (options, error) {
	o := options{
		publishTimeout:   DefaultPublishTimeout,
		resendAfter:      DefaultResendAfter,
		unavailableAfter: DefaultUnavailableAfter,
	}
	for _, change := range changes {
		change(&o)
	}
	if o.publishTimeout <= 0 || o.resendAfter <= 0 || o.unavailableAfter <= 0 {
		return options{}, volume.Errorf(volume.ErrInvalidArgument, "command client: every duration must be more than 0")
	}
	return o, nil
}
