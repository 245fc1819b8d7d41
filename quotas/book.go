package quotas

import (
	"context"
	"errors"
	"math/rand/v2"
	"slices"
	"sync"
	"time"

	"github.com/jetvol/jetvol/kv"
	"github.com/jetvol/jetvol/volume"
)

// MaxHold is how long a ledger that is held is left alone. Who holds it for longer loses the
// compare-and-set.
const MaxHold = 3 * time.Second

// A write that met another worker's is made again from what is stored, after a pause.
const (
	maxConflicts  = 100
	conflictPause = 2 * time.Millisecond
)

// A worker that has just written knows the ledger as it is, and would get ahead of the others
// each time. So as long as others write it too it waits after each write, for some times as
// long as the write took; what its lanes ask for meanwhile goes into the next one.
const (
	lingerLeast   = 2 // times
	lingerMost    = 6
	sharedFor     = time.Minute // since another worker's last write
	maxUnstorable = 3           // writes that may fail without an answer
)

// request is one change of a ledger.
type request struct {
	// apply makes the change, on the ledger at a revision, and reports whether there was one.
	// It may be called again, on another ledger.
	apply func(l *Ledger, revision uint64) (changed bool, err error)
	fresh bool // the ledger is to be read first
	err   error
	done  chan struct{} // nil if nobody waits
}

// book is a worker's part in one ledger. What all its lanes ask for at a time goes into one
// compare-and-set.
type book struct {
	books   *Books
	project volume.Project

	mu       sync.Mutex    // guards all below
	ledger   Ledger        // as of revision
	revision uint64        // 0 if it has to be read
	seenAt   uint64        // the greatest revision that was seen
	doubtful bool          // ledger is older than what was seen, and no write has proved it
	changed  chan struct{} // closed and replaced when the ledger is another
	queue    []*request
	working  bool          // a goroutine takes from the queue
	writing  bool          // a write is on its way
	tookLast time.Duration // of the last write
	sharedAt time.Time     // when another worker's write was seen last
	held     string
	heldFrom time.Time // when held was met first
}

func newBook(b *Books, project volume.Project) *book {
	return &book{books: b, project: project, changed: make(chan struct{})}
}

// update takes over a ledger that is newer than what is known. Not one that is older than
// what a write has found: that has to be read. It reports whether
// another worker has written it.
func (b *book) update(l Ledger, revision uint64) (foreign bool) {
	b.mu.Lock()
	defer b.mu.Unlock()
	if revision < b.seenAt || revision == b.revision {
		return false
	}
	foreign = !b.writing // else it may be this worker's
	b.ledger, b.revision, b.seenAt, b.doubtful = l, revision, revision, false
	close(b.changed)
	b.changed = make(chan struct{})
	return foreign
}

// takeOver takes over what the watch tells.
func (b *book) takeOver(change kv.Change[Ledger]) {
	if b.update(change.Value, change.Revision) {
		b.shared()
	}
}

// wrote takes over what this worker has stored.
func (b *book) wrote(l Ledger, revision uint64, took time.Duration) {
	b.update(l, revision)
	b.mu.Lock()
	defer b.mu.Unlock()
	b.tookLast, b.writing = took, false
}

// write notes that a write begins, and when.
func (b *book) write() time.Time {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.writing = true
	return time.Now()
}

// shared notes that others write the ledger too.
func (b *book) shared() {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.sharedAt = time.Now()
}

// linger lets other workers write the ledger, if there are any.
func (b *book) linger() {
	b.mu.Lock()
	took, alone := b.tookLast, time.Since(b.sharedAt) > sharedFor
	b.mu.Unlock()
	if !alone && took > 0 {
		_ = pause(b.books.life, took*lingerLeast+rand.N(took*(lingerMost-lingerLeast)))
	}
}

// take takes over what the leader has, also if it is older than what was known: then the
// server has lost the rest, or leads no more and does not know it. The next write tells.
func (b *book) take(l Ledger, revision uint64) {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.doubtful = b.doubtful || revision < b.seenAt
	b.ledger, b.revision, b.seenAt = l, revision, revision
}

func (b *book) inDoubt() bool {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.doubtful
}

// forget has the ledger read before it is used again.
func (b *book) forget() {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.revision, b.writing = 0, false
}

func (b *book) known() (l Ledger, revision uint64, changed <-chan struct{}) {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.ledger, b.revision, b.changed
}

// isOf reports whether the book is of the ledger with this ID.
func (b *book) isOf(id string) bool {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.ledger.ID == id
}

// settled reports whether there is known to be nothing to settle, also if others hold or write
// the ledger at the moment.
func (b *book) settled(name volume.Name, id volume.CommandID, now state) bool {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.revision != 0 && b.ledger.settles(name, id, now) < 0
}

