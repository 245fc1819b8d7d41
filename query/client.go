package query

import (
	"context"
	"encoding/json"
	"fmt"
	"iter"
	"time"

	"github.com/nats-io/nats.go"

	"github.com/jetvol/jetvol/volume"
)

// DefaultTimeout bounds one question. It is longer than a worker takes for an answer.
const DefaultTimeout = 8 * time.Second

// Client asks the service. It is safe for concurrent use. Besides the errors of [Reader]
// every method returns [ErrNobodyAnswers] if there is no worker to ask.
type Client struct {
	conn    *nats.Conn
	timeout time.Duration
}

// Option changes a [Client].
type Option func(*Client)

// WithTimeout bounds each question, in place of [DefaultTimeout].
func WithTimeout(d time.Duration) Option { return func(c *Client) { c.timeout = d } }

// New returns a client on the connection, which stays the caller's.
func New(conn *nats.Conn, options ...Option) *Client {
	c := &Client{conn: conn, timeout: DefaultTimeout}
	for _, option := range options {
		option(c)
	}
	return c
}

// Get returns a volume; see [Reader].
func (c *Client) Get(ctx context.Context, request GetRequest) (GetReply, error) {
	return ask[GetReply](ctx, c, EndpointGet, request)
}

// List returns a page of volumes; see [Reader].
func (c *Client) List(ctx context.Context, request ListRequest) (ListReply, error) {
	return ask[ListReply](ctx, c, EndpointList, request)
}

// Explain says what goes on with a volume; see [Reader].
func (c *Client) Explain(ctx context.Context, request ExplainRequest) (Explanation, error) {
	return ask[Explanation](ctx, c, EndpointExplain, request)
}

// History returns events of a volume; see [Reader].
func (c *Client) History(ctx context.Context, request HistoryRequest) (HistoryReply, error) {
	return ask[HistoryReply](ctx, c, EndpointHistory, request)
}

// Workers returns the live workers; see [Reader].
func (c *Client) Workers(ctx context.Context) (WorkersReply, error) {
	return ask[WorkersReply](ctx, c, EndpointWorkers, NoRequest{})
}

// Partitions returns who takes the commands of each partition; see [Reader].
func (c *Client) Partitions(ctx context.Context) (PartitionsReply, error) {
	return ask[PartitionsReply](ctx, c, EndpointPartitions, NoRequest{})
}

// Capabilities says what can be asked of the worker that answers.
func (c *Client) Capabilities(ctx context.Context) (CapabilitiesReply, error) {
	return ask[CapabilitiesReply](ctx, c, EndpointCapabilities, NoRequest{})
}

// Backends returns the backends of the worker that answers, and how they are.
func (c *Client) Backends(ctx context.Context) (BackendsReply, error) {
	return ask[BackendsReply](ctx, c, EndpointBackends, NoRequest{})
}

// Health says how the worker that answers is.
func (c *Client) Health(ctx context.Context) (HealthReply, error) {
	return ask[HealthReply](ctx, c, EndpointHealth, NoRequest{})
}

func ask[A any](ctx context.Context, c *Client, endpoint Endpoint, request any) (answer A, err error) {
	ctx, cancel := context.WithTimeout(ctx, c.timeout)
	defer cancel()
	data, err := json.Marshal(request)
	if err != nil {
		return answer, volume.Errorf(volume.ErrInvalidArgument, "query %s: %w", endpoint, err)
	}
	m, err := c.conn.RequestWithContext(ctx, endpoint.Subject(), data)
	if err != nil {
		return answer, explainAsk(endpoint, err)
	}
	if err := errorOf(m); err != nil {
		return answer, err
	}
	// A newer worker may say more; what this program does not know is let pass.
	if err := json.Unmarshal(m.Data, &answer); err != nil {
		return answer, volume.Errorf(volume.ErrInvalidPayload, "query %s: reply: %w", endpoint, err)
	}
	return answer, nil
}

// UnreadableError says that records cannot be read. It comes after all others.
type UnreadableError struct{ Records []string }

// Error names the first of the records.
func (e *UnreadableError) Error() string {
	text := "records that cannot be read: " + e.Records[0]
	if more := len(e.Records) - 1; more > 0 {
		text += fmt.Sprintf(" and %d more", more)
	}
	return text + ": " + string(volume.Internal)
}

// Unwrap returns the class.
func (*UnreadableError) Unwrap() error { return volume.Internal }

// All returns every volume that the request asks for, page by page; its Limit is the size
// of a page. The sequence ends with an error if a page cannot be read, and with an
// [*UnreadableError] if there were records that cannot.
func All(ctx context.Context, reader Reader, request ListRequest) iter.Seq2[Stored, error] {
	return func(yield func(Stored, error) bool) {
		var unreadable []string
		for {
			page, err := reader.List(ctx, request)
			if err != nil {
				yield(Stored{}, err)
				return
			}
			for _, one := range page.Volumes {
				if !yield(one, nil) {
					return
				}
			}
			unreadable = append(unreadable, page.Unreadable...)
			if page.Next == 0 {
				break
			}
			request.After = page.Next
		}
		if len(unreadable) > 0 {
			yield(Stored{}, &UnreadableError{unreadable})
		}
	}
}

// All is [All] with the client as the reader.
func (c *Client) All(ctx context.Context, request ListRequest) iter.Seq2[Stored, error] {
	return All(ctx, c, request)
}
