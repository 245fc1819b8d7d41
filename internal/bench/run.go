package bench

import (
	"context"
	"crypto/rand"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"strings"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"

	"github.com/jetvol/jetvol/commands"
	"github.com/jetvol/jetvol/events"
	"github.com/jetvol/jetvol/internal/trial"
	"github.com/jetvol/jetvol/kv"
	"github.com/jetvol/jetvol/volume"
)

// warmUp bounds what is given before the first round and not measured.
const warmUp = time.Second

// run is one run with its two sides.
type run struct {
	options Options
	stage   *stage
	conn    *nats.Conn
	js      jetstream.JetStream
	project volume.Project
	sampler sampler
	// templates are what passed last for each verb. They are not changed but replaced.
	templates map[volume.Verb]Template
	bare      *bareClient
	tripper   *tripper
	jetvol    side
	ceiling   side
	pace      float64 // commands a second in jetvol's last turn
}

// Run measures. It returns [volume.ErrInvalidArgument] for options that make no sense, and
// an error if a command fails, or if what the server has in the end is not what the
// commands must have left. The directory is then kept, and the error names it.
func Run(ctx context.Context, o Options) (report Report, err error) {
	if err := o.Validate(); err != nil {
		return Report{}, err
	}
	o = o.withDefaults()
	err = inPlace(o.Dir, func(place trial.Place) (err error) {
		o.tell("starting servers and workers in %s", place.Base)
		if o.Warn != nil && o.Sync == SyncAlways && inMemory(place.Base) {
			o.Warn(fmt.Sprintf("%s lies in memory, where a sync costs nothing: choose a directory on a disk", place.Base))
		}
		s, err := newStage(ctx, o, place)
		if err != nil {
			return err
		}
		defer func() { err = errors.Join(err, s.close()) }()
		r, err := newRun(s, o)
		if err == nil {
			err = r.startCeiling(ctx)
		}
		if err == nil {
			report, err = r.measure(ctx)
		}
		return err
	})
	return report, err
}

// inPlace calls do with a place in dir, in a temporary directory if that is empty. What do
// leaves there is removed after a clean run; else the error names it.
func inPlace(dir string, do func(trial.Place) error) error {
	place, err := trial.NewPlace(dir, "jetvol-bench-")
	if err != nil {
		return volume.Errorf(volume.ErrInvalidArgument, "dir: %w", err)
	}
	if err := do(place); err != nil {
		return fmt.Errorf("%w (directory %s is kept)", err, place.Base)
	}
	return place.Remove()
}

// newRun makes the side of jetvol.
func newRun(s *stage, o Options) (r *run, err error) {
	const letters = 6
	r = &run{options: o, stage: s, project: volume.Project("bench-" + strings.ToLower(rand.Text()[:letters]))}
	if r.conn, r.js, err = s.connect("jetvol bench client"); err != nil {
		return nil, err
	}
	s.closeLater(r.conn)
	r.sampler = sampler{conn: r.conn, js: r.js}
	to, err := r.giver()
	if err != nil {
		return nil, err
	}
	volumes := "KV_" + kv.VolumesBucket
	r.jetvol = side{
		name: "jetvol", source: newSource(o, r.project, to), rename: func(name string) string { return name },
		streams: []string{commands.StreamName, events.StreamName, volumes, "KV_" + kv.OutcomesBucket}, pids: pids(s.workers),
	}
	return r, nil
}

func (r *run) giver() (carrier, error) {
	if r.options.Workload == Hot {
		return newInOrder(r.conn, r.js)
	}
	client, err := commands.New(r.conn)
	return throughClient{client}, err
}

func (r *run) startCeiling(ctx context.Context) error {
	if err := r.stage.startCeiling(ctx, r.js); err != nil {
		return fmt.Errorf("ceiling: %w", err)
	}
	conn, js, err := r.stage.connect("jetvol bench ceiling client")
	if err != nil {
		return err
	}
	r.stage.closeLater(conn)
	if r.bare, err = newBareClient(conn, js); err != nil {
		return err
	}
	if r.tripper, err = newTripper(conn, r.conn, js, r.bare, r.project); err != nil {
		return err
	}
	r.ceiling = side{
		name: "ceiling", source: newSource(r.options, r.project, r.bare), rename: renaming.Replace, pids: pids(r.stage.ceiling),
	}
	for _, name := range mirrored {
		r.ceiling.streams = append(r.ceiling.streams, renaming.Replace(name))
	}
	return nil
}

