package acceptance

import (
	"encoding/json"
	"fmt"
	"maps"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/jetvol/jetvol/commands"
	"github.com/jetvol/jetvol/events"
	"github.com/jetvol/jetvol/fsm"
	"github.com/jetvol/jetvol/internal/provision"
	"github.com/jetvol/jetvol/kv"
	"github.com/jetvol/jetvol/query"
	"github.com/jetvol/jetvol/snapshots"
	"github.com/jetvol/jetvol/volume"
)

// contract is the document whose tables are compared with the code.
func contract(t *testing.T) string { return readDocument(t, "subjects.md") }

func TestContract_Subjects(t *testing.T) {
	key := volume.Key{Project: "<project>", Name: "<volume>"}
	stored := commands.Address{Partition: 7, Key: key, Verb: "<verb>"}.Subject()
	// A name that is not fit for a dead letter's subject stands as "_" there.
	dead := commands.DeadSubject(commands.Address{Key: volume.Key{Project: "P", Name: "V"}, Verb: "x"})
	wantRows(t, tableBelow(t, contract(t), "## Subjects", "subject"), []string{
		commands.Subject(key, "<verb>"),
		strings.Replace(stored, ".7.", ".<partition>.", 1),
		events.PublishSubject(key, "<event>"),
		events.Subject(key, "<event>"),
		strings.NewReplacer(".P.", ".<project>.", "V.x", "<volume>.<verb>").Replace(dead),
		query.Endpoint("<question>").Subject(),
	})
}

func TestContract_Streams(t *testing.T) {
	configs := provision.Configs(provision.Options{})
	var names []string
	for _, c := range configs {
		names = append(names, c.Name)
	}
	rows := wantRows(t, tableBelow(t, contract(t), "## Streams and buckets", "stream"), names)
	for _, c := range configs {
		want := []string{strings.ToLower(c.Retention.String()), c.Duplicates.String()}
		if got := rows[c.Name][1:]; !slices.Equal(got, want) {
			t.Errorf("stream %s: got %q, want %q", c.Name, got, want)
		}
	}
}

func TestContract_Verbs(t *testing.T) {
	rows := wantRows(t, tableBelow(t, contract(t), "### Verbs", "verb"), volume.Verbs())
	for _, verb := range volume.Verbs() {
		required, optional := schemaFields(t, verb)
		row := rows[string(verb)]
		if got := words(row[0]); !slices.Equal(got, required) {
			t.Errorf("%s: required: got %q, want %q", verb, got, required)
		}
		if got := words(row[1]); !slices.Equal(got, optional) {
			t.Errorf("%s: optional: got %q, want %q", verb, got, optional)
		}
		if link := fmt.Sprintf("[%s](commands/schemas/%s.schema.json)", verb, verb); row[2] != link {
			t.Errorf("%s: schema: got %q, want %q", verb, row[2], link)
		}
	}
}

// schemaFields returns the fields of a verb's own, in order. Of some of which one is
// required it makes `a or b`.
func schemaFields(t *testing.T, verb volume.Verb) (required, optional []string) {
	t.Helper()
	data, err := commands.Schema(verb)
	if err != nil {
		t.Fatal(err)
	}
	var schema struct {
		Properties map[string]any `json:"properties"`
		Required   []string       `json:"required"`
		AnyOf      []struct {
			Required []string `json:"required"`
		} `json:"anyOf"`
	}
	if err := json.Unmarshal(data, &schema); err != nil {
		t.Fatal(err)
	}
	common := jsonNames(t, volume.Preconditions{
		IfState: volume.StateAvailable, IfGeneration: new(uint64), Deadline: time.Unix(0, 0), ValidateOnly: true,
	})
	var either []string
	for _, choice := range schema.AnyOf {
		either = append(either, choice.Required...)
	}
	for _, name := range slices.Sorted(maps.Keys(schema.Properties)) {
		if !slices.Contains(slices.Concat(common, schema.Required, either), name) {
			optional = append(optional, name)
		}
	}
	required = schema.Required
	if len(either) > 0 {
		required = append(required, strings.Join(either, " or "))
	}
	slices.Sort(required)
	return required, optional
}

