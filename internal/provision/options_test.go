package provision_test

import (
	"errors"
	"reflect"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/nats-io/nats.go/jetstream"

	"github.com/jetvol/jetvol/commands"
	"github.com/jetvol/jetvol/events"
	"github.com/jetvol/jetvol/internal/natstest"
	"github.com/jetvol/jetvol/internal/provision"
	"github.com/jetvol/jetvol/kv"
	"github.com/jetvol/jetvol/volume"
)

func TestConfigs_Replicas(t *testing.T) {
	for given, want := range map[int]int{0: 1, 1: 1, 3: 3, 5: 5} {
		for _, config := range provision.Configs(provision.Options{Replicas: given}) {
			if config.Replicas != want || config.Storage != jetstream.FileStorage {
				t.Errorf("replicas %d: got %d of %s on %s, want %d", given, config.Replicas, config.Name, config.Storage, want)
			}
		}
	}
}

// TestApply_OutcomeRetention_ZeroKeeps: an operator's choice is kept by who has none.
func TestApply_OutcomeRetention_ZeroKeeps(t *testing.T) {
	const stream = "KV_" + kv.OutcomesBucket
	for _, retention := range []time.Duration{time.Minute, 30 * 24 * time.Hour} {
		js := natstest.Start(t).JetStream(t)
		apply(t, js, provision.Options{OutcomeRetention: retention})
		for _, options := range []provision.Options{{}, {Update: true}} {
			if report := apply(t, js, options); len(report.Differences)+len(report.Updated) != 0 {
				t.Errorf("retention %s, %+v: got %v, updated %q", retention, options, report.Differences, report.Updated)
			}
			if got := configOf(t, js, stream).MaxAge; got != retention {
				t.Errorf("got retention %s, want %s", got, retention)
			}
		}
	}
}

func TestApply_OutcomeRetention_Changed(t *testing.T) {
	const stream = "KV_" + kv.OutcomesBucket
	js := natstest.Start(t).JetStream(t)
	apply(t, js, provision.Options{})
	wanted := provision.Options{OutcomeRetention: 24 * time.Hour}
	if report := apply(t, js, wanted); len(report.Differences) != 1 || report.Differences[0].Field != "max_age" {
		t.Errorf("got %v, want the retention", report.Differences)
	}
	wanted.Update = true
	apply(t, js, wanted)
	if got := configOf(t, js, stream).MaxAge; got != 24*time.Hour {
		t.Errorf("got retention %s, want 24h", got)
	}
}

// TestApply_Update_KeepsMetadata: other tools mark streams with it.
func TestApply_Update_KeepsMetadata(t *testing.T) {
	js := startWith(t, events.StreamName, func(c *jetstream.StreamConfig) {
		c.Metadata = map[string]string{"owner": "storage team"}
		c.Description = "ours"
	})
	apply(t, js, provision.Options{Update: true})
	config := configOf(t, js, events.StreamName)
	if config.Metadata["owner"] != "storage team" || config.Description == "ours" {
		t.Errorf("got metadata %v, description %q", config.Metadata, config.Description)
	}
}

// TestCompare_ReplicasAreTunable: they are an operator's choice; see replicas_test.go.
func TestCompare_ReplicasAreTunable(t *testing.T) {
	differences, err := provision.Compare(events.StreamConfig(3), events.StreamConfig(1))
	if err != nil || len(differences) != 1 || differences[0].Field != "num_replicas" || differences[0].Fatal {
		t.Fatalf("got %v, %v", differences, err)
	}
	if got, want := differences[0].String(), "stream VOLUME_EVENTS: num_replicas is 1, wanted 3"; got != want {
		t.Errorf("got %q, want %q", got, want)
	}
}

func TestCompare_EveryConfigEqualsItself(t *testing.T) {
	for _, config := range provision.Configs(provision.Options{Replicas: 3}) {
		if differences, err := provision.Compare(config, config); err != nil || len(differences) != 0 {
			t.Errorf("%s: got %v, %v", config.Name, differences, err)
		}
	}
}

