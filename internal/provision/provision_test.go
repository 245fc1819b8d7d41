package provision_test

import (
	"context"
	"errors"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/nats-io/nats.go/jetstream"
	"go.uber.org/goleak"

	"github.com/jetvol/jetvol/commands"
	"github.com/jetvol/jetvol/events"
	"github.com/jetvol/jetvol/internal/natstest"
	"github.com/jetvol/jetvol/internal/provision"
	"github.com/jetvol/jetvol/kv"
	"github.com/jetvol/jetvol/volume"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

const testTimeout = 30 * time.Second

var allStreams = []string{
	commands.StreamName, commands.DeadLetterStreamName, events.StreamName, "KV_" + kv.VolumesBucket, "KV_" + kv.OutcomesBucket, "KV_" + kv.LeasesBucket, "KV_" + kv.SnapshotsBucket,
	"KV_" + kv.CheckpointsBucket,
	"KV_" + kv.DriftBucket,
	"KV_" + kv.QuotasBucket,
}

func testContext(t *testing.T) context.Context {
	t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), testTimeout)
	t.Cleanup(cancel)
	return ctx
}

func apply(t *testing.T, js jetstream.JetStream, options provision.Options) provision.Report {
	t.Helper()
	report, err := provision.Apply(testContext(t), js, options)
	if err != nil {
		t.Fatal(err)
	}
	return report
}

func configOf(t *testing.T, js jetstream.JetStream, name string) jetstream.StreamConfig {
	t.Helper()
	stream, err := js.Stream(testContext(t), name)
	if err != nil {
		t.Fatal(err)
	}
	return stream.CachedInfo().Config
}

// TestApply_Twice: that the second run finds no difference proves that the wanted
// settings spell out everything that the server fills in.
func TestApply_Twice(t *testing.T) {
	js := natstest.Start(t).JetStream(t)
	first := apply(t, js, provision.Options{})
	if !slices.Equal(first.Created, allStreams) || len(first.Existing)+len(first.Updated)+len(first.Differences) != 0 {
		t.Errorf("got %+v, want all of %q created", first, allStreams)
	}
	for _, options := range []provision.Options{{}, {Update: true}, {Replicas: 1}, {OutcomeRetention: kv.DefaultOutcomeRetention}} {
		again := apply(t, js, options)
		if !slices.Equal(again.Existing, allStreams) || len(again.Created)+len(again.Updated)+len(again.Differences) != 0 || again.Fatal() != nil {
			t.Errorf("%+v: got %+v, want all of %q as they are", options, again, allStreams)
		}
	}
}

// Events may age out behind checkpoints of an audit, but not while somebody still needs them.
func TestApply_RetentionOfEvents_LeftUnlessTooShort(t *testing.T) {
	js := natstest.Start(t).JetStream(t)
	apply(t, js, provision.Options{})
	for _, c := range []struct {
		age  time.Duration
		left bool
	}{{events.LeastRetention, true}, {90 * 24 * time.Hour, true}, {events.LeastRetention - time.Second, false}} {
		config := configOf(t, js, events.StreamName)
		config.MaxAge = c.age
		if _, err := js.UpdateStream(testContext(t), config); err != nil {
			t.Fatal(err)
		}
		if fatal := apply(t, js, provision.Options{}).Fatal(); (fatal == nil) != c.left {
			t.Errorf("%s: got %v, want it left: %v", c.age, fatal, c.left)
		}
		apply(t, js, provision.Options{Update: true})
		if got := configOf(t, js, events.StreamName).MaxAge; (got == c.age) != c.left {
			t.Errorf("%s: got %s after an update, want it left: %v", c.age, got, c.left)
		}
	}
}

func TestApply_MakesWhatIsMissing(t *testing.T) {
	js := natstest.Start(t).JetStream(t)
	apply(t, js, provision.Options{})
	if err := js.DeleteStream(testContext(t), commands.DeadLetterStreamName); err != nil {
		t.Fatal(err)
	}
	if report := apply(t, js, provision.Options{}); !slices.Equal(report.Created, []string{commands.DeadLetterStreamName}) || len(report.Existing) != len(allStreams)-1 {
		t.Errorf("got %+v", report)
	}
}

