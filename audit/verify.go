package audit

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/nats-io/nats.go/jetstream"
	"golang.org/x/sync/errgroup"

	"github.com/jetvol/jetvol/events"
	"github.com/jetvol/jetvol/kv"
	"github.com/jetvol/jetvol/volume"
)

const (
	// maxSuspects is how many volumes that do not fit are looked at in one pass.
	maxSuspects = 100_000
	// looksAtOnce is how many of them are looked at side by side.
	looksAtOnce = 16
	// maxSpans is how many volumes a report names of those that cannot be proven.
	maxSpans = 1000
	// progressEvery is how many events lie between two words of progress.
	progressEvery = 20_000
)

// Verify replays the events that there are when it is called and compares the records with
// them. It changes nothing and may run beside workers. What is wrong with volumes is in the
// report; an error says that it could not be found out: [volume.ErrInvalidArgument] for
// options that contradict each other, [volume.NotFound] for SinceCheckpoint without one,
// [volume.Aborted] if checkpoints were taken meanwhile, and [volume.Unavailable] if the server
// does not answer.
func Verify(ctx context.Context, js jetstream.JetStream, o Options) (Report, error) {
	a, err := newAuditor(ctx, js, o)
	if err != nil {
		return Report{}, err
	}
	return a.run(ctx, nil)
}

// auditor is one verify.
type auditor struct {
	js      jetstream.JetStream
	options Options
	records kv.Volumes
	base    *base  // nil without a checkpoint
	marked  uint64 // the revision of the mark that says so
	started time.Time

	first, from, to uint64 // sequences: the first one left, where to begin, where to end
	shard           shard
	states          map[string]*state
	anchors         map[string]*state // where the checkpoint left the volumes
	read            uint64            // events of all passes
	readPass        uint64

	mu     sync.Mutex // while volumes are looked at
	report Report
}

func newAuditor(ctx context.Context, js jetstream.JetStream, o Options) (*auditor, error) {
	if o.Volume != "" && o.Project == "" {
		return nil, volume.Errorf(volume.ErrInvalidArgument, "audit volume %s: of which project?", o.Volume)
	}
	if o.MaxVolumes <= 0 {
		o.MaxVolumes = DefaultMaxVolumes
	}
	a := &auditor{js: js, options: o, records: kv.NewVolumes(js), started: time.Now(), shard: shard{0, 1}}
	a.report.Faults = []Fault{}
	ends, err := streamEnds(ctx, js)
	if err != nil {
		return nil, err
	}
	if a.base, a.marked, err = openBase(ctx, js); err != nil {
		return nil, err
	}
	a.first, a.from, a.to = ends.FirstSeq, max(ends.FirstSeq, 1), ends.LastSeq
	if a.base != nil {
		mark := a.base.mark
		a.report.Checkpoint = &mark
	}
	if o.SinceCheckpoint {
		if a.base == nil {
			return nil, fmt.Errorf("verify since the checkpoint: there is none: %w", volume.NotFound)
		}
		a.from = max(a.from, a.base.mark.Sequence+1)
	}
	a.report.FromSequence, a.report.ToSequence = a.from, a.to
	return a, nil
}

func streamEnds(ctx context.Context, js jetstream.JetStream) (jetstream.StreamState, error) {
	stream, err := js.Stream(ctx, events.StreamName)
	if err != nil {
		return jetstream.StreamState{}, fmt.Errorf("audit stream %s: %w: %w", events.StreamName, volume.Unavailable, err)
	}
	return stream.CachedInfo().State, nil
}

