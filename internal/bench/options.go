package bench

import (
	"fmt"
	"io"
	"slices"
	"time"

	"github.com/nats-io/nats.go"

	"github.com/jetvol/jetvol/backends/ceph"
	"github.com/jetvol/jetvol/backends/local"
	"github.com/jetvol/jetvol/backends/null"
	"github.com/jetvol/jetvol/internal/trial"
	"github.com/jetvol/jetvol/volume"
)

// Workload says which commands are given.
type Workload string

// The workloads.
const (
	Create Workload = "create" // one create for each of ever new volumes
	Life   Workload = "life"   // create, attach, detach, resize, delete, for ever new volumes
	Attach Workload = "attach" // attach and detach in turn, of volumes that are there
	Mixed  Workload = "mixed"  // lives with a random middle
	Hot    Workload = "hot"    // one volume is resized, as many times at once as are in flight
	Many   Workload = "many"   // like attach, of more volumes than workers remember
)

// Workloads returns all of them.
func Workloads() []Workload { return []Workload{Create, Life, Attach, Mixed, Hot, Many} }

// Backends returns the drivers that can be measured over.
func Backends() []string { return []string{null.DriverName, local.DriverName, ceph.DriverName} }

// Sync says when the servers write to disk what they have acknowledged.
type Sync string

// The choices of Sync.
const (
	SyncDefault Sync = "default" // as the server likes
	SyncAlways  Sync = "always"  // before it acknowledges
)

// Defaults of [Options].
const (
	DefaultRounds   = 5
	DefaultDuration = 5 * time.Second
	DefaultWorkers  = 1
	// DefaultVolumes is how many volumes attach has, and DefaultManyVolumes many.
	DefaultVolumes     = 1024
	DefaultManyVolumes = 20_000
)

// DefaultInFlight are the numbers of commands in flight that are measured by default.
func DefaultInFlight() []int { return []int{64, 256} }

// Target is a server that was there before.
type Target struct {
	// Connect opens a connection to it.
	Connect func(...nats.Option) (*nats.Conn, error)
	// Flags make a jetvol process connect to it.
	Flags []string
}

// Options say what is measured. The zero value of a field that has a default takes it.
type Options struct {
	// Program is the jetvol binary, whose worker and ceiling worker are started.
	Program string
	Dir     string // empty: a temporary one, which is removed after a clean run

	Target  *Target // nil: servers of its own
	Servers int     // 1 or 3, of its own
	Sync    Sync

	Workers      int
	WorkerFlags  []string // of `jetvol worker`, in addition
	Backend      string
	BackendDelay time.Duration // of each call of the null backend

	// Preload is how many volumes of another project are stored before the workers start.
	Preload  int
	Workload Workload
	Volumes  int // of attach and many
	InFlight []int
	// Rate is how many commands are given in a second, however long they take. 0 means as
	// many as come to their end with so many in flight.
	Rate     float64
	Rounds   int
	Duration time.Duration // of one half of a round
	Seed     uint64

	// Tell, if set, gets a line now and then that says how far the run is.
	Tell func(line string)
	// Warn, if set, gets what makes the run say less than it seems to.
	Warn func(line string)
	// Each, if set, gets each round as it ends.
	Each func(Round)
	// Log gets what the processes write.
	Log io.Writer
}

// Validate returns [volume.ErrInvalidArgument] for what cannot be measured.
func (o Options) Validate() error {
	o = o.withDefaults()
	bad := func(format string, args ...any) error {
		return volume.Errorf(volume.ErrInvalidArgument, format, args...)
	}
	if least := min(float64(o.Workers), float64(o.Rounds), float64(o.Duration), float64(o.Volumes), float64(slices.Min(o.InFlight))); least <= 0 {
		return bad("workers, rounds, duration, volumes and inflight: want more than 0")
	}
	switch {
	case o.Servers != 1 && o.Servers != 3:
		return bad("servers %d: want 1 or 3", o.Servers)
	case o.Target != nil && (o.Servers != 1 || o.Sync != SyncDefault):
		return bad("a given server has its own replicas and sync: leave servers and sync out")
	case !slices.Contains(Workloads(), o.Workload):
		return bad("workload %q: want one of %v", o.Workload, Workloads())
	case o.Rate < 0 || o.BackendDelay < 0 || o.Preload < 0:
		return bad("rate, backend-delay and preload: want 0 or more")
	case o.Preload > 0 && o.Target != nil:
		return bad("preload: only a server of the bench's own is filled")
	case o.Workload.stays() && o.Volumes < slices.Max(o.InFlight):
		return bad("volumes %d: want as many as commands are in flight, %d", o.Volumes, slices.Max(o.InFlight))
	}
	return o.validateBackend()
}

func (o Options) validateBackend() error {
	if o.Backend == null.DriverName {
		return nil
	}
	if o.BackendDelay > 0 {
		return volume.Errorf(volume.ErrInvalidArgument, "backend-delay: only the backend null can be slowed")
	}
	if err := trial.CheckDriver(o.Backend); err != nil {
		return volume.Errorf(volume.ErrInvalidArgument, "%w", err)
	}
	return nil
}

// last is the verb that ends what the workload does to a volume; empty if nothing does.
func (w Workload) last() volume.Verb {
	switch w {
	case Create:
		return volume.VerbCreate
	case Life, Mixed:
		return volume.VerbDelete
	}
	return ""
}

// stays reports whether the workload is about many volumes that are there all the time.
func (w Workload) stays() bool { return w == Attach || w == Many }

func (o Options) withDefaults() Options {
	setDefault(&o.Servers, 1)
	setDefault(&o.Sync, SyncDefault)
	setDefault(&o.Workers, DefaultWorkers)
	setDefault(&o.Backend, null.DriverName)
	setDefault(&o.Workload, Create)
	setDefault(&o.Rounds, DefaultRounds)
	setDefault(&o.Duration, DefaultDuration)
	setDefault(&o.Seed, 1)
	if o.Volumes == 0 {
		o.Volumes = DefaultVolumes
		if o.Workload == Many {
			o.Volumes = DefaultManyVolumes
		}
	}
	if len(o.InFlight) == 0 {
		o.InFlight = DefaultInFlight()
	}
	if o.Log == nil {
		o.Log = io.Discard
	}
	return o
}

func setDefault[T comparable](field *T, value T) {
	var zero T
	if *field == zero {
		*field = value
	}
}

func (o Options) tell(format string, args ...any) {
	if o.Tell != nil {
		o.Tell(fmt.Sprintf(format, args...))
	}
}