func TestContract_Preconditions(t *testing.T) {
	wantRows(t, tableBelow(t, contract(t), "### Preconditions", "field"), jsonNames(t, volume.Preconditions{
		IfState: volume.StateAvailable, IfGeneration: new(uint64), Deadline: time.Unix(0, 0), ValidateOnly: true,
	}))
}

// jsonNames returns the names of a value's JSON members.
func jsonNames(t *testing.T, value any) []string {
	t.Helper()
	data, err := json.Marshal(value)
	if err != nil {
		t.Fatal(err)
	}
	var members map[string]any
	if err := json.Unmarshal(data, &members); err != nil {
		t.Fatal(err)
	}
	return slices.Sorted(maps.Keys(members))
}

func TestContract_Headers(t *testing.T) {
	wantRows(t, tableBelow(t, contract(t), "### Headers", "header"), []string{
		commands.HeaderID, commands.HeaderActor, commands.HeaderReply, commands.HeaderTraceParent,
	})
	wantRows(t, tableBelow(t, contract(t), "## Dead letters", "header"), []string{
		commands.HeaderDeadCode, commands.HeaderDeadClass, commands.HeaderDeadReason, commands.HeaderDeadSubject,
		commands.HeaderDeadSequence, commands.HeaderDeadTime, commands.HeaderDeadAttempts, commands.HeaderDeadPart,
		commands.HeaderDeadHeaders,
	})
}

func TestContract_DeadKinds(t *testing.T) {
	wantRows(t, tableBelow(t, contract(t), "### Given up by others", "kind"), commands.DeadKinds())
}

func TestContract_Errors(t *testing.T) {
	codes := volume.Codes()
	rows := wantRows(t, tableBelow(t, contract(t), "## Errors", "code"), slices.Collect(maps.Keys(codes)))
	for code, class := range codes {
		retryable := "no"
		if class.Retryable() {
			retryable = "yes"
		}
		if got, want := rows[string(code)][:2], []string{string(class), retryable}; !slices.Equal(got, want) {
			t.Errorf("%s: got %q, want %q", code, got, want)
		}
	}
	for _, row := range tableBelow(t, contract(t), "### Preconditions", "field") {
		if code := row[2]; code != "" && codes[volume.Code(code)] == "" {
			t.Errorf("%s: no such code %q", row[0], code)
		}
	}
}

func TestContract_Replies(t *testing.T) {
	wantRows(t, tableBelow(t, contract(t), "## Replies", "outcome"),
		[]volume.Result{volume.Succeeded, volume.Failed, volume.Rejected, volume.Valid})
	var names []string
	for _, row := range tableBelow(t, contract(t), "## Replies", "field") {
		names = append(names, words(row[0])...)
	}
	slices.Sort(names)
	want := jsonNames(t, commands.Reply{VolumeID: "v", State: volume.StateError, Failure: &volume.Failure{}, Eviction: &volume.Eviction{}, Snapshot: &volume.Snapshot{}, Image: "i", Plan: &volume.Plan{}})
	if !slices.Equal(names, want) {
		t.Errorf("the table has %q, a reply %q", names, want)
	}
}

func TestContract_Events(t *testing.T) {
	rows := wantRows(t, tableBelow(t, contract(t), "## Events", "event"), append(volume.Events(), volume.EventRejected))
	for _, event := range volume.Events() {
		var from []string
		for _, state := range volume.States() {
			if fsm.CanTransition(state, event) {
				from = append(from, string(state))
			}
		}
		slices.Sort(from)
		if got := words(rows[string(event)][0]); !slices.Equal(got, from) {
			t.Errorf("%s: from: got %q, want %q", event, got, from)
		}
	}
}

func TestContract_States(t *testing.T) {
	rows := wantRows(t, tableBelow(t, contract(t), "## States", "state"), volume.States())
	taken := verbsTaken(t)
	for _, state := range volume.States() {
		settled := "yes"
		if state.InProgress() {
			settled = "no"
		}
		row := rows[string(state)]
		if row[0] != settled {
			t.Errorf("%s: settled: got %q, want %q", state, row[0], settled)
		}
		if got := words(row[1]); !slices.Equal(got, taken[state]) {
			t.Errorf("%s: verbs: got %q, want %q", state, got, taken[state])
		}
	}
	unused := "has no record and accepts `" + strings.Join(taken[""], "` and `") + "`."
	if document := strings.ReplaceAll(contract(t), "\n", " "); !strings.Contains(document, unused) {
		t.Errorf("the document does not say that a name that was never used %q", unused)
	}
}

