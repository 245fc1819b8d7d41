package query

import (
	"context"
	"errors"
	"sync"

	"github.com/nats-io/nats.go"
)

// fallback asks the first reader until nobody answers it, and from then on the second.
type fallback struct {
	first, second Reader
	note          func()

	mu     sync.Mutex
	nobody bool // guarded by mu
}

// WithFallback returns a reader that asks first, and once that says [ErrNobodyAnswers]
// only second. Note is called at that moment.
func WithFallback(first, second Reader, note func()) Reader {
	return &fallback{first: first, second: second, note: note}
}

func either[Q, A any](
	ctx context.Context, f *fallback, request Q, question func(Reader, context.Context, Q) (A, error),
) (answer A, err error) {
	if !f.given() {
		answer, err = question(f.first, ctx, request)
		if !errors.Is(err, ErrNobodyAnswers) || ctx.Err() != nil {
			return answer, err
		}
		f.giveUp()
	}
	return question(f.second, ctx, request)
}

func (f *fallback) given() bool {
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.nobody
}

func (f *fallback) giveUp() {
	f.mu.Lock()
	defer f.mu.Unlock()
	if !f.nobody {
		f.nobody = true
		f.note()
	}
}

func (f *fallback) Get(ctx context.Context, request GetRequest) (GetReply, error) {
	return either(ctx, f, request, Reader.Get)
}

func (f *fallback) List(ctx context.Context, request ListRequest) (ListReply, error) {
	return either(ctx, f, request, Reader.List)
}

func (f *fallback) Explain(ctx context.Context, request ExplainRequest) (Explanation, error) {
	return either(ctx, f, request, Reader.Explain)
}

func (f *fallback) History(ctx context.Context, request HistoryRequest) (HistoryReply, error) {
	return either(ctx, f, request, Reader.History)
}

func (f *fallback) Workers(ctx context.Context) (WorkersReply, error) {
	return either(ctx, f, NoRequest{}, func(r Reader, ctx context.Context, _ NoRequest) (WorkersReply, error) { return r.Workers(ctx) })
}

func (f *fallback) Partitions(ctx context.Context) (PartitionsReply, error) {
	return either(ctx, f, NoRequest{}, func(r Reader, ctx context.Context, _ NoRequest) (PartitionsReply, error) { return r.Partitions(ctx) })
}

// silent reports whether a request ended without any answer.
func silent(err error) bool {
	return errors.Is(err, nats.ErrNoResponders) || errors.Is(err, nats.ErrTimeout) || errors.Is(err, context.DeadlineExceeded)
}