// run makes the passes. After each it gives what is known to keep, if that is set.
func (a *auditor) run(ctx context.Context, keep func(map[string]*state) error) (Report, error) {
	for a.shard.index = 0; a.shard.index < a.shard.of; a.shard.index++ {
		if err := a.pass(ctx); err != nil {
			return a.report, err
		}
		if keep != nil && a.report.Clean() {
			if err := keep(a.states); err != nil {
				return a.report, err
			}
		}
		a.report.Passes++
	}
	if a.base != nil && !a.narrowed() {
		if fault, altered := a.base.altered(); altered {
			if err := a.base.inForce(ctx, a.js); err != nil {
				return a.report, err
			}
			a.report.Faults = append(a.report.Faults, fault)
		}
	}
	slices.SortFunc(a.report.Faults, func(x, y Fault) int { return strings.Compare(x.Volume, y.Volume) })
	a.report.ended(a.started, a.read)
	return a.report, nil
}

func (a *auditor) narrowed() bool { return a.options.Project != "" }

// pass verifies the volumes of one shard.
func (a *auditor) pass(ctx context.Context) error {
	a.states, a.anchors, a.readPass = map[string]*state{}, map[string]*state{}, 0
	if a.base != nil {
		if err := a.base.load(ctx, a.filter(), a.anchor); err != nil {
			return err
		}
	}
	if err := replay(ctx, a.js, subjectPrefix+a.filter()+".*", a.from, a.to, a.event); err != nil {
		return err
	}
	a.unread()
	a.tell(a.to)
	if err := a.compareRecords(ctx); err != nil {
		return err
	}
	if err := a.lookAtSuspects(ctx); err != nil {
		return err
	}
	a.sum()
	if a.base != nil {
		a.base.seal.add(a.anchors)
	}
	return nil
}

// filter is `<project>.<volume>`, with * for what may be any.
func (a *auditor) filter() string {
	project, name := "*", "*"
	if a.options.Project != "" {
		project = string(a.options.Project)
	}
	if a.options.Volume != "" {
		name = string(a.options.Volume)
	}
	return project + "." + name
}

func (a *auditor) tell(sequence uint64) {
	if a.options.Progress != nil {
		a.options.Progress(Progress{Pass: int(a.shard.index) + 1, Passes: int(a.shard.of), Sequence: sequence, To: a.to})
	}
}

// anchor takes up where the checkpoint left a volume.
func (a *auditor) anchor(name string, s *state) {
	if a.shard.has(name) {
		a.anchors[name] = s
		a.bound()
	}
}

// bound halves what is remembered if it has become too much; the other half will have a
// pass of its own.
func (a *auditor) bound() {
	if len(a.states)+len(a.anchors) <= a.options.MaxVolumes || a.shard.index > 0 {
		return
	}
	a.shard.of *= 2
	for _, known := range []map[string]*state{a.states, a.anchors} {
		for name := range known {
			if !a.shard.has(name) {
				delete(known, name)
			}
		}
	}
}

// event takes up one event of the stream.
func (a *auditor) event(e *entry) error {
	a.read++
	a.readPass++
	if a.readPass%progressEvery == 0 {
		a.tell(e.sequence)
	}
	if a.shard.index == 0 {
		a.report.Events++
		if e.rejected() {
			a.report.Rejected++
		}
	}
	if !a.shard.has(e.volume) {
		return nil
	}
	s, known := a.states[e.volume]
	if !known {
		s = a.begin(e, a.rules(a.first))
		a.states[strings.Clone(e.volume)] = s
		a.bound()
	}
	if !s.suspect {
		s.suspect = s.take(e, a.rules(a.first)) != nil || !a.atAnchor(s, e)
	}
	return nil
}

// rules says how volumes begin of which the checkpoint knows nothing, on a stream whose first
// event is that at the given sequence. If the checkpoint was taken there or later, it knows all
// that had events before.
func (a *auditor) rules(first uint64) rules {
	aged := first > 1
	return rules{aged: aged, headLost: aged && (a.base == nil || a.base.mark.Sequence+1 < first)}
}

