//go:build ceph

package ceph

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"os"
	"reflect"
	"slices"
	"testing"
	"time"

	"golang.org/x/sync/errgroup"

	"github.com/jetvol/jetvol/backends"
	"github.com/jetvol/jetvol/volume"
)

// longVariable asks for the runs that take minutes.
const longVariable = "JETVOL_CEPH_LONG"

type fenceFunc func(ctx context.Context, d *driver, ref backends.Ref) error

func realFence(ctx context.Context, d *driver, ref backends.Ref) error { return d.Fence(ctx, ref) }

// checkStopped stops a process in the middle of a call, fences it out, wakes it, and tells
// what it could still do.
func checkStopped(t *testing.T, fence fenceFunc, stopped time.Duration) error {
	cfg := inNamespace(t)
	d := openConnected(t, cfg)
	c := startChild(t, cfg, "inside", "db-01")
	must(t, c.stopped())
	<-time.After(stopped)
	if err := fence(t.Context(), d, in(ownerEpoch, refOf("db-01"))); err != nil {
		return fmt.Errorf("fence: %w", err)
	}
	told, err := c.wake()
	must(t, err)
	t.Logf("the stopped call: %s; the next: %s", told.First, told.Second)
	if hasTrace(t, d, "db-01") {
		return errors.New("the stopped process: left a trace, want none")
	}
	return told.wrong(false)
}

// checkOtherProcess fences a volume and tells what another handle, opened before, may do.
func checkOtherProcess(t *testing.T, fence fenceFunc) error {
	cfg := inNamespace(t)
	d, other := openConnected(t, cfg), openConnected(t, cfg)
	if err := fence(t.Context(), d, in(ownerEpoch, refOf("db-01"))); err != nil {
		return fmt.Errorf("fence: %w", err)
	}
	return wantFenced(t.Context(), other)
}

// checkLaterProcess is checkOtherProcess for a handle that is opened after the fence.
func checkLaterProcess(t *testing.T, fence fenceFunc) error {
	cfg := inNamespace(t)
	d := openConnected(t, cfg)
	if err := fence(t.Context(), d, in(ownerEpoch, refOf("db-01"))); err != nil {
		return fmt.Errorf("fence: %w", err)
	}
	return wantFenced(t.Context(), openConnected(t, cfg))
}

func wantFenced(ctx context.Context, d *driver) error {
	err := d.change(ctx, in(staleEpoch, refOf("db-01")), func(*conn) error { return nil })
	refusal, ok := errors.AsType[*backends.FencedError](err)
	if !ok || refusal.Stored != ownerEpoch {
		return fmt.Errorf("call in an older epoch: got %v, want it fenced by epoch %d", err, ownerEpoch)
	}
	return nil
}

func TestFence_ProcessStoppedInCall_IsShutOut(t *testing.T) {
	t.Parallel()
	must(t, checkStopped(t, realFence, 0))
}

func TestFence_ProcessStoppedUntilItsWatchEnded_IsShutOut(t *testing.T) {
	t.Parallel()
	if os.Getenv(longVariable) == "" {
		t.Skip("takes 20 s: set " + longVariable)
	}
	must(t, checkStopped(t, realFence, 15*time.Second)) // a watch ends after 10
}

func TestFence_OtherProcesses_KnowIt(t *testing.T) {
	must(t, checkOtherProcess(t, realFence))
	must(t, checkLaterProcess(t, realFence))
}

// TestFence_Planted_IsCaught leaves out one part of a fence at a time.
func TestFence_Planted_IsCaught(t *testing.T) {
	t.Parallel()
	with := func(f func(*registration, backends.Ref) error) fenceFunc {
		return func(ctx context.Context, d *driver, ref backends.Ref) error {
			return d.use(ctx, func(c *conn) error { return f(c.fences, ref) })
		}
	}
	untold := with(func(r *registration, ref backends.Ref) error { return storeFence(r.io, ref.Key, ref.Epoch, 0) })
	unstored := with(func(r *registration, ref backends.Ref) error {
		_, err := r.ask(notice{Key: ref.Key, Epoch: ref.Epoch})
		return err
	})
	unevicted := with(func(r *registration, ref backends.Ref) error {
		err := storeFence(r.io, ref.Key, ref.Epoch, 0)
		if err == nil {
			_, err = r.ask(notice{Key: ref.Key, Epoch: ref.Epoch})
		}
		return err
	})
	for name, caught := range map[string]func(*testing.T) error{
		"NotToldToOthers": func(t *testing.T) error { return checkOtherProcess(t, untold) },
		"NotStored":       func(t *testing.T) error { return checkLaterProcess(t, unstored) },
		"NotBlocklisted":  func(t *testing.T) error { return checkStopped(t, unevicted, 0) },
	} {
		t.Run(name, func(t *testing.T) {
			if err := caught(t); err == nil {
				t.Error("got nothing wrong, want it caught")
			} else {
				t.Logf("caught: %v", err)
			}
		})
	}
}

const (
	testNode  = volume.Node("n1")
	grownSize = 2 * small
)

type verbCall func(ctx context.Context, d backends.Driver, ref backends.Ref) error

