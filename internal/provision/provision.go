// Package provision makes the streams and buckets that jetvol needs, and tells how
// existing ones differ from what it wants. It never changes an existing stream unless
// it is asked to: a stream holds the only copy of commands and events.
package provision

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"reflect"
	"slices"
	"time"

	"github.com/nats-io/nats.go/jetstream"

	"github.com/jetvol/jetvol/commands"
	"github.com/jetvol/jetvol/events"
	"github.com/jetvol/jetvol/kv"
	"github.com/jetvol/jetvol/volume"
)

// Options say how streams and buckets are made.
type Options struct {
	// Replicas of every stream and bucket: 1, 3 or 5. 0 means 1 for what has to be made
	// and "as it is" for what exists.
	Replicas int
	// OutcomeRetention is how long the answers to commands are kept at least after the
	// volume or the record's ring let go of them. 0 means [kv.DefaultOutcomeRetention].
	OutcomeRetention time.Duration
	// Update changes existing streams to the wanted settings where the server allows it.
	Update bool
	// DryRun changes nothing: the report tells what would be made and changed.
	DryRun bool
	// Patience is how long to wait for a cluster that has no leader or has not met all its
	// servers, at each stream. 0 means [DefaultPatience].
	Patience time.Duration
	// Waiting, if set, is called with the reason before each such wait.
	Waiting func(reason error)
}

// Difference is one setting of an existing stream that is not the wanted one.
type Difference struct {
	Stream   string `json:"stream"`
	Field    string `json:"field"`
	Wanted   any    `json:"wanted"`
	Existing any    `json:"existing"`
	// Fatal says that jetvol's promises do not hold with the existing setting.
	Fatal bool `json:"fatal"`
}

// String returns `stream VOLUME_EVENTS: deny_purge is false, wanted true`.
func (d Difference) String() string {
	return fmt.Sprintf("stream %s: %s is %v, wanted %v", d.Stream, d.Field, d.Text(d.Existing), d.Text(d.Wanted))
}

// durations are the settings that the server keeps in nanoseconds.
var durations = map[string]bool{"max_age": true, "duplicate_window": true, "subject_delete_marker_ttl": true}

// Text returns a value of the setting as JSON, or as a duration like 2m0s.
func (d Difference) Text(v any) string {
	if number, is := v.(float64); is && durations[d.Field] {
		return time.Duration(number).String()
	}
	encoded, err := json.Marshal(v)
	if err != nil {
		return fmt.Sprint(v)
	}
	return string(encoded)
}

// tunable are the settings that an operator may choose without touching a promise.
var tunable = map[string]bool{
	"description": true, "num_replicas": true, "placement": true, "compression": true,
	"max_bytes": true, "max_msg_size": true, "duplicate_window": true, "max_consumers": true,
	"consumer_limits": true, "allow_direct": false, "metadata": true,
}

// ignored are fields that the server or its tools add.
var ignored = map[string]bool{"metadata": true}

// Report is what Apply did and found.
type Report struct {
	Created     []string     `json:"created"`
	Updated     []string     `json:"updated"`
	Existing    []string     `json:"existing"`
	Differences []Difference `json:"differences"`
}

// Fatal returns an error that lists the fatal differences, or nil if there are none.
func (r Report) Fatal() error {
	var faults []error
	for _, d := range r.Differences {
		if d.Fatal {
			faults = append(faults, errors.New(d.String()))
		}
	}
	if len(faults) == 0 {
		return nil
	}
	return volume.Errorf(volume.ErrInvalidArgument,
		"settings under which jetvol cannot keep its promises (`jetvol provision --update` changes them): %w", errors.Join(faults...))
}

// Configs returns the wanted settings of every stream, buckets included.
func Configs(o Options) []jetstream.StreamConfig {
	replicas := max(o.Replicas, 1)
	retention := o.OutcomeRetention
	if retention == 0 {
		retention = kv.DefaultOutcomeRetention
	}
	return []jetstream.StreamConfig{
		commands.StreamConfig(replicas),
		commands.DeadLetterStreamConfig(replicas),
		events.StreamConfig(replicas),
		kv.VolumesConfig(replicas),
		kv.OutcomesConfig(replicas, retention),
		kv.LeasesConfig(replicas),
		kv.SnapshotsConfig(replicas),
		kv.CheckpointsConfig(replicas),
		kv.DriftConfig(replicas),
		kv.QuotasConfig(replicas),
	}
}

// Apply makes what is missing and reports what differs. It may be repeated, also by
// several processes at once. Differences are an error only through [Report.Fatal]. It
// returns the server's error if a stream cannot be made or changed, and one of class
// [volume.Unavailable] if the cluster was not ready within [Options.Patience].
func Apply(ctx context.Context, js jetstream.JetStream, o Options) (Report, error) {
	var report Report
	for _, wanted := range Configs(o) {
		err := o.patiently(ctx, func(ctx context.Context) error { return apply(ctx, js, o, wanted, &report) })
		if err != nil {
			return report, fmt.Errorf("provision stream %s: %w", wanted.Name, err)
		}
	}
	return report, nil
}