// departures are settings that an operator or another tool may have chosen.
var departures = []struct {
	name   string
	stream string
	field  string
	change func(*jetstream.StreamConfig)
	fatal  bool
	fixed  bool // the server lets --update change it
}{
	{"events are deleted after a while", events.StreamName, "max_age", func(c *jetstream.StreamConfig) { c.MaxAge = time.Hour }, true, true},
	{"old events make room", events.StreamName, "discard", func(c *jetstream.StreamConfig) { c.Discard = jetstream.DiscardOld }, true, true},
	{"events are limited in number", events.StreamName, "max_msgs", func(c *jetstream.StreamConfig) { c.MaxMsgs = 10 }, true, true},
	{"events can be purged", events.StreamName, "deny_purge", func(c *jetstream.StreamConfig) { c.DenyPurge = false }, true, true},
	{"events can be deleted", events.StreamName, "deny_delete", func(c *jetstream.StreamConfig) { c.DenyDelete = false }, true, true},
	{"events are read from followers", events.StreamName, "allow_direct", func(c *jetstream.StreamConfig) { c.AllowDirect = true }, true, true},
	{"events are not republished", events.StreamName, "republish", func(c *jetstream.StreamConfig) { c.RePublish = nil }, true, true},
	{"events in memory", events.StreamName, "storage", func(c *jetstream.StreamConfig) { c.Storage = jetstream.MemoryStorage }, true, false},
	{"records with a history", "KV_" + kv.VolumesBucket, "max_msgs_per_subject", func(c *jetstream.StreamConfig) { c.MaxMsgsPerSubject = 5 }, true, true},
	{"snapshots without batches", "KV_" + kv.SnapshotsBucket, "allow_atomic", func(c *jetstream.StreamConfig) { c.AllowAtomicPublish = false }, true, true},
	{"commands not partitioned", commands.StreamName, "subject_transform", func(c *jetstream.StreamConfig) { c.SubjectTransform = nil }, true, true},
	{"commands not a work queue", commands.StreamName, "retention", func(c *jetstream.StreamConfig) { c.Retention = jetstream.LimitsPolicy }, true, false},

	{"dead letters of no worker", commands.DeadLetterStreamName, "subjects", func(c *jetstream.StreamConfig) { c.Subjects = c.Subjects[1:] }, true, true},

	{"dead letters without advisories", commands.DeadLetterStreamName, "subjects", func(c *jetstream.StreamConfig) { c.Subjects = c.Subjects[:1] }, false, true},
	{"another description", events.StreamName, "description", func(c *jetstream.StreamConfig) { c.Description = "ours" }, false, true},
	{"a limit in bytes", events.StreamName, "max_bytes", func(c *jetstream.StreamConfig) { c.MaxBytes = 1 << 30 }, false, true},
	{"a limit of a message", commands.StreamName, "max_msg_size", func(c *jetstream.StreamConfig) { c.MaxMsgSize = 1 << 20 }, false, true},
	{"compressed", events.StreamName, "compression", func(c *jetstream.StreamConfig) { c.Compression = jetstream.S2Compression }, false, true},
	{"a longer duplicate window", events.StreamName, "duplicate_window", func(c *jetstream.StreamConfig) { c.Duplicates = time.Minute }, false, true},
}

// startWith returns a server on which one stream was made with other settings.
func startWith(t *testing.T, stream string, change func(*jetstream.StreamConfig)) jetstream.JetStream {
	t.Helper()
	js := natstest.Start(t).JetStream(t)
	for _, config := range provision.Configs(provision.Options{}) {
		if config.Name == stream {
			change(&config)
			if _, err := js.CreateStream(testContext(t), config); err != nil {
				t.Fatal(err)
			}
		}
	}
	return js
}