func pids(processes []*trial.Process) []int {
	var all []int
	for _, p := range processes {
		all = append(all, p.Pid())
	}
	return all
}

func (r *run) measure(ctx context.Context) (Report, error) {
	report := Report{Machine: thisMachine(r.conn.ConnectedServerVersion())}
	if err := r.prepare(ctx); err != nil {
		return report, err
	}
	for _, inFlight := range r.options.InFlight {
		rounds, err := r.rounds(ctx, inFlight)
		if err != nil {
			return report, err
		}
		report.Rounds = append(report.Rounds, rounds...)
		report.Summary = append(report.Summary, summarise(rounds))
	}
	return report, nil
}

// prepare makes the volumes of the workload, on both sides.
func (r *run) prepare(ctx context.Context) error {
	if err := r.prepareJetvol(ctx); err != nil {
		return err
	}
	if err := r.command(ctx); err != nil {
		return err
	}
	return r.ceiling.source.prepare(ctx, r.options.Volumes)
}

// prepareJetvol makes the volumes of the workload. What a create looks like has to be known
// whatever the workload is.
func (r *run) prepareJetvol(ctx context.Context) error {
	r.options.tell("preparing volumes")
	if err := r.jetvol.source.prepare(ctx, r.options.Volumes); err != nil {
		return err
	}
	return r.sample(ctx, func() (volume.Key, []deed) { return r.jetvol.source.newKey(), []deed{createIt} })
}

// sample has deeds done by jetvol and keeps what passed. Verbs that are not among them stay as
// they are. If a write was made twice it asks for other ones, a few times.
func (r *run) sample(ctx context.Context, next func() (volume.Key, []deed)) error {
	for try := 1; ; try++ {
		key, deeds := next()
		templates, err := r.sampler.take(ctx, key, deeds)
		if err != nil && (!errors.Is(err, errNoTemplate) || try == sampleTries) {
			return err
		}
		for _, d := range deeds {
			r.jetvol.source.counts.sent(d.verb)
			r.jetvol.source.counts.ended(d.verb)
		}
		if err == nil {
			r.keep(templates)
			return nil
		}
		r.options.tell("once more: %v", err)
	}
}

// keep makes templates those of their verbs.
func (r *run) keep(templates map[volume.Verb]Template) {
	r.templates = maps.Clone(r.templates)
	if r.templates == nil {
		r.templates = map[volume.Verb]Template{}
	}
	maps.Copy(r.templates, templates)
}

// command tells the ceiling's processes what to write from now on.
func (r *run) command(ctx context.Context) error {
	all := r.templates
	r.bare.templates.Store(&all)
	data, err := json.Marshal(orders{Templates: all, Delay: r.options.BackendDelay, Last: r.options.Workload.last()})
	if err != nil {
		return err
	}
	ctx, cancel := context.WithTimeout(ctx, settleTimeout)
	defer cancel()
	for i := range r.options.Workers {
		if _, err := r.conn.RequestWithContext(ctx, ordersSubject(i), data); err != nil {
			return fmt.Errorf("orders to ceiling worker %d: %w", i, err)
		}
	}
	return nil
}

func (r *run) rounds(ctx context.Context, inFlight int) ([]Round, error) {
	var rounds []Round
	l := load{inFlight: inFlight, rate: r.options.Rate, duration: r.options.Duration}
	for n := range r.options.Rounds + 1 { // the first warms up
		if l.duration = r.options.Duration; n == 0 {
			l.duration = min(warmUp, l.duration)
		}
		if err := r.sampleRound(ctx, l.duration); err != nil {
			return rounds, err
		}
		if err := r.command(ctx); err != nil {
			return rounds, err
		}
		round, err := r.round(ctx, l, n)
		if err != nil {
			return rounds, fmt.Errorf("%s, %d in flight, round %d: %w", r.options.Workload, inFlight, n, err)
		}
		if n == 0 {
			continue
		}
		rounds = append(rounds, round)
		if r.options.Each != nil {
			r.options.Each(round)
		}
	}
	return rounds, nil
}