func apply(ctx context.Context, js jetstream.JetStream, o Options, wanted jetstream.StreamConfig, report *Report) error {
	existing, err := existingConfig(ctx, js, wanted.Name)
	if errors.Is(err, jetstream.ErrStreamNotFound) && o.DryRun {
		report.Created = append(report.Created, wanted.Name)
		return nil
	}
	if errors.Is(err, jetstream.ErrStreamNotFound) {
		_, err = js.CreateStream(ctx, wanted)
		if err == nil {
			report.Created = append(report.Created, wanted.Name)
			return nil
		}
		// Another process may have made it between our question and our request.
		found, lookErr := existingConfig(ctx, js, wanted.Name)
		if lookErr != nil {
			return err // what is wrong is why it could not be made
		}
		existing, err = found, nil
	}
	if err != nil {
		return err
	}
	wanted = o.keep(wanted, existing)
	differences, err := Compare(wanted, existing)
	if err != nil {
		return err
	}
	if len(differences) > 0 && o.Update {
		if err := mayTransform(ctx, js, wanted, existing); err != nil {
			return err
		}
		wanted.Metadata = existing.Metadata
		if !o.DryRun {
			if _, err := js.UpdateStream(ctx, wanted); err != nil {
				return fmt.Errorf("update: %w", err)
			}
		}
		report.Updated = append(report.Updated, wanted.Name)
		return nil
	}
	report.Existing = append(report.Existing, wanted.Name)
	report.Differences = append(report.Differences, differences...)
	return nil
}

// keep returns the wanted settings with those of the existing stream where the options leave
// them as they are.
func (o Options) keep(wanted, existing jetstream.StreamConfig) jetstream.StreamConfig {
	if o.Replicas == 0 {
		wanted.Replicas = existing.Replicas
	}
	if o.OutcomeRetention == 0 && wanted.Name == "KV_"+kv.OutcomesBucket ||
		wanted.Name == events.StreamName && existing.MaxAge >= events.LeastRetention {
		keepRetention(&wanted, existing)
	}
	return wanted
}

// Differences returns what [Apply] would report of an existing stream, by its name. It
// returns [volume.ErrInvalidArgument] for a stream that jetvol does not make.
func Differences(o Options, existing jetstream.StreamConfig) ([]Difference, error) {
	for _, wanted := range Configs(o) {
		if wanted.Name == existing.Name {
			return Compare(o.keep(wanted, existing), existing)
		}
	}
	return nil, volume.Errorf(volume.ErrInvalidArgument, "stream %s: none of jetvol's", existing.Name)
}

// mayTransform refuses to change how a stream renames subjects while it holds messages:
// those keep their old subjects, and a command with an old partition would never be read.
func mayTransform(ctx context.Context, js jetstream.JetStream, wanted, existing jetstream.StreamConfig) error {
	if reflect.DeepEqual(wanted.SubjectTransform, existing.SubjectTransform) {
		return nil
	}
	stream, err := js.Stream(ctx, wanted.Name)
	if err != nil {
		return err
	}
	if held := stream.CachedInfo().State.Msgs; held > 0 {
		return volume.Errorf(volume.ErrPreconditionFailed,
			"its subject transform differs and it holds %d messages under their old subjects: empty it first", held)
	}
	return nil
}

// keepRetention leaves the age limit as it is. The server wants no duplicate window
// that is longer.
func keepRetention(wanted *jetstream.StreamConfig, existing jetstream.StreamConfig) {
	wanted.MaxAge = existing.MaxAge
	if wanted.MaxAge > 0 {
		wanted.Duplicates = min(wanted.Duplicates, wanted.MaxAge)
	}
}

func existingConfig(ctx context.Context, js jetstream.JetStream, name string) (jetstream.StreamConfig, error) {
	stream, err := js.Stream(ctx, name)
	if err != nil {
		return jetstream.StreamConfig{}, err
	}
	return stream.CachedInfo().Config, nil
}

// Compare returns every setting in which existing is not as wanted, by the names that
// the server's API gives to the settings.
func Compare(wanted, existing jetstream.StreamConfig) ([]Difference, error) {
	want, err := fields(wanted)
	if err != nil {
		return nil, err
	}
	have, err := fields(existing)
	if err != nil {
		return nil, err
	}
	names := map[string]bool{}
	for name := range want {
		names[name] = true
	}
	for name := range have {
		names[name] = true
	}
	var differences []Difference
	for _, name := range slices.Sorted(maps.Keys(names)) {
		if ignored[name] || reflect.DeepEqual(want[name], have[name]) {
			continue
		}
		differences = append(differences, Difference{
			Stream: wanted.Name, Field: name, Wanted: want[name], Existing: have[name], Fatal: fatal(wanted, existing, name),
		})
	}
	return differences, nil
}

// fatal reports whether jetvol cannot do with another value of the setting. A stream of
// dead letters that takes those of the workers is good enough: the server's advisories,
// which older ones do not take, are about what no worker does.
func fatal(wanted, existing jetstream.StreamConfig, name string) bool {
	if name == "subjects" && wanted.Name == commands.DeadLetterStreamName {
		return !slices.Contains(existing.Subjects, wanted.Subjects[0])
	}
	return !tunable[name]
}

// fields returns a config as the server's API writes it, without its empty settings:
// the server leaves some of them out and the client does not.
func fields(config jetstream.StreamConfig) (map[string]any, error) {
	encoded, err := json.Marshal(config)
	if err != nil {
		return nil, fmt.Errorf("encode stream config: %w", err)
	}
	var all map[string]any
	if err := json.Unmarshal(encoded, &all); err != nil {
		return nil, fmt.Errorf("decode stream config: %w", err)
	}
	maps.DeleteFunc(all, func(_ string, value any) bool { return isEmpty(value) })
	return all, nil
}

func isEmpty(value any) bool {
	switch v := value.(type) {
	case nil:
		return true
	case bool:
		return !v
	case float64:
		return v == 0
	case string:
		return v == ""
	case []any:
		return len(v) == 0
	case map[string]any:
		return len(v) == 0
	default:
		return false
	}
}