// TestApply_Difference_IsShownAndLeft: it is shown, with its weight, and nothing is changed.
func TestApply_Difference_IsShownAndLeft(t *testing.T) {
	for _, test := range departures {
		t.Run(test.name, func(t *testing.T) {
			js := startWith(t, test.stream, test.change)
			before := configOf(t, js, test.stream)
			report := apply(t, js, provision.Options{})
			if len(report.Differences) != 1 {
				t.Fatalf("got differences %v, want one", report.Differences)
			}
			d := report.Differences[0]
			if d.Stream != test.stream || d.Field != test.field || d.Fatal != test.fatal {
				t.Errorf("got %+v, want %s of %s, fatal %v", d, test.field, test.stream, test.fatal)
			}
			if err := report.Fatal(); (err != nil) != test.fatal || err != nil && (!errors.Is(err, volume.ErrInvalidArgument) || !strings.Contains(err.Error(), d.String())) {
				t.Errorf("got %v, want fatal %v", err, test.fatal)
			}
			if after := configOf(t, js, test.stream); !sameConfig(t, before, after) {
				t.Errorf("got the stream changed from %+v to %+v", before, after)
			}
			if len(report.Created) != len(allStreams)-1 || !slices.Equal(report.Existing, []string{test.stream}) || report.Updated != nil {
				t.Errorf("got %+v", report)
			}
		})
	}
}

func sameConfig(t *testing.T, a, b jetstream.StreamConfig) bool {
	t.Helper()
	differences, err := provision.Compare(a, b)
	if err != nil {
		t.Fatal(err)
	}
	return len(differences) == 0
}

func TestApply_Update(t *testing.T) {
	for _, test := range departures {
		t.Run(test.name, func(t *testing.T) {
			js := startWith(t, test.stream, test.change)
			report, err := provision.Apply(testContext(t), js, provision.Options{Update: true})
			if !test.fixed {
				if err == nil || !strings.Contains(err.Error(), test.stream) {
					t.Errorf("got %v, want the server's refusal", err)
				}
				return
			}
			if err != nil || !slices.Equal(report.Updated, []string{test.stream}) || len(report.Differences) != 0 {
				t.Fatalf("got %+v, %v, want %s updated", report, err, test.stream)
			}
			if again := apply(t, js, provision.Options{}); len(again.Differences) != 0 || len(again.Existing) != len(allStreams) {
				t.Errorf("got %+v, want no difference", again)
			}
		})
	}
}

func TestApply_Concurrent(t *testing.T) {
	server := natstest.Start(t)
	const processes = 8
	var reports [processes]provision.Report
	var errs [processes]error
	var all sync.WaitGroup
	for i := range processes {
		js := server.JetStream(t)
		all.Go(func() { reports[i], errs[i] = provision.Apply(testContext(t), js, provision.Options{}) })
	}
	all.Wait()
	for i := range processes {
		if errs[i] != nil || len(reports[i].Differences) != 0 || len(reports[i].Created)+len(reports[i].Existing) != len(allStreams) {
			t.Errorf("process %d: got %+v, %v", i, reports[i], errs[i])
		}
	}
	if report := apply(t, server.JetStream(t), provision.Options{}); len(report.Existing) != len(allStreams) || len(report.Differences) != 0 {
		t.Errorf("got %+v", report)
	}
}

// TestApply_CannotCreate_TellsWhy: the error is the server's reason, not that the stream is missing.
func TestApply_CannotCreate_TellsWhy(t *testing.T) {
	js := natstest.Start(t).JetStream(t)
	_, err := provision.Apply(testContext(t), js, provision.Options{Replicas: 3})
	var api *jetstream.APIError
	if !errors.As(err, &api) || errors.Is(err, jetstream.ErrStreamNotFound) || !strings.Contains(err.Error(), "replicas") {
		t.Errorf("got %v, want that one server has no three replicas", err)
	}
}
