package query

import (
	"context"
	"errors"
	"time"

	"github.com/nats-io/nats.go/jetstream"

	"github.com/jetvol/jetvol/fsm"
	"github.com/jetvol/jetvol/kv"
	"github.com/jetvol/jetvol/volume"
	"github.com/jetvol/jetvol/worker/ownership"
)

// Reader answers questions about volumes and workers: a [Client] by asking the service,
// a [Local] by reading buckets and streams.
//
// Every method returns an error of class [volume.InvalidArgument] for a request that
// makes no sense, [volume.Unavailable] if nobody answers or the store does not, and
// [volume.FailedPrecondition] for a store that the user may not read. All may be repeated
// freely.
type Reader interface {
	// Get returns a volume, by leader read. It returns [volume.ErrVolumeNotFound].
	Get(ctx context.Context, request GetRequest) (GetReply, error)
	// List returns a page of volumes; see [ListReply] for what a page is.
	List(ctx context.Context, request ListRequest) (ListReply, error)
	// Explain says what goes on with a volume. It returns [volume.ErrVolumeNotFound] if
	// there is none, no command to one is stored, and no backend has an orphan of the name.
	Explain(ctx context.Context, request ExplainRequest) (Explanation, error)
	// History returns events of a volume; none if there never was such a volume.
	History(ctx context.Context, request HistoryRequest) (HistoryReply, error)
	// Workers returns the live workers.
	Workers(ctx context.Context) (WorkersReply, error)
	// Partitions returns who takes the commands of each partition.
	Partitions(ctx context.Context) (PartitionsReply, error)
}

var (
	_ Reader = (*Local)(nil)
	_ Reader = (*Client)(nil)
)

// Local reads the buckets and streams itself. It is safe for concurrent use.
type Local struct {
	js      jetstream.JetStream
	records kv.Volumes
	leases  *kv.Bucket[ownership.Lease]
	retry   fsm.RetryPolicy
	now     func() time.Time
	// maxReply bounds the JSON of a reply, in bytes.
	maxReply int
}

// A reply has to fit into one message beside its headers, and what is not asked of the
// server does not have to be bounded less.
const (
	replyReserve    = 16 << 10
	defaultMaxReply = 1<<20 - replyReserve
)

// NewLocal returns a reader of what js reaches. The retry policy is that of the workers;
// the zero one is the default. It calls no server.
func NewLocal(js jetstream.JetStream, retry fsm.RetryPolicy) *Local {
	if retry == (fsm.RetryPolicy{}) {
		retry = fsm.DefaultRetryPolicy()
	}
	most := defaultMaxReply
	if size := js.Conn().MaxPayload(); size > replyReserve {
		most = int(size) - replyReserve
	}
	return &Local{
		js: js, records: kv.NewVolumes(js), leases: kv.Open[ownership.Lease](js, kv.LeasesBucket),
		retry: retry, now: func() time.Time { return time.Now().UTC() }, maxReply: most,
	}
}

// Get returns a volume; see [Reader].
func (l *Local) Get(ctx context.Context, request GetRequest) (GetReply, error) {
	if err := request.Validate(); err != nil {
		return GetReply{}, err
	}
	entry, err := l.read(ctx, request)
	if errors.Is(err, kv.ErrNotFound) || err == nil && !request.IncludeDeleted && !entry.Value.Exists() {
		return GetReply{}, volume.Errorf(volume.ErrVolumeNotFound, "get volume %s", request)
	}
	if err != nil {
		return GetReply{}, err
	}
	return GetReply{Volume: Stored{entry.Value, entry.Revision}, Consistency: Leader}, nil
}

func (l *Local) read(ctx context.Context, request GetRequest) (kv.Entry[volume.Record], error) {
	if request.ID != "" {
		return l.records.ByID(ctx, request.ID)
	}
	return l.records.ByKey(ctx, volume.Key{Project: request.Project, Name: request.Volume})
}

// String returns the id, or the volume's key.
func (r GetRequest) String() string {
	if r.ID != "" {
		return string(r.ID)
	}
	return volume.Key{Project: r.Project, Name: r.Volume}.String()
}