func (b *book) derived() bool {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.revision != 0 && !b.ledger.Deriving
}

// do carries out a request, with those of other lanes. After an error of ctx it may still be
// carried out.
func (b *book) do(ctx context.Context, r *request) error {
	r.done = make(chan struct{})
	b.post(r)
	select {
	case <-r.done:
		return r.err
	case <-ctx.Done():
		return ctx.Err()
	}
}

// post queues a request.
func (b *book) post(r *request) {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.queue = append(b.queue, r)
	if !b.working {
		b.working = true
		b.books.running.Go(b.work)
	}
}

// work carries out what is queued, all of it at once, until there is nothing.
func (b *book) work() {
	for {
		b.mu.Lock()
		batch := b.queue
		b.queue = nil
		b.working = len(batch) > 0
		b.mu.Unlock()
		if len(batch) == 0 {
			return
		}
		err := b.carryOut(b.books.life, batch)
		for _, r := range batch {
			if err != nil {
				r.err = err
			}
			if r.done != nil {
				close(r.done)
			}
		}
		b.linger()
	}
}

// carryOut applies requests to the ledger and stores it, as often as it takes. It stores it
// also for a refusal that changes nothing: what another worker has freed, or a limit that was
// raised, may not be known here yet, and a server that leads the stream no more does not know
// it either if it is asked. The compare-and-set proves that the refusal is by the last ledger.
// So it does where nothing is to be changed in a ledger that is older than one that was seen.
func (b *book) carryOut(ctx context.Context, batch []*request) error {
	fresh := slices.ContainsFunc(batch, func(r *request) bool { return r.fresh })
	for conflicts, unstorable := 0, 0; conflicts < maxConflicts; {
		l, revision, err := b.current(ctx, fresh)
		if err != nil {
			return err
		}
		changed, refused := apply(batch, &l, revision)
		if !changed && !refused && !b.inDoubt() {
			return nil
		}
		began := b.write()
		stored, err := b.books.bucket.CompareAndSet(ctx, string(b.project), l, revision)
		if err == nil {
			b.wrote(l, stored, time.Since(began))
			return nil
		}
		b.forget()
		conflicts++
		switch {
		case errors.Is(err, kv.ErrConflict):
			b.shared()
		case errors.Is(err, kv.ErrUnavailable) && unstorable < maxUnstorable:
			unstorable++ // it may have been stored: all changes may be repeated
		default:
			return err
		}
		if err := pause(ctx, rand.N(conflictPause*time.Duration(min(conflicts, 8)))); err != nil {
			return err
		}
	}
	return errRestless
}

// apply makes all changes. Each that fails leaves the ledger as it was. It reports whether
// there was a change, and whether a limit refused one.
func apply(batch []*request, l *Ledger, revision uint64) (changed, refused bool) {
	for _, r := range batch {
		var one bool
		one, r.err = r.apply(l, revision)
		changed = changed || one
		_, exceeded := errors.AsType[*ExceededError](r.err)
		refused = refused || exceeded
	}
	return changed, refused
}

// current returns a copy of the ledger that nobody holds, from the stream's leader if it is
// to be fresh or is not known.
func (b *book) current(ctx context.Context, fresh bool) (Ledger, uint64, error) {
	for {
		l, revision, changed := b.known()
		if revision == 0 || fresh {
			fresh = false
			entry, err := b.books.bucket.Get(ctx, string(b.project))
			if err != nil {
				return Ledger{}, 0, err
			}
			b.take(entry.Value, entry.Revision)
			continue
		}
		left := b.holdLeft(l.Held)
		if left <= 0 {
			l = l.clone()
			l.Held = ""
			return l, revision, nil
		}
		select {
		case <-changed:
		case <-time.After(left):
		case <-ctx.Done():
			return Ledger{}, 0, ctx.Err()
		}
	}
}

// holdLeft returns for how long a hold is still to be respected.
func (b *book) holdLeft(held string) time.Duration {
	if held == "" {
		return 0
	}
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.held != held {
		b.held, b.heldFrom = held, time.Now()
	}
	return MaxHold - time.Since(b.heldFrom)
}

func pause(ctx context.Context, d time.Duration) error {
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-timer.C:
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}

func sees(l Ledger, instance string) bool { return slices.Contains(l.Seen, instance) }

// seen notes that a worker reserves, and reports whether that is new.
func (l *Ledger) seen(instance string) bool {
	if !l.Deriving || sees(*l, instance) {
		return false
	}
	l.Seen = append(l.Seen, instance)
	return true
}
