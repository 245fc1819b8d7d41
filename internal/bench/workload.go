package bench

import (
	"context"
	"fmt"
	"math/rand/v2"
	"sync"

	"golang.org/x/sync/errgroup"

	"github.com/jetvol/jetvol/volume"
)

// What the volumes are like. Nothing depends on it but the length of messages.
const (
	volumeSize  = volume.GiB
	resizedSize = 2 * volume.GiB
	node        = volume.Node("node-01")
	// maxMiddle bounds the random middle of a mixed life.
	maxMiddle = 4
	// preparedAtOnce is how many commands are in flight that are not measured.
	preparedAtOnce = 256
)

// deed is one thing to be done to a volume.
type deed struct {
	verb volume.Verb
	args volume.Args
}

var (
	createIt = deed{volume.VerbCreate, volume.Args{Size: volumeSize}}
	attachIt = deed{volume.VerbAttach, volume.Args{Node: node}}
	detachIt = deed{volume.VerbDetach, volume.Args{Node: node}}
	resizeIt = deed{volume.VerbResize, volume.Args{Size: resizedSize}}
	deleteIt = deed{volume.VerbDelete, volume.Args{}}
)

// actor is a volume with what is still to be done to it.
type actor struct {
	key   volume.Key
	deeds []deed
}

// carrier has deeds carried out, by jetvol or by the ceiling. What begin returns waits until
// the deed has ended well, or returns the error that it met.
type carrier interface {
	begin(ctx context.Context, key volume.Key, d deed) (await func(context.Context) error, err error)
}

// source makes the commands of a workload, for one side. Commands of one volume are given
// one after another, apart from those of the hot one.
type source struct {
	workload Workload
	project  volume.Project
	to       carrier
	counts   tally

	mu     sync.Mutex // guards all below
	rng    *rand.Rand
	serial int
	ready  []*actor // in the order in which their turn comes
	grown  volume.Bytes
}

func newSource(o Options, project volume.Project, to carrier) *source {
	return &source{workload: o.Workload, project: project, to: to, rng: rand.New(rand.NewPCG(o.Seed, 0)), grown: volumeSize}
}

// prepare makes the volumes that the workload needs to be there.
func (s *source) prepare(ctx context.Context, volumes int) error {
	switch s.workload {
	case Attach, Many:
	case Hot:
		volumes = 1
	default:
		return nil
	}
	group, ctx := errgroup.WithContext(ctx)
	group.SetLimit(preparedAtOnce)
	for range volumes {
		a := &actor{key: s.newKey()}
		s.ready = append(s.ready, a)
		group.Go(func() error { return s.give(ctx, a.key, createIt) })
	}
	return group.Wait()
}

// visit has the workload be about volumes that are there and available.
func (s *source) visit(keys []volume.Key) {
	for _, key := range keys {
		s.ready = append(s.ready, &actor{key: key})
	}
}

// finish does what is still to be done to the volumes, while nobody calls step: none of them
// stays attached.
func (s *source) finish(ctx context.Context) error {
	group, ctx := errgroup.WithContext(ctx)
	group.SetLimit(preparedAtOnce)
	for _, a := range s.ready {
		group.Go(func() error {
			for _, d := range a.deeds {
				if err := s.give(ctx, a.key, d); err != nil {
					return err
				}
			}
			a.deeds = nil
			return nil
		})
	}
	return group.Wait()
}

// step gives the next command, and returns when it is answered.
func (s *source) step(ctx context.Context) error {
	if s.workload == Hot {
		return s.resizeHot(ctx)
	}
	a := s.take()
	next := a.deeds[0]
	if err := s.give(ctx, a.key, next); err != nil {
		return err
	}
	a.deeds = a.deeds[1:]
	s.put(a)
	return nil
}

func (s *source) give(ctx context.Context, key volume.Key, d deed) error {
	await, err := s.to.begin(ctx, key, d)
	return s.await(ctx, key, d, await, err)
}

func (s *source) await(ctx context.Context, key volume.Key, d deed, await func(context.Context) error, err error) error {
	s.counts.sent(d.verb)
	if err == nil {
		err = await(ctx)
	}
	if err != nil {
		return fmt.Errorf("%s volume %s: %w", d.verb, key, err)
	}
	s.counts.ended(d.verb)
	return nil
}

// resizeHot lets the hot volume grow. The lock makes the sizes be published in their order:
// a volume does not shrink.
func (s *source) resizeHot(ctx context.Context) error {
	s.mu.Lock()
	key, d := s.ready[0].key, s.grow()
	await, err := s.to.begin(ctx, key, d)
	s.mu.Unlock()
	return s.await(ctx, key, d, await, err)
}

// grow is the next resize of the hot volume; it needs s.mu.
func (s *source) grow() deed {
	s.grown += volume.MiB
	return deed{volume.VerbResize, volume.Args{Size: s.grown}}
}

// sample returns a volume and what can be done to it so that every verb of the workload
// comes up, for all workloads but the hot one. The volume is back where it was when that is done.
func (s *source) sample() (volume.Key, []deed) {
	switch s.workload {
	case Create:
		return s.newKey(), []deed{createIt}
	case Life, Mixed:
		return s.newKey(), []deed{createIt, attachIt, detachIt, resizeIt, deleteIt}
	}
	a := s.take()
	deeds := a.deeds
	if len(deeds) == 1 { // it was left attached
		deeds = []deed{detachIt, attachIt, detachIt}
	}
	a.deeds = nil
	s.put(a)
	return a.key, deeds
}

// next is the volume whose turn comes next, of a workload whose volumes stay; and staying how
// many there are.
func (s *source) next() volume.Key {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.ready[0].key
}

func (s *source) staying() int {
	s.mu.Lock()
	defer s.mu.Unlock()
	return len(s.ready)
}

// take returns a volume that nobody else commands: the one that waits longest, else a new one.
func (s *source) take() *actor {
	s.mu.Lock()
	defer s.mu.Unlock()
	if len(s.ready) == 0 {
		return &actor{key: s.nextKey(), deeds: s.script()}
	}
	a := s.ready[0]
	s.ready = s.ready[1:]
	if len(a.deeds) == 0 {
		a.deeds = s.script()
	}
	return a
}

// put gives a volume back. One that has nothing left to do is forgotten, unless its
// workload is about volumes that stay.
func (s *source) put(a *actor) {
	if len(a.deeds) == 0 && !s.workload.stays() {
		return
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	s.ready = append(s.ready, a)
}

// script is what is done to a volume from here on; it needs s.mu.
func (s *source) script() []deed {
	switch s.workload {
	case Create:
		return []deed{createIt}
	case Life:
		return []deed{createIt, attachIt, detachIt, resizeIt, deleteIt}
	case Mixed:
		return s.mixed()
	default:
		return []deed{attachIt, detachIt}
	}
}

func (s *source) mixed() []deed {
	deeds := []deed{createIt}
	size := volumeSize
	for range 1 + s.rng.IntN(maxMiddle) {
		if s.rng.IntN(2) == 0 {
			size += volume.GiB
			deeds = append(deeds, deed{volume.VerbResize, volume.Args{Size: size}})
		} else {
			deeds = append(deeds, attachIt, detachIt)
		}
	}
	return append(deeds, deleteIt)
}

func (s *source) newKey() volume.Key {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.nextKey()
}

// nextKey needs s.mu. All names have the same length.
func (s *source) nextKey() volume.Key {
	s.serial++
	return volume.Key{Project: s.project, Name: volume.Name(fmt.Sprintf("v-%08d", s.serial))}
}
