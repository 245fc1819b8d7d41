package nodes

import (
	"cmp"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"maps"
	"slices"
	"sync"

	"golang.org/x/sync/errgroup"

	"github.com/jetvol/jetvol/commands"
	"github.com/jetvol/jetvol/kv"
	"github.com/jetvol/jetvol/volume"
)

const (
	// atOnce is how many volumes are waited for at a time.
	atOnce = 64
	// maxRounds is how often volumes are taken from a node that attaches them again.
	maxRounds = 5
)

// GoneRequest says which node is gone, and how that is known.
type GoneRequest struct {
	Node volume.Node
	// Reason is required; see [volume.ValidateReason].
	Reason string
	// Project, if set, is the only one whose volumes are taken.
	Project volume.Project
	// ID makes the ids of the commands. The same ID again goes on where a call that was
	// given up, or whose process died, came to: what was answered before is not done again.
	// Required, and at most [MaxIDLength] bytes.
	ID    volume.CommandID
	Actor string
	// Told, if set, is called with the answer of each volume, one at a time.
	Told func(Taken)
}

// MaxIDLength is the greatest length of the ID of a [GoneRequest], in bytes: the ids made
// from it are longer.
const MaxIDLength = 100

// Taken is a volume with the answer to its node_gone.
type Taken struct {
	Holding
	Reply commands.Reply
	Err   error // of an answer that is no success
}

// Report is how a [Client.Gone] ended.
type Report struct {
	// Taken has the latest answer of every volume that a command was sent to, by volume.
	Taken []Taken
	// Doubtful are volumes in error whose records do not name the node. It may hold one
	// nevertheless, if an attach got through before it failed: reconcile them, or send them
	// a node_gone by name.
	Doubtful []volume.Key
}

// HeldError says that volumes could not be taken from a node: their commands failed or were
// refused, or the node attached them again and again. It unwraps to the commands' errors.
type HeldError struct {
	Node   volume.Node
	Held   []Holding
	causes []error
}

// Error names the first of the volumes, and why.
func (e *HeldError) Error() string {
	text := fmt.Sprintf("node %s still holds %d volumes, %s among them", e.Node, len(e.Held), e.Held[0].Key)
	if len(e.causes) > 0 {
		text += ": " + e.causes[0].Error()
	}
	return text
}

// Unwrap returns the errors of the commands.
func (e *HeldError) Unwrap() []error { return e.causes }

// Client takes volumes from nodes. It is safe for concurrent use.
type Client struct {
	records  kv.Volumes
	commands *commands.Client
}

// New returns a client that reads the records and sends its commands by the given client.
func New(records kv.Volumes, client *commands.Client) *Client {
	return &Client{records: records, commands: client}
}

// Gone sends a node_gone to every volume that the node holds or is just getting, waits for
// the answers, and looks again until none is left. Volumes are taken beside each other, and
// one that fails does not hold up the others. It returns, beside the report of what was
// done:
//
//   - a [*volume.Error] of class InvalidArgument for an invalid request, of which nothing
//     was sent: above all one without a reason;
//   - a [*HeldError] if the node holds volumes still;
//   - an error of [kv.Bucket.List], also for records that cannot be read: whether the node
//     holds those volumes is not known;
//   - the error of [commands.Client.Do] if an answer did not come, as when ctx ends.
//
// A node that attaches a volume while this goes on has it taken again, a few times.
func (c *Client) Gone(ctx context.Context, request GoneRequest) (Report, error) {
	if err := request.Validate(); err != nil {
		return Report{}, err
	}
	run := &run{client: c, request: request, taken: map[volume.Key]Taken{}, ended: map[volume.Key]bool{}}
	err := run.untilNoneIsLeft(ctx)
	return run.report(), err
}

// Validate returns a [*volume.Error] of class InvalidArgument for the first fault of the
// request.
func (r GoneRequest) Validate() error {
	if err := cmp.Or(r.Node.Validate(), volume.ValidateReason(r.Reason), r.ID.Validate()); err != nil {
		return err
	}
	if len(r.ID) > MaxIDLength {
		return volume.Errorf(volume.ErrInvalidCommandID, "id of %d bytes: at most %d", len(r.ID), MaxIDLength)
	}
	if r.Project == "" {
		return nil
	}
	return volume.Key{Project: r.Project, Name: "any"}.Validate()
}

// run is one call of Gone.
type run struct {
	client  *Client
	request GoneRequest

	mu       sync.Mutex // guards all below
	taken    map[volume.Key]Taken
	ended    map[volume.Key]bool // volumes that are not tried again
	fresh    bool                // this round carried something out
	doubtful []volume.Key
}

// untilNoneIsLeft takes the volumes in rounds. The id of a command is made of the request's
// and the round's number, so that an earlier call with the same ID is followed answer by
// answer, and new commands begin where it has none.
func (r *run) untilNoneIsLeft(ctx context.Context) error {
	for round, worked := 1, 0; ; round++ {
		seen, err := look(ctx, r.client.records, Filter{Node: r.request.Node, Project: r.request.Project})
		if err != nil && seen.holdings == nil {
			return err
		}
		r.doubtful, r.fresh = seen.doubtful, false
		open := slices.DeleteFunc(slices.Clone(seen.holdings), func(h Holding) bool { return r.ended[h.Key] })
		if len(open) == 0 || worked == maxRounds {
			return errors.Join(r.stillHeld(seen.holdings), err)
		}
		if err := r.take(ctx, open, round); err != nil {
			return err
		}
		if r.fresh {
			worked++
		}
	}
}

// take sends the round's command to each volume and waits for the answers.
func (r *run) take(ctx context.Context, open []Holding, round int) error {
	var volumes errgroup.Group
	volumes.SetLimit(atOnce)
	for _, h := range open {
		volumes.Go(func() error {
			reply, err := r.client.commands.Do(ctx, commands.Request{
				Key: h.Key, Verb: volume.VerbNodeGone, ID: commandID(r.request.ID, round, h.Key), Actor: r.request.Actor,
				Args: volume.Args{Node: r.request.Node, Reason: r.request.Reason},
			})
			if reply.Outcome == "" {
				return err
			}
			r.answered(Taken{Holding: h, Reply: reply, Err: err})
			return nil
		})
	}
	return volumes.Wait()
}

// commandID makes the id of a volume's command in a round. An id is a volume's own, but the
// stream drops a message whose id it has just seen with another volume.
func commandID(request volume.CommandID, round int, key volume.Key) volume.CommandID {
	sum := sha256.Sum256([]byte(key.String()))
	return volume.CommandID(fmt.Sprintf("%s/%d/%s", request, round, hex.EncodeToString(sum[:6])))
}

// answered notes an answer. A failure ends the volume, unless it is that of an earlier call:
// this one was made to try again.
func (r *run) answered(t Taken) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.taken[t.Key] = t
	if !t.Reply.Repeat {
		r.fresh = true
		r.ended[t.Key] = t.Err != nil
	}
	if r.request.Told != nil {
		r.request.Told(t)
	}
}

func (r *run) stillHeld(held []Holding) error {
	if len(held) == 0 {
		return nil
	}
	failure := &HeldError{Node: r.request.Node, Held: held}
	for _, h := range held {
		if err := r.taken[h.Key].Err; err != nil {
			failure.causes = append(failure.causes, err)
		}
	}
	return failure
}

func (r *run) report() Report {
	taken := slices.SortedFunc(maps.Values(r.taken), func(a, b Taken) int { return cmp.Compare(a.Key.String(), b.Key.String()) })
	return Report{Taken: taken, Doubtful: r.doubtful}
}
