package doctor

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"

	"github.com/jetvol/jetvol/commands"
	"github.com/jetvol/jetvol/internal/provision"
	"github.com/jetvol/jetvol/kv"
	"github.com/jetvol/jetvol/worker/ownership"
)

// Subjects of the JetStream API, below its prefix.
const (
	apiAccount   = "INFO"
	apiStream    = "STREAM.INFO."
	apiMessage   = "STREAM.MSG.GET."
	apiConsumers = "CONSUMER.LIST."
)

// codeNotEnabled are the server's words for an account without JetStream.
var codesNotEnabled = map[jetstream.ErrorCode]bool{10039: true, 10076: true}

// examination is what was asked once, for all checks.
type examination struct {
	Options
	session
	js      jetstream.JetStream
	openErr error

	account   asked[jetstream.AccountInfo]
	streams   map[string]asked[jetstream.StreamInfo]
	consumers asked[consumerList]
	leases    []kv.Entry[ownership.Lease]
	leasesErr error
}

// consumerList is a page of the consumers of a stream.
type consumerList struct {
	Total     int                       `json:"total"`
	Consumers []*jetstream.ConsumerInfo `json:"consumers"`
}

func (e *examination) gather(ctx context.Context) {
	e.account = ask[jetstream.AccountInfo](ctx, e, apiAccount, nil)
	e.streams = map[string]asked[jetstream.StreamInfo]{}
	if !e.hasJetStream() {
		return
	}
	for _, config := range provision.Configs(provision.Options{}) {
		e.streams[config.Name] = ask[jetstream.StreamInfo](ctx, e, apiStream+config.Name, nil)
	}
	e.consumers = e.listConsumers(ctx)
	e.leases, e.leasesErr = e.readLeases(ctx)
}

// hasJetStream reports whether JetStream answers. A user who may not ask for the account may
// ask for other things.
func (e *examination) hasJetStream() bool {
	return e.openErr == nil && (e.account.err == nil || errors.Is(e.account.err, errRefused))
}

// listConsumers asks for all pages.
func (e *examination) listConsumers(ctx context.Context) asked[consumerList] {
	var all asked[consumerList]
	for {
		page := ask[consumerList](ctx, e, apiConsumers+commands.StreamName,
			map[string]int{"offset": len(all.value.Consumers)})
		if page.err != nil {
			return page
		}
		all.value.Consumers = append(all.value.Consumers, page.value.Consumers...)
		if len(page.value.Consumers) == 0 || len(all.value.Consumers) >= page.value.Total {
			return all
		}
	}
}

// readLeases reads the lease of each worker, as the stream's leader has it. Leases that
// cannot be read are left out and told by the error.
func (e *examination) readLeases(ctx context.Context) ([]kv.Entry[ownership.Lease], error) {
	const stream = "KV_" + kv.LeasesBucket
	prefix := "$KV." + kv.LeasesBucket + "."
	info := ask[jetstream.StreamInfo](ctx, e, apiStream+stream, map[string]string{"subjects_filter": prefix + ">"})
	if info.err != nil {
		return nil, info.err
	}
	bucket := kv.Open[ownership.Lease](e.js, kv.LeasesBucket)
	var leases []kv.Entry[ownership.Lease]
	var unreadable []error
	for _, subject := range slices.Sorted(maps.Keys(info.value.State.Subjects)) {
		lease, err := bucket.Get(ctx, strings.TrimPrefix(subject, prefix))
		switch {
		case err == nil:
			leases = append(leases, lease)
		case errors.Is(err, kv.ErrNotFound): // it ran out meanwhile
		case kv.Unreadable(err):
			unreadable = append(unreadable, err)
		default:
			return nil, err
		}
	}
	return leases, errors.Join(unreadable...)
}

// message is one that a stream holds, as the server's API tells it.
type message struct {
	Message struct {
		Subject  string    `json:"subject"`
		Sequence uint64    `json:"seq"`
		Header   []byte    `json:"hdrs"`
		Data     []byte    `json:"data"`
		Time     time.Time `json:"time"`
	} `json:"message"`
}

func (m message) header() nats.Header {
	header, err := nats.DecodeHeadersMsg(m.Message.Header)
	if err != nil {
		return nats.Header{}
	}
	return header
}

// messageAt returns the stream's message with the sequence.
func (e *examination) messageAt(ctx context.Context, stream string, sequence uint64) asked[message] {
	return ask[message](ctx, e, apiMessage+stream, map[string]uint64{"seq": sequence})
}

// firstMessage returns the oldest message of the stream that matches the filter.
func (e *examination) firstMessage(ctx context.Context, stream, filter string) asked[message] {
	return ask[message](ctx, e, apiMessage+stream, map[string]any{"seq": 1, "next_by_subj": filter})
}

// bucketOf returns "bucket volumes" for KV_volumes and "stream X" for any other.
func objectOf(stream string) string {
	if bucket, is := strings.CutPrefix(stream, "KV_"); is {
		return "bucket " + bucket
	}
	return "stream " + stream
}

// why returns an error as a finding tells it.
func why(err error) string {
	switch {
	case errors.Is(err, errRefused), errors.Is(err, kv.ErrUnauthorized):
		return "this user may not ask"
	case errors.Is(err, context.DeadlineExceeded), errors.Is(err, nats.ErrTimeout):
		return "no answer in time"
	case errors.Is(err, nats.ErrNoResponders):
		return "nobody answers"
	}
	return fmt.Sprint(err)
}
