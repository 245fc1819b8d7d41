package verify

import (
	"fmt"
	"slices"
	"strings"
	"testing"

	"github.com/jetvol/jetvol/backends"
	"github.com/jetvol/jetvol/fsm"
	"github.com/jetvol/jetvol/volume"
)

// assume ends the history with a record of a worker that took the name for new: that of an earlier
// life has run out, after its answers had moved to their bucket. It was stored and its event not.
func (h *history) assume() Evidence {
	outcomes := h.record.Outcomes
	e := h.rest()
	e.Outcomes[db01] = outcomes
	fresh := historyOf(h.t, db01)
	fresh.now, fresh.sequence = h.now, h.sequence+1
	decision, err := fsm.Decide(fresh.record, fresh.request("late", volume.VerbCreate, volume.Args{Size: volume.MiB}), fresh.tick())
	if err != nil {
		h.t.Fatal(err)
	}
	decision.Record.Assumed = true
	e.Records[db01] = decision.Record
	return e
}

// lived returns what a name went through before its tombstone ran out.
func lived(t *testing.T, verbs ...volume.Verb) *history {
	h := newHistory(t)
	for i, verb := range verbs {
		args := volume.Args{}
		if verb == volume.VerbCreate {
			args.Size = volume.MiB
		}
		h.command(volume.CommandID(fmt.Sprint("c", i)), verb, args)
	}
	return h
}

func TestAll_AssumedRecordOverAnEarlierLife_NoFault(t *testing.T) {
	for name, verbs := range map[string][]volume.Verb{
		"a refusal": {volume.VerbDelete},
		"one life":  {volume.VerbCreate, volume.VerbDelete},
	} {
		t.Run(name, func(t *testing.T) {
			if faults := All(lived(t, verbs...).assume()); len(faults) > 0 {
				t.Errorf("got faults:\n%s", lines(faults))
			}
		})
	}
}

func TestChecks_PlantedViolationOfAssumed_IsFound(t *testing.T) {
	whole := []volume.Verb{volume.VerbCreate, volume.VerbDelete}
	for _, test := range []struct {
		name  string
		verbs []volume.Verb
		check Check
		plant func(*Evidence)
		want  Class
		says  string
	}{
		{"the volume lives", whole[:1], Records, func(*Evidence) {}, Lost, "no record"},
		{"it does not say that it assumes", whole, Records, func(e *Evidence) {
			e.changeRecord(func(r *volume.Record) { r.Assumed = false })
		}, Stuck, "in state creating"},
		{"the assumption holds", whole, Records, func(e *Evidence) {
			e.Transitions = slices.Clone(e.Records[db01].Outbox)
		}, Stuck, "in state creating"},
		{"its event is not stored", whole, Records, func(e *Evidence) { e.Transitions = nil }, Lost, "not on the stream"},
		{"it has no event", whole, Records, func(e *Evidence) {
			e.changeRecord(func(r *volume.Record) { r.Outbox = nil })
		}, Stuck, "in state creating"},
		{"the tombstone is missing, and no record refuted", whole, Records, func(e *Evidence) { delete(e.Records, db01) }, Lost, "no record"},
		{"its object was made", whole, Backend, func(e *Evidence) {
			e.Objects = []backends.Object{{Ref: backends.Ref{Key: db01, ID: e.Records[db01].ID}}}
		}, Disagreement, "without a record"},
	} {
		t.Run(test.name, func(t *testing.T) {
			e := lived(t, test.verbs...).assume()
			test.plant(&e)
			faults := test.check(e)
			if !slices.ContainsFunc(faults, func(f Fault) bool {
				return f.Class == test.want && strings.Contains(f.String(), test.says)
			}) {
				t.Errorf("got faults:\n%s\nwant one that is %s and says %q", lines(faults), test.want, test.says)
			}
		})
	}
}
