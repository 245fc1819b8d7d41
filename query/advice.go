package query

import (
	"fmt"
	"slices"
	"time"

	"github.com/jetvol/jetvol/volume"
)

// Advice is what an operator would want to know of a situation, and what to do about it.
type Advice struct {
	// Situation names the row of the table: it is for programs, and only ever added to.
	Situation string `json:"situation"`
	Text      string `json:"text"`
	// Command would help; empty if there is nothing to do but wait.
	Command string `json:"command,omitempty"`
}

// situation is what advice is given on.
type situation struct {
	Explanation
	record  volume.Record
	workers int // that live
	now     time.Time
}

// rule is one row of the table: what is told when.
type rule struct {
	name    string
	applies func(*situation) bool
	text    func(*situation) string
	command func(*situation) string // nil: wait
}

// advise returns what all rules say that apply, in the order of the table.
func (s *situation) advise() []Advice {
	told := []Advice{}
	for _, r := range rules {
		if !r.applies(s) {
			continue
		}
		one := Advice{Situation: r.name, Text: r.text(s)}
		if r.command != nil {
			one.Command = r.command(s)
		}
		told = append(told, one)
	}
	if len(told) == 0 {
		told = append(told, Advice{Situation: "settled", Text: "nothing is under way and nothing waits"})
	}
	return told
}

// rules is the table, the most pressing first.
var rules = []rule{
	{
		"no_worker", (*situation).deserted,
		func(*situation) string { return "no worker lives: nothing is carried out until one starts" },
		always("jetvol worker"),
	},
	{
		"owner_dead", (*situation).orphaned, orphanText,
		watching,
	},
	{
		"partition_unowned", func(s *situation) bool {
			return s.workers > 0 && s.Owner.PartitionOwner == "" && s.QueueTotal > 0
		},
		func(s *situation) string {
			return fmt.Sprintf("nobody takes the commands of partition %d yet: a live worker will within seconds", s.Owner.Partition)
		},
		always("jetvol workers"),
	},
	{
		"fencing", func(s *situation) bool { return s.Operation != nil && s.Operation.Step == StepFence },
		func(s *situation) string {
			return fmt.Sprintf("worker %s has taken over and fences the former owner at backend %s first", s.Owner.Worker, s.Backend)
		},
		nil,
	},
	{
		"running", (*situation).running, runningText, onVolume("jetvol volume cancel %s"),
	},
	{
		"waiting_retry", func(s *situation) bool { return s.Operation != nil && s.Operation.Step == StepWait },
		waitingText, onVolume("jetvol volume cancel %s"),
	},
	{
		"backend_unavailable", func(s *situation) bool { return s.failedWith(volume.ErrBackendUnavailable) },
		func(s *situation) string { return fmt.Sprintf("backend %s does not answer", s.Backend) },
		always("jetvol backends"),
	},
	{
		"blocked_by_watcher", blockedBy(volume.BlockedByWatcher),
		blockText(volume.BlockedByWatcher, "a client still has the volume open (%s); if its node is dead, have it fenced"),
		func(s *situation) string {
			node := "NODE"
			if len(s.Nodes) > 0 {
				node = s.Nodes[0]
			}
			return fmt.Sprintf(`jetvol volume node-gone %s --node %s --reason "…"`, s.Key(), node)
		},
	},
	{
		"blocked_by_node", blockedBy(volume.BlockedByNode),
		blockText(volume.BlockedByNode, "it is held by %s; have it detached, or fenced if the node is dead"),
		func(s *situation) string {
			return fmt.Sprintf("jetvol volume detach %s --node %s", s.Key(), s.blockers(volume.BlockedByNode)[0])
		},
	},
	{
		"blocked_by_snapshot", blockedBy(volume.BlockedBySnapshot),
		blockText(volume.BlockedBySnapshot, "its snapshots %s have to be deleted first"),
		func(s *situation) string {
			return fmt.Sprintf("jetvol snapshot delete %s@%s", s.Key(), s.blockers(volume.BlockedBySnapshot)[0])
		},
	},
	{
		"blocked_by_child", blockedBy(volume.BlockedByChild),
		blockText(volume.BlockedByChild, "the clones %s still need it; one that is flattened does not"),
		func(s *situation) string {
			return fmt.Sprintf("jetvol -p %s volume flatten %s", s.Project, s.blockers(volume.BlockedByChild)[0])
		},
	},
	{
		"queued", func(s *situation) bool { return s.QueueTotal > 0 && s.workers > 0 },
		queuedText, watching,
	},
	{
		"error", in(volume.StateError),
		func(*situation) string {
			return "an operation was given up; reconcile compares the record with the backend and settles it"
		},
		onVolume("jetvol volume reconcile %s"),
	},
	{
		"never_created", func(s *situation) bool { return s.State == volume.StatePending && s.Generation == 0 },
		func(*situation) string { return "there is no such volume: no command has made one yet" },
		onVolume("jetvol volume create %s --size SIZE"),
	},
	{
		"pending", func(s *situation) bool { return s.State == volume.StatePending && s.Generation > 0 },
		func(*situation) string { return "the backend has nothing of it: create it again, or delete the name" },
		func(s *situation) string {
			return fmt.Sprintf("jetvol volume create %s --size %s", s.Key(), s.record.Size)
		},
	},
	{
		"half_restored", func(s *situation) bool { return s.record.HalfRestored != "" && s.Operation == nil },
		func(s *situation) string {
			return fmt.Sprintf("its content is half that of snapshot %s: no node gets it until a restore ends", s.record.HalfRestored)
		},
		func(s *situation) string {
			return fmt.Sprintf("jetvol snapshot restore %s@%s", s.Key(), s.record.HalfRestored)
		},
	},
	{
		"drifted", func(s *situation) bool { return s.Drift != nil },
		func(s *situation) string { return "the backend differs from the record: " + s.Drift.String() },
		onVolume("jetvol drift show %s"),
	},
	{
		"orphan", func(s *situation) bool { return s.Orphan != nil },
		func(s *situation) string {
			return fmt.Sprintf("there is an object of this name without a record: %s", s.Orphan)
		},
		onVolume("jetvol drift show %s"),
	},
	{
		"rejected", func(s *situation) bool { return s.Refused != nil && len(s.Blockers) == 0 },
		func(s *situation) string {
			return fmt.Sprintf("the last command, %s %s, was %s: %s", s.Refused.Verb, s.Refused.CommandID, s.Refused.Result, s.Refused.Failure.Message)
		},
		nil,
	},
	{
		"dead_letters", func(s *situation) bool { return s.DeadLetters > 0 },
		func(*situation) string { return "commands to it could not be read and lie among the dead letters" },
		always("jetvol dead list"),
	},
	{
		"deleted", in(volume.StateDeleted),
		func(*situation) string { return "it was deleted; a create begins a new life of the name" },
		onVolume("jetvol volume create %s --size SIZE"),
	},
}

