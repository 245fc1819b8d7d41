package drift

import (
	"context"
	"errors"
	"slices"
	"time"

	"github.com/jetvol/jetvol/commands"
	"github.com/jetvol/jetvol/kv"
	"github.com/jetvol/jetvol/volume"
)

// Report is what one sweep has seen.
type Report struct {
	Partitions int `json:"partitions"`
	Volumes    int `json:"volumes"` // records of live volumes
	Objects    int `json:"objects"` // of the backends, with the marks of jetvol
	// Skipped counts what could not be looked at: volumes of a backend that does not answer
	// or is not configured here, records that cannot be read, and backends that cannot list.
	Skipped  int           `json:"skipped"`
	Commands int           `json:"commands"` // published
	Took     time.Duration `json:"took_ns"`
	// Kinds counts the volumes with a difference of each kind.
	Kinds map[volume.DriftKind]int `json:"kinds"`
}

// sweep is one sweep under way.
type sweep struct {
	*Sweeper
	report Report
	began  time.Time
	// wanted are the partitions of this sweep, without those that were lost meanwhile.
	wanted map[int]bool
	// counted are the findings of the sweep's partitions.
	counted map[volume.DriftKind]int
}

// Sweep compares everything in the given partitions once. It returns early with the error
// of ctx or of the store; what it did until then holds. What only concerns one volume or
// one backend is skipped and counted.
func (s *Sweeper) Sweep(ctx context.Context, partitions []int) (Report, error) {
	w := s.newSweep(partitions)
	err := w.run(ctx)
	w.report.Took = time.Since(w.began)
	w.report.Kinds = w.counted
	s.metrics.duration.Observe(w.report.Took.Seconds())
	s.metrics.sweeps.WithLabelValues(resultOf(err)).Inc()
	return w.report, err
}

func (s *Sweeper) newSweep(partitions []int) *sweep {
	w := &sweep{Sweeper: s, began: now(), wanted: map[int]bool{}, counted: map[volume.DriftKind]int{}}
	for _, number := range partitions {
		w.wanted[number] = true
	}
	w.report.Partitions = len(w.wanted)
	return w
}

func resultOf(err error) string {
	if err != nil {
		return failed
	}
	return succeeded
}

func (w *sweep) run(ctx context.Context) error {
	if err := w.passRecords(ctx); err != nil {
		return err
	}
	if err := w.passObjects(ctx); err != nil {
		return err
	}
	return w.passFindings(ctx)
}

// takes reports whether the volume is of this sweep.
func (w *sweep) takes(key volume.Key) bool {
	return w.wanted[commands.PartitionOf(key)] && (w.options.Project == "" || key.Project == w.options.Project)
}

// refresh leaves out the partitions that another worker has by now. That one sweeps them.
func (w *sweep) refresh() {
	if w.options.Partitions == nil {
		return
	}
	served, _ := w.options.Partitions.Serves()
	for number := range w.wanted {
		if !slices.Contains(served, number) {
			delete(w.wanted, number)
		}
	}
}

// filter selects the keys of the sweep's project.
func (w *sweep) filter() string {
	if w.options.Project == "" {
		return ""
	}
	return string(w.options.Project) + ".*"
}

// skip notes something that could not be looked at. It returns the error of ctx, if that
// has ended: then nothing can.
func (w *sweep) skip(ctx context.Context, what string, err error) error {
	if ctx.Err() != nil {
		return ctx.Err()
	}
	w.report.Skipped++
	w.metrics.skipped.Inc()
	w.log.Warn().Err(err).Str("what", what).Msg("sweep skips")
	return nil
}

// tell passes on what was found, keeps it, and publishes its command.
func (w *sweep) tell(ctx context.Context, found Found) error {
	if found.Command.Verb != "" {
		found.Command.Key, found.Command.Actor = found.Key, w.options.Actor
	}
	if w.options.Told != nil {
		w.options.Told(found)
	}
	if len(found.Differences) > 0 {
		if err := w.keep(ctx, found.Finding); err != nil {
			return err
		}
	}
	if found.Command.Verb == "" || w.options.Publish == nil {
		return nil
	}
	if err := w.options.Publish(ctx, found.Command); errors.Is(err, volume.InvalidArgument) {
		return w.skip(ctx, found.Key.String(), err) // an object's id may be anything
	} else if err != nil {
		return err
	}
	w.report.Commands++
	w.metrics.commands.WithLabelValues(string(found.Command.Verb)).Inc()
	w.log.Info().Str("volume", found.Key.String()).Str("verb", string(found.Command.Verb)).
		Str("command", string(found.Command.ID)).Str("drift", found.Drift().String()).Msg("sweep asks for a command")
	return nil
}

// keep stores a finding; without a bucket it only counts it.
func (w *sweep) keep(ctx context.Context, finding Finding) error {
	if w.options.Findings == nil {
		w.count(finding)
		return nil
	}
	stored, err := w.options.Findings.Put(ctx, finding)
	if errors.Is(err, kv.ErrConflict) || errors.Is(err, kv.ErrNotFound) {
		return nil // another sweep is at it
	}
	if kv.Unreadable(err) {
		return w.skip(ctx, "finding of "+finding.Key.String(), err)
	}
	if err == nil && stored.FoundAt.Equal(finding.FoundAt) && stored.Is(volume.DriftOrphan) {
		w.log.Warn().Str("volume", stored.Key.String()).Str("backend", stored.Backend).
			Str("object", string(stored.ObjectID)).Msg("orphan found")
	}
	return err
}

func (w *sweep) count(finding Finding) {
	for _, kind := range finding.Kinds {
		w.counted[kind]++
	}
}
