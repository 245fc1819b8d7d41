package bench

import (
	"context"
	"errors"
	"io"
	"time"

	"github.com/jetvol/jetvol/internal/trial"
	"github.com/jetvol/jetvol/volume"
)

// Defaults of [ScaleOptions].
const (
	DefaultFew      = scaleMany
	DefaultMost     = 1_000_000
	DefaultActive   = 100_000
	scaleInFlight   = 64
	scaleMinVolumes = 1
	// scaleMany is how many volumes the workload many has: more than a worker remembers (4096).
	scaleMany = 6000
)

// ScaleOptions say how many volumes [Scale] measures with. The zero value of a field that
// has a default takes it.
type ScaleOptions struct {
	// Program is the jetvol binary, whose worker is started.
	Program     string
	Dir         string // empty: a temporary one, which is removed after a clean run
	WorkerFlags []string

	Few     int // volumes on the one server, at least as many as the workload many visits
	Volumes int // volumes on the other
	Active  int // of those on the other, get a command each, and then another

	InFlight int
	Rounds   int
	Duration time.Duration // of one turn

	// Tell, if set, gets a line now and then that says how far the run is.
	Tell func(line string)
	// Each, if set, gets each round as it ends.
	Each func(ScaleRound)
	// Log gets what the processes write.
	Log io.Writer
}

func (o ScaleOptions) withDefaults() ScaleOptions {
	setDefault(&o.Few, DefaultFew)
	setDefault(&o.Volumes, DefaultMost)
	setDefault(&o.Active, min(DefaultActive, o.Volumes))
	if o.Few > 0 { // both servers need as many volumes as are visited
		o.Few = max(o.Few, o.visited(Many))
	}
	setDefault(&o.InFlight, scaleInFlight)
	setDefault(&o.Rounds, DefaultRounds)
	setDefault(&o.Duration, DefaultDuration)
	return o
}

// Validate returns [volume.ErrInvalidArgument] for what cannot be measured.
func (o ScaleOptions) Validate() error {
	o = o.withDefaults()
	if min(o.Few, o.Volumes, o.Active) < scaleMinVolumes {
		return volume.Errorf(volume.ErrInvalidArgument, "few, volumes and active: want more than 0")
	}
	if o.Active > o.Volumes {
		return volume.Errorf(volume.ErrInvalidArgument, "active %d: want no more than there are volumes, %d", o.Active, o.Volumes)
	}
	return o.options(Attach, o.Volumes).Validate()
}

// visited is how many of the stored volumes the workload commands, on either server.
func (o ScaleOptions) visited(w Workload) int {
	if w == Many {
		return min(scaleMany, o.Volumes)
	}
	return min(DefaultVolumes, o.Volumes)
}

// options are those of one server and its worker.
func (o ScaleOptions) options(w Workload, volumes int) Options {
	return Options{
		Volumes: o.visited(w),
		Program: o.Program, WorkerFlags: o.WorkerFlags, Preload: volumes, Workload: w, InFlight: []int{o.InFlight},
		Rounds: o.Rounds, Duration: o.Duration, Tell: o.Tell, Log: o.Log,
	}.withDefaults()
}

// Scale measures whether a command costs the same however many volumes there are: two
// servers, each with a worker, one with few volumes and one with many, take turns. Then it
// gives many volumes a command each and looks at what the worker has of that in the end. It
// returns the errors of [Run].
func Scale(ctx context.Context, o ScaleOptions) (report ScaleReport, err error) {
	if err := o.Validate(); err != nil {
		return ScaleReport{}, err
	}
	o = o.withDefaults()
	err = inPlace(o.Dir, func(place trial.Place) error {
		report, err = o.measure(ctx, place)
		return err
	})
	return report, err
}

func (o ScaleOptions) measure(ctx context.Context, place trial.Place) (report ScaleReport, err error) {
	report = ScaleReport{Few: o.Few, Volumes: o.Volumes}
	few, err := o.open(ctx, place.Path("few"), o.Few)
	if err != nil {
		return report, err
	}
	defer func() { err = errors.Join(err, few.stage.close()) }()
	many, err := o.open(ctx, place.Path("many"), o.Volumes)
	if err != nil {
		return report, err
	}
	defer func() { err = errors.Join(err, many.stage.close()) }()
	for _, w := range []Workload{Attach, Many, Create} { // creates make volumes more, so they come last
		rounds, err := o.compare(ctx, w, few, many)
		if err != nil {
			return report, err
		}
		report.Rounds = append(report.Rounds, rounds...)
		report.Summary = append(report.Summary, summariseScale(rounds))
	}
	for _, a := range []*arena{few, many} {
		if err := a.countStored(ctx); err != nil {
			return report, err
		}
	}
	if report.Servers, err = o.memory(few, many); err != nil {
		return report, err
	}
	report.Active, report.Machine, err = many.activate(ctx, o)
	return report, err
}

// memory is what the two servers have.
func (o ScaleOptions) memory(few, many *arena) (m ServerMemory, err error) {
	if m.Few, _, err = memoryOf(few.stage.servers[0].Pid()); err != nil {
		return m, err
	}
	m.Many, _, err = memoryOf(many.stage.servers[0].Pid())
	return m, err
}