func always(command string) func(*situation) string {
	return func(*situation) string { return command }
}

// onVolume returns a command with the volume's key in it.
func onVolume(format string) func(*situation) string {
	return func(s *situation) string { return fmt.Sprintf(format, s.Key()) }
}

func watching(s *situation) string {
	return fmt.Sprintf("jetvol -p %s events --volume %s --follow", s.Project, s.Volume)
}

func in(state volume.State) func(*situation) bool {
	return func(s *situation) bool { return s.State == state }
}

// deserted reports whether there is work and nobody to do it.
func (s *situation) deserted() bool {
	return s.workers == 0 && (s.Operation != nil || s.QueueTotal > 0)
}

// orphaned reports whether an operation was begun by a worker that is gone while others live.
func (s *situation) orphaned() bool { return s.workers > 0 && s.Operation != nil && !s.Owner.Alive }

func orphanText(s *situation) string {
	text := fmt.Sprintf("worker %s, which began it, is gone; ", s.Owner.Worker)
	if s.Owner.PartitionOwner == "" {
		return text + fmt.Sprintf("a live worker takes over partition %d within seconds and goes on", s.Owner.Partition)
	}
	return text + fmt.Sprintf("worker %s has taken over partition %d and goes on", s.Owner.PartitionOwner, s.Owner.Partition)
}

// running reports whether the owner is at the operation at this moment.
func (s *situation) running() bool {
	return s.Operation != nil && s.Owner.Alive && s.Operation.Step != StepWait && s.Operation.Step != StepFence
}

func runningText(s *situation) string {
	op := s.Operation
	text := fmt.Sprintf("worker %s is at it, attempt %d, for %s", s.Owner.Worker, op.Attempt, s.since(op.Since))
	if op.Progress != nil && op.Progress.Total > 0 {
		text += fmt.Sprintf(", %d of %d done", op.Progress.Done, op.Progress.Total)
	}
	return text
}

func waitingText(s *situation) string {
	op := s.Operation
	text := fmt.Sprintf("attempt %d of %d failed", op.Attempt, op.MaxAttempts)
	if op.LastError != nil {
		text += " with " + string(op.LastError.Code)
	}
	if !op.NextRetryAt.After(s.now) {
		return text + ", the next one is due"
	}
	return text + fmt.Sprintf(", the next one follows in %s", op.NextRetryAt.Sub(s.now).Round(time.Millisecond))
}

func queuedText(s *situation) string {
	behind := "to be taken"
	if s.Operation != nil {
		behind = "for " + string(s.Operation.Verb)
	}
	if s.QueueTotal == 1 {
		return "1 command waits " + behind
	}
	return fmt.Sprintf("%d commands wait %s", s.QueueTotal, behind)
}

func (s *situation) since(t time.Time) time.Duration {
	return max(s.now.Sub(t), 0).Round(time.Millisecond)
}

// failedWith reports whether the last attempt, or the last command, failed with the code.
func (s *situation) failedWith(code volume.Code) bool {
	if s.Operation != nil {
		return s.Operation.LastError != nil && s.Operation.LastError.Code == code
	}
	return s.Refused != nil && s.Refused.Failure.Code == code
}

func blockedBy(kind volume.BlockerKind) func(*situation) bool {
	return func(s *situation) bool { return len(s.blockers(kind)) > 0 }
}

// blockers returns the names of what blocks, of one kind.
func (s *situation) blockers(kind volume.BlockerKind) []string {
	var names []string
	for _, one := range s.Blockers {
		if one.Kind == kind {
			names = append(names, one.Name)
		}
	}
	return names
}

// maxNamed is how many blockers a text names.
const maxNamed = 5

func blockText(kind volume.BlockerKind, format string) func(*situation) string {
	return func(s *situation) string {
		names := s.blockers(kind)
		if more := len(names) - maxNamed; more > 0 {
			names = append(slices.Clone(names[:maxNamed]), fmt.Sprintf("and %d more", more))
		}
		return fmt.Sprintf(format, list(names))
	}
}
