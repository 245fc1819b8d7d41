package query

import (
	"context"
	"errors"
	"time"

	"github.com/jetvol/jetvol/fsm"
	"github.com/jetvol/jetvol/kv"
	"github.com/jetvol/jetvol/volume"
	"github.com/jetvol/jetvol/worker/ownership"
)

// Explanation says what goes on with a volume: who holds it, what is done to it, what
// waits, what stands in the way, and what would help. It is worked out from the record,
// the leases and the streams; the owner is not asked, so it tells of a dead one too.
type Explanation struct {
	Project volume.Project `json:"project"`
	Volume  volume.Name    `json:"volume"`
	ID      volume.ID      `json:"id,omitempty"` // empty if there never was such a volume
	// State is empty if there is no record.
	State      volume.State `json:"state,omitempty"`
	Generation uint64       `json:"generation"`
	Backend    string       `json:"backend,omitempty"`
	Nodes      []string     `json:"nodes,omitempty"` // that hold the volume
	UpdatedAt  time.Time    `json:"updated_at,omitzero"`

	Owner     Owner      `json:"owner"`
	Operation *Operation `json:"operation,omitempty"`
	// Queue are the commands that are not decided yet, oldest first, at most [MaxQueue];
	// QueueTotal counts all.
	Queue      []Queued `json:"queue"`
	QueueTotal uint64   `json:"queue_total"`
	// Blockers are what the last failure named.
	Blockers []volume.Blocker `json:"blockers,omitempty"`
	// Refused is why the last command failed or was rejected; nothing if it succeeded.
	Refused *Refused `json:"refused,omitempty"`
	// Drift is how the backend differs, by the record or else by what sweeps have found.
	Drift *volume.Drift `json:"drift,omitempty"`
	// Orphan is what a backend has under the name and no record knows.
	Orphan *Orphan `json:"orphan,omitempty"`
	// DeadLetters counts the messages that tell of unreadable commands to the volume.
	DeadLetters uint64      `json:"dead_letters"`
	Advice      []Advice    `json:"advice"`
	Consistency Consistency `json:"consistency"`
}

// Key returns the key of the volume.
func (e Explanation) Key() volume.Key { return volume.Key{Project: e.Project, Name: e.Volume} }

// Owner is the worker that acted on a volume last, and who would act now.
type Owner struct {
	Worker   string `json:"worker,omitempty"` // empty if nobody has
	Instance string `json:"instance,omitempty"`
	Epoch    uint64 `json:"epoch"`
	Alive    bool   `json:"alive"` // that very instance has a lease
	// Partition is that of the volume's commands, and PartitionOwner takes them now.
	Partition      int    `json:"partition"`
	PartitionOwner string `json:"partition_owner,omitempty"`
}

// Step is what an operation is at.
type Step string

// The steps.
const (
	StepFence   Step = "fence"   // a new owner has to fence the former one at the backend
	StepBackend Step = "backend" // the backend is called
	StepWait    Step = "wait"    // an attempt has failed, the next one has its time
	StepSettle  Step = "settle"  // it ends: the backend is asked what it has
	StepGiveUp  Step = "give_up" // it ends as failed
)

// steps are the names of what package fsm says.
var steps = map[fsm.StepKind]Step{
	fsm.StepAct: StepBackend, fsm.StepWait: StepWait, fsm.StepSettle: StepSettle, fsm.StepGiveUp: StepGiveUp,
}

// Operation is a command under way.
type Operation struct {
	Verb        volume.Verb      `json:"verb"`
	CommandID   volume.CommandID `json:"command_id"`
	Actor       string           `json:"actor,omitempty"`
	Step        Step             `json:"step"`
	Attempt     int              `json:"attempt"`
	MaxAttempts int              `json:"max_attempts"` // of a worker with the retry policy of the one that answers
	Since       time.Time        `json:"since"`
	Deadline    time.Time        `json:"deadline,omitzero"`
	LastError   *volume.Failure  `json:"last_error,omitempty"`
	NextRetryAt time.Time        `json:"next_retry_at,omitzero"`
	Progress    *volume.Progress `json:"progress,omitempty"`
}

