package quotas

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/nats-io/nats.go/jetstream"
	"github.com/nats-io/nuid"

	"github.com/jetvol/jetvol/commands"
	"github.com/jetvol/jetvol/kv"
	"github.com/jetvol/jetvol/volume"
	"github.com/jetvol/jetvol/worker/ownership"
)

// Client sets quotas and looks at them. It is safe for concurrent use.
type Client struct {
	js      jetstream.JetStream
	ledgers *kv.Bucket[Ledger]
	records kv.Volumes
	leases  *kv.Bucket[ownership.Lease]
}

// New returns a client. It calls no server.
func New(js jetstream.JetStream) *Client {
	return &Client{
		js: js, ledgers: kv.Open[Ledger](js, kv.QuotasBucket), records: kv.NewVolumes(js),
		leases: kv.Open[ownership.Lease](js, kv.LeasesBucket),
	}
}

// Get returns the ledger of a project, as the leader has it. It returns [ErrNoQuota] if
// there is none, and the errors of [kv.Bucket.Get].
func (c *Client) Get(ctx context.Context, project volume.Project) (Ledger, error) {
	entry, err := c.get(ctx, project)
	return entry.Value, err
}

func (c *Client) get(ctx context.Context, project volume.Project) (kv.Entry[Ledger], error) {
	if err := validate(project); err != nil {
		return kv.Entry[Ledger]{}, err
	}
	entry, err := c.ledgers.Get(ctx, string(project))
	if errors.Is(err, kv.ErrNotFound) {
		return entry, fmt.Errorf("project %s: %w", project, ErrNoQuota)
	}
	return entry, err
}

func validate(project volume.Project) error {
	return volume.Key{Project: project, Name: "any"}.Validate()
}

// List returns all ledgers, by project. It returns the errors of [kv.Bucket.ListCurrent].
func (c *Client) List(ctx context.Context) ([]Ledger, error) {
	entries, _, err := c.ledgers.ListCurrent(ctx, ">")
	ledgers := make([]Ledger, 0, len(entries))
	for _, entry := range entries {
		ledgers = append(ledgers, entry.Value)
	}
	slices.SortFunc(ledgers, func(a, b Ledger) int { return strings.Compare(string(a.Project), string(b.Project)) })
	return ledgers, err
}

// SetRequest says which limits a project gets.
type SetRequest struct {
	Project volume.Project
	// Change returns the limits from those that there are, none at first.
	Change func(Limits) Limits
	Actor  string
}

// Set gives a project limits and returns its ledger. They may be below what is used: then
// nothing more is allowed. The first time it derives what is used from the records, for
// which it waits until all live workers have told that they reserve; the quota is in force
// when it returns. It may be repeated, and goes on where it was broken off. It returns
//
//   - a [volume.ErrInvalidArgument] or [volume.ErrInvalidName] for a wrong request;
//   - an [*UnseenError] if a worker does not tell before ctx ends: nothing is refused then;
//   - the errors of [kv.Bucket.CompareAndSet].
func (c *Client) Set(ctx context.Context, r SetRequest) (Ledger, error) {
	if err := validate(r.Project); err != nil {
		return Ledger{}, err
	}
	l, err := c.change(ctx, r)
	if err != nil || !l.Deriving {
		return l, err
	}
	if err := c.awaitWorkers(ctx, r.Project); err != nil {
		return l, err
	}
	return c.derive(ctx, r.Project, nil)
}

// Preview returns the ledger that [Client.Set] would store first, and stores nothing: a new one
// has no ID yet and is Deriving. It returns the errors of a wrong request that Set returns, and
// those of [kv.Bucket.Get].
func (c *Client) Preview(ctx context.Context, r SetRequest) (Ledger, error) {
	entry, err := c.next(ctx, r)
	return entry.Value, err
}

// change stores the limits, in a new ledger if there is none.
func (c *Client) change(ctx context.Context, r SetRequest) (Ledger, error) {
	for range maxConflicts {
		entry, err := c.next(ctx, r)
		if err != nil {
			return Ledger{}, err
		}
		l := entry.Value
		if l.ID == "" {
			l.ID = nuid.Next()
		}
		_, err = c.ledgers.CompareAndSet(ctx, string(r.Project), l, entry.Revision)
		if !errors.Is(err, kv.ErrConflict) {
			return l, err
		}
	}
	return Ledger{}, fmt.Errorf("set quota of project %s: %w", r.Project, errRestless)
}

// next returns the ledger with its limits changed, and the revision that it has to be at.
func (c *Client) next(ctx context.Context, r SetRequest) (kv.Entry[Ledger], error) {
	entry, err := c.get(ctx, r.Project)
	l := &entry.Value
	if errors.Is(err, ErrNoQuota) {
		*l = Ledger{SchemaVersion: SchemaVersion, Project: r.Project, Deriving: true}
	} else if err != nil {
		return kv.Entry[Ledger]{}, err
	}
	l.Limits, l.SetBy, l.SetAt = r.Change(l.Limits), r.Actor, time.Now().UTC().Round(0)
	if err := l.Limits.Validate(); err != nil {
		return kv.Entry[Ledger]{}, err
	}
	return entry, nil
}

// Clear takes the quota of a project away. It returns [ErrNoQuota] if there is none, and
// the errors of [kv.Bucket.Delete].
func (c *Client) Clear(ctx context.Context, project volume.Project) error {
	for range maxConflicts {
		entry, err := c.get(ctx, project)
		if err != nil {
			return err
		}
		err = c.ledgers.Delete(ctx, string(project), entry.Revision)
		if !errors.Is(err, kv.ErrConflict) {
			return err
		}
	}
	return fmt.Errorf("clear quota of project %s: %w", project, errRestless)
}

// workersLook is how often the workers are looked at while they are waited for.
const workersLook = 20 * time.Millisecond

// awaitWorkers returns when all live workers have told that they reserve by the ledger.
func (c *Client) awaitWorkers(ctx context.Context, project volume.Project) error {
	var waited []string
	for {
		unseen, err := c.unseen(ctx, project)
		if ctx.Err() != nil && len(waited) > 0 {
			return &UnseenError{Project: project, Workers: waited}
		}
		if err != nil || len(unseen) == 0 {
			return err
		}
		waited = unseen
		_ = pause(ctx, workersLook) // its end shows at the next look
	}
}

// unseen returns the live workers that have not told yet that they reserve.
func (c *Client) unseen(ctx context.Context, project volume.Project) ([]string, error) {
	// The leases first: a worker whose lease comes later finds the ledger by itself.
	leases, _, err := c.leases.ListCurrent(ctx, ownership.LeaseKey(">"))
	if err != nil {
		return nil, err
	}
	l, err := c.Get(ctx, project)
	if err != nil || !l.Deriving {
		return nil, err
	}
	var unseen []string
	for _, lease := range leases {
		if !sees(l, lease.Value.Instance) {
			unseen = append(unseen, lease.Value.Worker)
		}
	}
	return unseen, nil
}

// commandGone reports whether a command is not in its stream any more.
func (c *Client) commandGone(ctx context.Context, e Entry) (bool, error) {
	stream, err := c.js.Stream(ctx, commands.StreamName)
	if err != nil {
		return false, fmt.Errorf("look up command %s: %w: %w", e.CommandID, volume.Unavailable, err)
	}
	_, err = stream.GetMsg(ctx, e.Sequence)
	if errors.Is(err, jetstream.ErrMsgNotFound) {
		return true, nil
	}
	if err != nil {
		return false, fmt.Errorf("look up command %s: %w: %w", e.CommandID, volume.Unavailable, err)
	}
	return false, nil
}