func create(ctx context.Context, d backends.Driver, ref backends.Ref) error {
	return d.Create(ctx, ref, small)
}

func remove(ctx context.Context, d backends.Driver, ref backends.Ref) error {
	return d.Delete(ctx, ref)
}

func attach(ctx context.Context, d backends.Driver, ref backends.Ref) error {
	_, err := d.Attach(ctx, ref, testNode, volume.ReadWrite)
	return err
}

func detach(ctx context.Context, d backends.Driver, ref backends.Ref) error {
	return d.Detach(ctx, ref, testNode)
}

func resize(size volume.Bytes) verbCall {
	return func(ctx context.Context, d backends.Driver, ref backends.Ref) error {
		return d.(backends.Resizer).Resize(ctx, ref, size)
	}
}

// verbs are the calls in which a process is stopped.
var verbs = map[volume.Verb]struct {
	before []verbCall // what comes first
	call   verbCall
	undo   verbCall // by the owner, so that the late call would change something
}{
	volume.VerbCreate: {nil, create, remove},
	volume.VerbResize: {[]verbCall{create}, resize(grownSize), resize(2 * grownSize)},
	volume.VerbAttach: {[]verbCall{create}, attach, detach},
	volume.VerbDetach: {[]verbCall{create, attach}, detach, attach},
	volume.VerbDelete: {[]verbCall{create}, remove, create},
}

// TestFence_ProcessStoppedAtAnyMoment_ChangesNothing stops processes after more and more
// of a call, one each, until the call has ended before.
func TestFence_ProcessStoppedAtAnyMoment_ChangesNothing(t *testing.T) {
	t.Parallel()
	const ms = time.Millisecond
	delays := []time.Duration{0, 2 * ms, 5 * ms, 10 * ms, 20 * ms}
	if os.Getenv(longVariable) != "" {
		delays = nil
		for delay := time.Duration(0); delay < 40*ms; delay += ms {
			delays = append(delays, delay)
		}
	}
	for verb := range verbs {
		t.Run(string(verb), func(t *testing.T) {
			cfg := inNamespace(t)
			d := openConnected(t, cfg)
			stoppedIn := make([]bool, len(delays))
			for batch := range slices.Chunk(indices(delays), 5) {
				var group errgroup.Group
				for _, i := range batch {
					s := newStop(t, cfg, d, verb, fmt.Sprintf("db-%02d", i))
					group.Go(func() (err error) {
						stoppedIn[i], err = s.run(t.Context(), delays[i])
						return err
					})
				}
				must(t, group.Wait())
			}
			t.Logf("stopped in the call: %v", stoppedIn)
			if !slices.Contains(stoppedIn, true) {
				t.Error("got all processes stopped after their calls, want one in the middle")
			}
		})
	}
}

func indices[T any](list []T) []int {
	return slices.Collect(maps.Keys(maps.Collect(slices.All(list))))
}

// stop is one process that is stopped in one call.
type stop struct {
	verb  volume.Verb
	ref   backends.Ref
	d     *driver // the one that takes over
	child *child
}

func newStop(t *testing.T, cfg Config, d *driver, verb volume.Verb, name string) *stop {
	t.Helper()
	s := &stop{verb: verb, ref: refOf(volume.Name(name)), d: d}
	for _, step := range verbs[verb].before {
		must(t, step(t.Context(), d, in(staleEpoch, s.ref)))
	}
	s.child = startChild(t, cfg, "verb", string(verb), name)
	s.child.ready(t)
	return s
}

func (s *stop) run(ctx context.Context, delay time.Duration) (stoppedIn bool, err error) {
	if err := s.child.tell("begin"); err != nil {
		return false, err
	}
	<-time.After(delay)
	if err := s.child.stop(); err != nil {
		return false, err
	}
	owner := in(ownerEpoch, s.ref)
	if err := s.d.Fence(ctx, owner); err != nil {
		return false, fmt.Errorf("fence: %w", err)
	}
	if err := verbs[s.verb].call(ctx, s.d, owner); err != nil {
		return false, fmt.Errorf("%s by the owner: %w", s.verb, err)
	}
	if err := verbs[s.verb].undo(ctx, s.d, owner); err != nil {
		return false, fmt.Errorf("owner's call after %s: %w", s.verb, err)
	}
	before, err := s.look(ctx)
	if err != nil {
		return false, err
	}
	if err := s.child.tell("again"); err != nil {
		return false, err
	}
	told, err := s.child.wake()
	if err != nil {
		return false, err
	}
	after, err := s.look(ctx)
	if err != nil {
		return false, err
	}
	if !reflect.DeepEqual(after, before) {
		return false, fmt.Errorf("%s stopped after %s: got %+v, want %+v", s.verb, delay, after, before)
	}
	return told.First != "", told.wrong(true)
}

// look returns what is under the key, the zero value for nothing.
func (s *stop) look(ctx context.Context) (backends.Object, error) {
	object, err := s.d.Get(ctx, s.ref.Key)
	if errors.Is(err, volume.NotFound) {
		return backends.Object{}, nil
	}
	return object, err
}