// Refused is the last command of a volume, if it did not succeed.
type Refused struct {
	CommandID volume.CommandID `json:"command_id"`
	Verb      volume.Verb      `json:"verb"`
	Result    volume.Result    `json:"outcome"`
	Failure   volume.Failure   `json:"error"`
}

// Explain says what goes on with a volume; see [Reader].
func (l *Local) Explain(ctx context.Context, request ExplainRequest) (Explanation, error) {
	if err := request.Validate(); err != nil {
		return Explanation{}, err
	}
	key := request.key()
	entry, err := l.records.ByKey(ctx, key)
	missing := errors.Is(err, kv.ErrNotFound)
	if err != nil && !missing {
		return Explanation{}, err
	}
	leases, err := l.live(ctx)
	if err != nil {
		return Explanation{}, err
	}
	s := situation{
		Explanation: explained(key, entry.Value, l.retry), record: entry.Value,
		workers: len(leases), now: l.now(),
	}
	s.lookAt(leases)
	if s.Queue, s.QueueTotal, err = l.queue(ctx, key, entry.Value.CommandSequence); err != nil {
		return Explanation{}, err
	}
	if s.DeadLetters, err = l.deadLetters(ctx, key); err != nil {
		return Explanation{}, err
	}
	if err := l.addFindings(ctx, &s.Explanation, entry.Value); err != nil {
		return Explanation{}, err
	}
	if missing && s.QueueTotal == 0 && s.DeadLetters == 0 && s.Orphan == nil {
		return Explanation{}, volume.Errorf(volume.ErrVolumeNotFound, "explain volume %s", key)
	}
	s.Advice = s.advise()
	return s.Explanation, nil
}

// explained is what the record alone says.
func explained(key volume.Key, r volume.Record, retry fsm.RetryPolicy) Explanation {
	e := Explanation{
		Project: key.Project, Volume: key.Name, ID: r.ID, State: r.State, Generation: r.Generation,
		Backend: r.Backend, UpdatedAt: r.UpdatedAt, Drift: r.Drift, Consistency: Leader,
		Owner:     Owner{Worker: r.Owner.Worker, Instance: r.Owner.Instance, Epoch: r.Owner.Epoch, Partition: partitionOf(key)},
		Operation: operationOf(r, retry), Queue: []Queued{}, Advice: []Advice{},
	}
	for _, holder := range r.Attachments {
		e.Nodes = append(e.Nodes, string(holder.Node))
	}
	if last := len(r.Outcomes) - 1; last >= 0 && r.Outcomes[last].Failure != nil {
		o := r.Outcomes[last]
		e.Refused = &Refused{CommandID: o.CommandID, Verb: o.Verb, Result: o.Result, Failure: *o.Failure}
		e.Blockers = o.Failure.BlockedBy
	}
	if e.Operation != nil {
		e.Refused, e.Blockers = nil, nil
		if failure := e.Operation.LastError; failure != nil {
			e.Blockers = failure.BlockedBy
		}
	}
	return e
}

func operationOf(r volume.Record, retry fsm.RetryPolicy) *Operation {
	if r.Op == nil {
		return nil
	}
	operation := Operation{
		Verb: r.Op.Verb, CommandID: r.Op.CommandID, Actor: r.Op.Actor, Step: steps[fsm.NextStep(r).Kind],
		Attempt: r.Op.Attempt, MaxAttempts: retry.MaxAttempts, Since: r.Op.StartedAt, Deadline: r.Op.Deadline,
		LastError: r.Op.Failure, NextRetryAt: r.Op.NextRetryAt,
	}
	if r.Owner.Fencing {
		operation.Step = StepFence
	}
	// The event of the latest write is in the outbox until the next one.
	if last := len(r.Outbox) - 1; last >= 0 {
		operation.Progress = r.Outbox[last].Progress
	}
	return &operation
}

// lookAt notes who lives.
func (s *situation) lookAt(leases []ownership.Lease) {
	s.Owner.PartitionOwner = ownerOf(leases, s.Owner.Partition)
	for _, lease := range leases {
		if lease.Worker == s.Owner.Worker && lease.Instance == s.Owner.Instance {
			s.Owner.Alive = true
		}
	}
}