func TestReport_Fatal_ListsAll(t *testing.T) {
	report := provision.Report{Differences: []provision.Difference{
		{Stream: "A", Field: "max_age", Wanted: nil, Existing: 1, Fatal: true},
		{Stream: "B", Field: "description", Wanted: "x", Existing: "y"},
		{Stream: "C", Field: "deny_purge", Wanted: true, Existing: nil, Fatal: true},
	}}
	err := report.Fatal()
	for text, want := range map[string]bool{"stream A: max_age is 1": true, "stream B": false, "stream C: deny_purge is null, wanted true": true} {
		if err == nil || strings.Contains(err.Error(), text) != want {
			t.Errorf("got %v, want %q in it: %v", err, text, want)
		}
	}
	if err := (provision.Report{}).Fatal(); err != nil {
		t.Errorf("got %v, want nothing", err)
	}
}

// TestApply_DryRun_TellsAndChangesNothing: of one stream that differs and of all others, which
// are missing.
func TestApply_DryRun_TellsAndChangesNothing(t *testing.T) {
	differing := func(c *jetstream.StreamConfig) { c.Description, c.MaxBytes = "ours", 1<<30 }
	for _, update := range []bool{false, true} {
		js := startWith(t, events.StreamName, differing)
		before := configOf(t, js, events.StreamName)
		report := apply(t, js, provision.Options{DryRun: true, Update: update})
		told := report.Existing
		if update {
			told = report.Updated
		}
		if !slices.Equal(told, []string{events.StreamName}) || (len(report.Differences) == 2) == update || len(report.Created) != len(allStreams)-1 {
			t.Errorf("update %t: got %+v, want all but %s to be made", update, report, events.StreamName)
		}
		if after := configOf(t, js, events.StreamName); !reflect.DeepEqual(after, before) {
			t.Errorf("update %t: got the stream changed from %+v to %+v", update, before, after)
		}
		var there []string
		names := js.StreamNames(testContext(t))
		for name := range names.Name() {
			there = append(there, name)
		}
		if names.Err() != nil || !slices.Equal(there, []string{events.StreamName}) {
			t.Errorf("update %t: got streams %q (%v), want none made", update, there, names.Err())
		}
	}
}

// A stored command keeps its partition: another count of partitions would hide it.
func TestApply_Update_RefusesToRenameStoredCommands(t *testing.T) {
	js := natstest.Start(t).JetStream(t)
	old := commands.StreamConfig(1)
	old.SubjectTransform.Destination = strings.Replace(old.SubjectTransform.Destination, "partition(16,", "partition(8,", 1)
	if _, err := js.CreateStream(testContext(t), old); err != nil {
		t.Fatal(err)
	}
	key := volume.Key{Project: "default", Name: "db-01"}
	if _, err := js.Publish(testContext(t), commands.Subject(key, volume.VerbDelete), nil); err != nil {
		t.Fatal(err)
	}
	if _, err := provision.Apply(testContext(t), js, provision.Options{Update: true}); !errors.Is(err, volume.ErrPreconditionFailed) {
		t.Errorf("with a command stored: got %v, want %v", err, volume.ErrPreconditionFailed)
	}
	stream, err := js.Stream(testContext(t), commands.StreamName)
	if err != nil {
		t.Fatal(err)
	}
	if err := stream.Purge(testContext(t)); err != nil {
		t.Fatal(err)
	}
	if report := apply(t, js, provision.Options{Update: true}); len(report.Updated) != 1 {
		t.Errorf("empty: got %+v, want it updated", report)
	}
}

func TestDifference_Durations_AreReadable(t *testing.T) {
	for want, d := range map[string]provision.Difference{
		"stream A: max_age is 1h0m0s, wanted null": {Stream: "A", Field: "max_age", Existing: 3.6e12},
		"stream A: max_bytes is 3600, wanted -1":   {Stream: "A", Field: "max_bytes", Existing: 3600.0, Wanted: -1.0},
	} {
		if got := d.String(); got != want {
			t.Errorf("got %q, want %q", got, want)
		}
	}
}