// begin returns the state before a volume's first event that is read.
func (a *auditor) begin(e *entry, r rules) *state {
	anchor, known := a.anchors[e.volume]
	switch {
	case !known:
		return &state{}
	case e.sequence > 0 && anchor.sequence >= e.sequence:
		return &state{anchored: true}
	case r.headLost && e.previous != anchor.hash:
		return &state{} // what lies between has aged out
	}
	s := *anchor
	return &s
}

// atAnchor reports whether the checkpoint's event, if the volume has come to it, is the one
// that the checkpoint means.
func (a *auditor) atAnchor(s *state, e *entry) bool {
	if !s.anchored || e.sequence < a.anchors[e.volume].sequence {
		return true
	}
	anchor := a.anchors[e.volume]
	s.anchored, s.before = false, anchor.before
	return e.sequence == anchor.sequence && e.hash == anchor.hash && e.generation == anchor.generation
}

// unread takes up the volumes of the checkpoint of which no event was read, and those that
// did not come to where it left them.
func (a *auditor) unread() {
	for name, anchor := range a.anchors {
		s, known := a.states[name]
		switch {
		case !known:
			after := *anchor
			a.states[name] = &after
		case s.anchored:
			s.suspect = true
		}
	}
}

// sum adds the pass to the report.
func (a *auditor) sum() {
	for name, s := range a.states {
		a.report.Volumes++
		a.report.Unchained += uint64(s.unchained)
		if s.before == 0 || s.suspect {
			continue
		}
		a.report.Unproven++
		if len(a.report.UnprovenVolumes) < maxSpans {
			a.report.UnprovenVolumes = append(a.report.UnprovenVolumes, UnprovenSpan{name, s.before})
		}
		if a.options.Strict {
			a.report.Faults = append(a.report.Faults, Fault{
				Volume: name, Kind: Unproven, Generation: s.before - 1,
				Detail: fmt.Sprintf("events before generation %d have aged out, and no checkpoint vouches for them", s.before),
			})
		}
	}
	slices.SortFunc(a.report.UnprovenVolumes, func(x, y UnprovenSpan) int { return strings.Compare(x.Volume, y.Volume) })
}

// compareRecords compares what the bucket has with what the events say.
func (a *auditor) compareRecords(ctx context.Context) error {
	caughtUp := false
	for change, err := range kv.Open[recordView](a.js, kv.VolumesBucket).Watch(ctx, a.filter()) {
		if change.Kind == kv.CaughtUp {
			caughtUp = true
			break
		}
		if err != nil && !kv.Unreadable(err) {
			return err
		}
		if change.Kind == kv.Put && a.shard.has(change.Key) {
			a.record(change.Key, change.Value, err)
		}
	}
	if !caughtUp {
		return fmt.Errorf("read records: %w", context.Cause(ctx))
	}
	for _, s := range a.states {
		if !s.recorded && !s.mayExpire {
			s.suspect = true
		}
	}
	return nil
}

func (a *auditor) record(name string, r recordView, unreadable error) {
	a.report.Records++
	s, known := a.states[name]
	if !known {
		s = &state{suspect: true}
		a.states[name] = s
	}
	s.recorded = true
	if unreadable != nil || !s.agrees(name, r) {
		s.suspect = true
	}
}

// lookAtSuspects looks at each volume that did not fit, alone and in full.
func (a *auditor) lookAtSuspects(ctx context.Context) error {
	looks, ctx := errgroup.WithContext(ctx)
	looks.SetLimit(looksAtOnce)
	begun := 0
	for name, s := range a.states {
		if !s.suspect {
			continue
		}
		if begun++; begun > maxSuspects {
			a.report.Unlooked++
			continue
		}
		looks.Go(func() error {
			fault, err := a.look(ctx, name)
			if err != nil || fault == nil {
				s.suspect = err != nil
				return err
			}
			a.mu.Lock()
			defer a.mu.Unlock()
			a.report.Faults = append(a.report.Faults, *fault)
			return nil
		})
	}
	return looks.Wait()
}
