//go:build ceph

package ceph

import (
	"sync"
	"time"

	"github.com/jetvol/jetvol/backends"
	"github.com/jetvol/jetvol/volume"
)

// Answers to a notice of a fence. Who gives another one, or none, is evicted.
const (
	answerDone = "done" // no older call runs, and none will begin
	answerBusy = "busy" // one runs, no other will begin
	answerLost = "lost" // one has timed out: nobody knows whether it is over
)

// guard is what one connection knows of fences, and which changing calls run on it.
type guard struct {
	mu      sync.Mutex
	fences  map[volume.Key]uint64 // guarded by mu; the lowest epochs that are taken
	running map[*passage]struct{} // guarded by mu
	lost    map[volume.Key]uint64 // guarded by mu; the lowest epoch of a call that timed out
	closed  error                 // guarded by mu; why no call may begin any more
}

// passage is one call that the guard has let through.
type passage struct {
	ref   backends.Ref
	ended chan struct{}
}

func newGuard() *guard {
	return &guard{
		fences:  make(map[volume.Key]uint64),
		running: make(map[*passage]struct{}),
		lost:    make(map[volume.Key]uint64),
	}
}

// begin lets a call through, or refuses it with a FencedError, or with Unavailable if the
// connection may have missed a fence. The check and the counting are one step: a fence
// comes before both or after both.
func (g *guard) begin(ref backends.Ref) (*passage, error) {
	g.mu.Lock()
	defer g.mu.Unlock()
	if _, err := g.checkLocked(ref); err != nil {
		return nil, err
	}
	p := &passage{ref: ref, ended: make(chan struct{})}
	g.running[p] = struct{}{}
	return p, nil
}

// end is called when no thread works on the call any more. It is lost if it may go on in
// an OSD.
func (g *guard) end(p *passage, lost bool) {
	g.mu.Lock()
	defer g.mu.Unlock()
	delete(g.running, p)
	if before, is := g.lost[p.ref.Key]; lost && (!is || p.ref.Epoch < before) {
		g.lost[p.ref.Key] = p.ref.Epoch
	}
	close(p.ended)
}

// check is begin without a call. It returns the epoch of the present fence, 0 for none.
func (g *guard) check(ref backends.Ref) (uint64, error) {
	g.mu.Lock()
	defer g.mu.Unlock()
	return g.checkLocked(ref)
}

func (g *guard) checkLocked(ref backends.Ref) (uint64, error) {
	if g.closed != nil {
		return 0, backends.Errorf(volume.Unavailable, "connection is to be replaced: %w", g.closed)
	}
	known := g.fences[ref.Key]
	return known, ref.Check(known)
}

// raise fences a volume, unless a later epoch is fenced. It returns the older calls that
// run, and whether one was lost.
func (g *guard) raise(key volume.Key, epoch uint64) (older []*passage, lost bool) {
	g.mu.Lock()
	defer g.mu.Unlock()
	g.fences[key] = max(g.fences[key], epoch)
	for p := range g.running {
		if p.ref.Key == key && p.ref.Epoch < epoch {
			older = append(older, p)
		}
	}
	lowest, is := g.lost[key]
	return older, is && lowest < epoch
}

// yield raises the fence, waits a moment for older calls to end, and returns the answer.
// To the fencer itself a lost call is none: on one connection later requests to an
// object do not overtake earlier ones.
func (g *guard) yield(n notice, own bool, stop <-chan struct{}) string {
	patience := time.NewTimer(yieldTime)
	defer patience.Stop()
	for {
		older, lost := g.raise(n.Key, n.Epoch)
		if lost && !own {
			return answerLost
		}
		if len(older) == 0 {
			return answerDone
		}
		select {
		case <-older[0].ended:
		case <-patience.C:
			return answerBusy
		case <-stop:
			return answerBusy
		}
	}
}

// shut lets no call begin any more, because of what happened to the connection.
func (g *guard) shut(reason error) {
	g.mu.Lock()
	defer g.mu.Unlock()
	if g.closed == nil {
		g.closed = reason
	}
}

// isShut reports whether shut was called.
func (g *guard) isShut() bool {
	g.mu.Lock()
	defer g.mu.Unlock()
	return g.closed != nil
}

// clean reports whether no call was lost, so that the connection may leave the registry.
func (g *guard) clean() bool {
	g.mu.Lock()
	defer g.mu.Unlock()
	return len(g.lost) == 0 && len(g.running) == 0
}
