package acceptance

import (
	"slices"
	"testing"
	"time"

	"github.com/jetvol/jetvol/fsm"
	"github.com/jetvol/jetvol/volume"
)

// verbsTaken asks the state machine which verbs a volume takes in each settled state, and under
// "" those of a name without a record. Cancel is not about the state. It fails the test if what
// is tried is too little to find out.
func verbsTaken(t *testing.T) map[volume.State][]string {
	t.Helper()
	taken := map[volume.State][]string{}
	fired := map[volume.Verb]map[volume.Event]bool{}
	for _, state := range append(volume.States(), "") {
		for _, verb := range volume.Verbs() {
			events := firedBy(state, verb)
			if len(events) == 0 {
				continue
			}
			taken[state] = append(taken[state], string(verb))
			if fired[verb] == nil {
				fired[verb] = map[volume.Event]bool{}
			}
			for _, event := range events {
				fired[verb][event] = true
			}
		}
		slices.Sort(taken[state])
	}
	for _, missed := range missed(taken, fired) {
		t.Error(missed)
	}
	return taken
}

// missed compares what was taken with the machine's table: a verb that fires an event anywhere
// is taken wherever the table lets that event lead out of a settled state.
func missed(taken map[volume.State][]string, fired map[volume.Verb]map[volume.Event]bool) (faults []string) {
	for _, verb := range volume.Verbs() {
		if verb != volume.VerbCancel && len(fired[verb]) == 0 {
			faults = append(faults, string(verb)+" was taken in no state")
		}
		for event := range fired[verb] {
			for _, state := range volume.States() {
				if !state.InProgress() && fsm.CanTransition(state, event) && !slices.Contains(taken[state], string(verb)) {
					faults = append(faults, string(verb)+" fires "+string(event)+", which leads out of "+string(state)+", and was not taken there")
				}
			}
		}
	}
	return faults
}

// firedBy returns the events by which volumes in a settled state, of each kind, take a verb.
func firedBy(state volume.State, verb volume.Verb) (events []volume.Event) {
	if state.InProgress() || verb == volume.VerbCancel {
		return nil
	}
	for _, record := range recordsIn(state) {
		for _, args := range argumentsOf(verb) {
			command := volume.Command{ID: "c", Key: record.Key, Verb: verb, Args: args}
			if args.Image != "" {
				command.Plan = &volume.Plan{Image: args.Image, Size: volume.MiB}
			}
			if decision, err := decided(record, command); err == nil {
				events = append(events, decision.Transition.Event)
			}
		}
	}
	return events
}

// recordsIn are a volume in that state, and a clone.
func recordsIn(state volume.State) []volume.Record {
	key := volume.Key{Project: "p", Name: "v"}
	if state == "" {
		return []volume.Record{{Key: key, State: volume.StatePending}}
	}
	plain := volume.Record{Key: key, ID: volume.NewID(key, 1), State: state, Generation: 9, Spec: volume.Spec{Size: volume.MiB}}
	if state == volume.StateAttached {
		plain.Attachments = volume.Attachments{{Node: "holder", Mode: volume.ReadOnly}}
	}
	clone := plain
	clone.Source = volume.SnapshotKey{Volume: "base", Snapshot: "gold"}
	return []volume.Record{plain, clone}
}

// argumentsOf are those with which a verb may be taken.
func argumentsOf(verb volume.Verb) []volume.Args {
	switch verb {
	case volume.VerbAdopt:
		return []volume.Args{{}, {Image: "web-disk"}}
	case volume.VerbAttach:
		return []volume.Args{{Node: "another", Mode: volume.ReadOnly}, {Node: "another", Mode: volume.ReadWrite}}
	}
	return []volume.Args{{Size: 2 * volume.MiB, Reason: "lost power"}}
}

// decided takes a command up; the backend has what the record says.
func decided(record volume.Record, command volume.Command) (fsm.Decision, error) {
	at := time.Unix(0, 0)
	decision, err := fsm.Decide(record, command, at)
	switch {
	case err != nil || decision.Action != fsm.ActionObserve:
		return decision, err
	case command.Verb == volume.VerbAdopt:
		return fsm.Adopt(record, command, volume.NewID(record.Key, 1), volume.Spec{Size: volume.MiB}, at)
	default:
		return fsm.Reconcile(record, command, fsm.Observation{Present: true, Size: record.Size, Attachments: record.Attachments}, at)
	}
}

// A verb that is never tried so that it is taken, or only in some states, is noticed.
func TestMissed_VerbNotTakenWhereTheTableLetsIt_Noticed(t *testing.T) {
	taken := map[volume.State][]string{}
	fired := map[volume.Verb]map[volume.Event]bool{}
	for _, verb := range volume.Verbs() {
		fired[verb] = map[volume.Event]bool{volume.EventRejected: true} // leads nowhere
	}
	if faults := missed(taken, fired); len(faults) > 0 {
		t.Errorf("got %q, want nothing", faults)
	}
	fired[volume.VerbUnmanage] = nil
	fired[volume.VerbDetach] = map[volume.Event]bool{volume.EventDetach: true}
	want := []string{"detach fires detach, which leads out of attached, and was not taken there", "unmanage was taken in no state"}
	faults := missed(taken, fired)
	slices.Sort(faults)
	if !slices.Equal(faults, want) {
		t.Errorf("got %q, want %q", faults, want)
	}
}