func TestContract_Record(t *testing.T) {
	var names []string
	for _, row := range tableBelow(t, contract(t), "## Records", "field") {
		names = append(names, words(row[0])...)
	}
	slices.Sort(names)
	want := jsonNames(t, volume.Record{
		ID: "v", CreatedAt: time.Unix(0, 0), Owner: volume.Owner{Epoch: 1}, Op: &volume.Op{}, Outcomes: []volume.Outcome{{}}, Spilled: 1, Reserved: 1,
		Outbox: []volume.Transition{{}}, EventHash: "h", Assumed: true,
		Spec: volume.Spec{
			Backend: "b", Labels: volume.Labels{"a": "b"}, Attachments: volume.Attachments{{}}, Drift: &volume.Drift{Differences: []volume.Difference{{}}},
			Source: volume.SnapshotKey{Volume: "b", Snapshot: "s"}, ReadOnly: true, Snapshots: 1, HalfRestored: "s",
		},
	})
	if !slices.Equal(names, want) {
		t.Errorf("the table has %q, a record %q", names, want)
	}
}

func TestContract_SnapshotEntries(t *testing.T) {
	var names []string
	for _, row := range tableBelow(t, contract(t), "## Snapshots and clones", "field") {
		names = append(names, words(row[0])...)
	}
	slices.Sort(names)
	want := append(jsonNames(t, struct {
		snapshots.Info
		snapshots.Usage
	}{
		snapshots.Info{Parent: snapshots.VolumeKey("v"), Labels: volume.Labels{"a": "b"}, VolumeSize: 1, RemovedBy: "w"},
		snapshots.Usage{Size: 1, Inodes: 1},
	}), "schema_version")
	slices.Sort(want)
	if !slices.Equal(names, want) {
		t.Errorf("the table has %q, an entry %q", names, want)
	}
}

func TestContract_Limits(t *testing.T) {
	rows := tableBelow(t, contract(t), "## Limits", "what").byFirst(t)
	for what, begins := range map[string]string{
		"payload":                   fmt.Sprintf("%d bytes", commands.MaxPayload),
		"nesting of JSON":           fmt.Sprintf("%d levels", commands.MaxDepth),
		"project, volume, snapshot": fmt.Sprintf("1 to %d of", volume.MaxNameLength),
		"node":                      fmt.Sprintf("1 to %d of", volume.MaxNodeLength),
		"command id":                fmt.Sprintf("%d bytes", volume.MaxCommandIDLength),
		"actor":                     fmt.Sprintf("%d bytes", commands.MaxActorLength),
		"reply subject":             fmt.Sprintf("%d bytes", commands.MaxReplyLength),
		"snapshots of a volume":     fmt.Sprint(volume.MaxSnapshots),
		"labels":                    fmt.Sprint(volume.MaxLabels),
		"label key":                 fmt.Sprintf("%d bytes", volume.MaxLabelKeyLength),
		"label value":               fmt.Sprintf("%d bytes", volume.MaxLabelValueLength),
		"size":                      fmt.Sprintf("1 byte to %s;", volume.MaxSize),
	} {
		if row := strings.Join(rows[what], ""); !strings.HasPrefix(row, begins) {
			t.Errorf("%s: got %q, want it to begin with %q", what, row, begins)
		}
	}
	document := contract(t)
	for _, fact := range []string{
		fmt.Sprintf("The latest %d answers stand", fsm.MaxOutcomes),
		fmt.Sprintf("stays %d days", int(kv.DefaultOutcomeRetention.Hours()/24)),
		fmt.Sprintf("within %d ms, without", commands.DedupeWindow.Milliseconds()),
		fmt.Sprintf("partition number (0 to %d)", commands.Partitions-1),
		fmt.Sprintf("(%d attempts in all, after %s and 1 s)", fsm.DefaultRetryPolicy().MaxAttempts, "500 ms"),
	} {
		if !strings.Contains(strings.ReplaceAll(document, "\n", " "), fact) {
			t.Errorf("the document does not say %q", fact)
		}
	}
}
