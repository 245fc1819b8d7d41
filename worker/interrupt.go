package worker

import (
	"context"
	"errors"

	"github.com/jetvol/jetvol/fsm"
	"github.com/jetvol/jetvol/kv"
	"github.com/jetvol/jetvol/volume"
)

// interrupts reports whether a command may end others that are before it in its lane: a
// cancel, and a node_gone, which must not wait for all attempts of a detach that is busy
// because the node does not let go.
func interrupts(command volume.Command) bool {
	switch command.Verb {
	case volume.VerbCancel, volume.VerbNodeGone:
		return !command.ValidateOnly
	default:
		return false
	}
}

// readAhead lets an interrupting command reach its targets before the lane comes to the
// command itself. Only one that would be accepted now may do that: neither a repeat, whose
// targets have ended, nor one whose preconditions do not hold. While the server cannot be
// asked it tries again, as long as the command waits.
func (t *tenure) readAhead(ctx context.Context, d *delivery) {
	for t.holds(d) && ctx.Err() == nil {
		record, accepted, err := t.partition.worker.acceptsInterrupt(ctx, d.command())
		if err != nil {
			wait(ctx, maxBackoff)
			continue
		}
		if accepted {
			t.interrupt(d.command(), record)
		}
		return
	}
}

func (t *tenure) interrupt(by volume.Command, record volume.Record) {
	t.mu.Lock()
	defer t.mu.Unlock()
	if l := t.active[by.Key]; l != nil {
		l.interrupt(by, record)
	}
}

// acceptsInterrupt reports whether the command would be accepted now, by the stored record
// that it returns.
func (w *Worker) acceptsInterrupt(ctx context.Context, command volume.Command) (volume.Record, bool, error) {
	ctx, stop := context.WithTimeout(ctx, w.config.RequestTimeout)
	defer stop()
	entry, err := w.records.ByKey(ctx, command.Key)
	record := entry.Value
	if errors.Is(err, kv.ErrNotFound) {
		record, err = volume.Record{Key: command.Key, State: volume.StatePending}, nil
	}
	if err != nil {
		return record, false, err
	}
	if _, answered := record.Outcome(command.ID); answered || fsm.Admit(record, command, now()) != nil {
		return record, false, nil
	}
	if command.Verb == volume.VerbNodeGone && w.evictable(record, command) != nil {
		return record, false, nil
	}
	_, err = w.outcomes.Get(ctx, command.Key, command.ID)
	if errors.Is(err, kv.ErrNotFound) {
		return record, true, nil
	}
	return record, false, err
}

// interrupt ends the commands that another one is meant to end, running or still in the
// queue before it. The caller holds tenure.mu.
func (l *lane) interrupt(by volume.Command, record volume.Record) {
	targets, cause := l.targetsOf(by, record), cancelledBy(by)
	l.cancelMu.Lock()
	defer l.cancelMu.Unlock()
	for _, target := range targets {
		if l.cancelled == nil {
			l.cancelled = map[volume.CommandID]error{}
		}
		l.cancelled[target] = cause
		if target == l.running {
			l.stop(cause)
		}
	}
}

// targetsOf returns the commands before by that it is to end: of a cancel the one that it
// names, or else the one being carried out; of a node_gone every attach and detach of the
// node.
func (l *lane) targetsOf(by volume.Command, record volume.Record) []volume.CommandID {
	var targets []volume.CommandID
	for _, d := range append([]*delivery{l.current}, l.queue...) {
		switch {
		case d == nil:
		case d.Sequence >= by.Sequence:
			return targets
		case by.Verb == volume.VerbNodeGone:
			if concerns(d.command(), by.Args.Node, record) {
				targets = append(targets, d.command().ID)
			}
		case by.Args.Target == "", by.Args.Target == d.command().ID:
			return []volume.CommandID{d.command().ID}
		}
	}
	return targets
}

// concerns reports whether a command attaches the volume to the node or detaches it there.
func concerns(command volume.Command, node volume.Node, record volume.Record) bool {
	switch command.Verb {
	case volume.VerbAttach:
		return command.Args.Node == node
	case volume.VerbDetach:
		_, holds := record.Attachments.Of(node)
		return command.Args.Node == node || command.Args.Node == "" && holds
	default:
		return false
	}
}

func cancelledBy(by volume.Command) error {
	if by.Verb == volume.VerbNodeGone {
		return volume.Errorf(volume.ErrCancelled, "cancelled by command %s: node %s is gone", by.ID, by.Args.Node)
	}
	return volume.Errorf(volume.ErrCancelled, "cancelled by command %s", by.ID)
}
