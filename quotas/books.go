package quotas

import (
	"context"
	"errors"
	"sync"
	"time"

	"github.com/nats-io/nats.go/jetstream"
	"github.com/rs/zerolog"

	"github.com/jetvol/jetvol/kv"
	"github.com/jetvol/jetvol/volume"
)

// watchPause is the wait before a watch that has ended is begun again.
const watchPause = 250 * time.Millisecond

// clearedPause is the wait before a ledger is read again that a server does not have, and of
// which the watch has not told that it is gone.
const clearedPause = 5 * time.Millisecond

// errCleared says that a project has no quota any more.
var errCleared = errors.New("quota was cleared")

// Books are a worker's view of all ledgers, by a watch. It is safe for concurrent use.
type Books struct {
	bucket   *kv.Bucket[Ledger]
	instance string
	log      zerolog.Logger

	start sync.Once
	life  context.Context // of the watch and of writes; set by start
	// running are the goroutines that life ends.
	running sync.WaitGroup
	ready   chan struct{} // closed when the watch has told what is there

	// gate is held to read while a record is stored by what was known of its project's ledger:
	// that there is none, or a reservation in just this one. It is held to write while a ledger
	// is entered: from then on all lanes reserve in that.
	gate  sync.RWMutex
	books map[volume.Project]*book // guarded by gate
}

// NewBooks returns the books of a worker's instance. It calls no server.
func NewBooks(js jetstream.JetStream, instance string, log zerolog.Logger) *Books {
	return &Books{
		bucket: kv.Open[Ledger](js, kv.QuotasBucket), instance: instance, log: log,
		ready: make(chan struct{}), books: map[volume.Project]*book{},
	}
}

// Open begins to watch, until life ends, and returns when all ledgers are known. It is to be
// called when the worker's lease is stored: who makes a ledger then either finds the lease,
// and waits for this worker, or is found by the watch. It may be repeated. It returns the
// error of ctx if that ends first.
func (b *Books) Open(ctx, life context.Context) error {
	b.start.Do(func() {
		b.life = life
		b.running.Go(b.watch)
	})
	select {
	case <-b.ready:
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}

// Wait returns when all that Open has started has ended, which is after life did. Nothing may
// be asked of the books any more.
func (b *Books) Wait() { b.running.Wait() }

func (b *Books) watch() {
	for b.life.Err() == nil {
		err := b.follow()
		if b.life.Err() != nil {
			return
		}
		b.log.Warn().Err(err).Msg("watch quotas")
		timer := time.NewTimer(watchPause)
		select {
		case <-timer.C:
		case <-b.life.Done():
			timer.Stop()
		}
	}
}

// follow takes over what one watch tells, until it ends.
func (b *Books) follow() error {
	told := map[volume.Project]bool{}
	caughtUp := false
	for change, err := range b.bucket.Watch(b.life, "") {
		project := volume.Project(change.Key)
		switch {
		case change.Kind == kv.CaughtUp:
			caughtUp = true
			b.keep(told)
			b.opened()
			continue
		case err != nil && change.Key == "":
			return err
		case err != nil:
			// Its commands wait until it can be read: unaccounted they would be wrong for good.
			b.log.Error().Err(err).Str("project", change.Key).Msg("quota cannot be read")
		}
		told[project] = true
		b.enter(project, change, err == nil && change.Kind == kv.Put)
		if caughtUp && change.Kind == kv.Deleted {
			delete(told, project)
		}
	}
	return nil
}

func (b *Books) opened() {
	select {
	case <-b.ready:
	default:
		close(b.ready)
	}
}

// keep drops the ledgers that went while nobody watched.
func (b *Books) keep(told map[volume.Project]bool) {
	b.gate.Lock()
	defer b.gate.Unlock()
	for project := range b.books {
		if !told[project] {
			delete(b.books, project)
		}
	}
}

// enter takes over what became of a ledger, and tells that this worker reserves by one that
// is still being derived. With the gate shut once, no record is on its way any more whose
// command knew nothing of the ledger. A change of one that is in force leaves it open.
func (b *Books) enter(project volume.Project, change kv.Change[Ledger], readable bool) {
	if readable && b.refreshed(project, change) {
		return
	}
	b.gate.Lock()
	if change.Kind == kv.Deleted {
		delete(b.books, project)
		b.gate.Unlock()
		return
	}
	of := b.books[project]
	if of == nil {
		of = newBook(b, project)
		b.books[project] = of
	}
	if readable {
		of.takeOver(change)
	}
	b.gate.Unlock()
	if readable && change.Value.Deriving && !sees(change.Value, b.instance) {
		of.post(&request{apply: func(l *Ledger, _ uint64) (bool, error) { return l.seen(b.instance), nil }})
	}
}

// refreshed takes over a change of a ledger by which this worker reserves already, and reports
// whether it was one. There are many of those, and all lanes of all projects would wait at the
// gate for the records that are on their way.
func (b *Books) refreshed(project volume.Project, change kv.Change[Ledger]) bool {
	of, unlock := b.book(project)
	defer unlock()
	if of == nil || change.Value.Deriving || !of.isOf(change.Value.ID) {
		return false
	}
	of.takeOver(change)
	return true
}

// book returns a project's, or nil if it has no quota. It is nil also with an unlock that
// has to be called: until then no book is entered.
func (b *Books) book(project volume.Project) (of *book, unlock func()) {
	b.gate.RLock()
	if of = b.books[project]; of == nil {
		return nil, b.gate.RUnlock
	}
	b.gate.RUnlock()
	return of, func() {}
}

// Reserve reserves what a command may add to what its volume uses, before the record is
// stored that begins it. It returns the revision that the record has to hold, 0 if the
// project has no quota, and a function to be called when the record was stored, or was not.
// The same reservation may be asked for again. It returns
//
//   - an [*ExceededError] if a limit does not allow it;
//   - one of class [volume.Aborted] if the command has ended, by another worker;
//   - one of class [volume.Busy] if too many commands of the project are under way;
//   - an error of [kv.Bucket.Get] or [kv.Bucket.CompareAndSet] if the ledger cannot be had.
func (b *Books) Reserve(ctx context.Context, r Reservation) (uint64, func(), error) {
	for {
		of, unlock := b.book(r.Key.Project)
		if of == nil {
			return 0, unlock, nil
		}
		at, id := uint64(0), "" // not to be looked at after an error of ctx
		err := b.do(ctx, of, &request{apply: func(l *Ledger, revision uint64) (changed bool, err error) {
			at, changed, err = l.reserve(r, revision)
			id = l.ID
			return changed, err
		}})
		if errors.Is(err, errCleared) {
			continue
		}
		if err != nil {
			return 0, func() {}, err
		}
		if b.gate.RLock(); b.books[r.Key.Project] == of && of.isOf(id) {
			return at, b.gate.RUnlock, nil
		}
		b.gate.RUnlock() // the quota was cleared meanwhile
	}
}

// Check returns the error that [Books.Reserve] would return, and reserves nothing.
func (b *Books) Check(ctx context.Context, r Reservation) error {
	return b.look(ctx, r.Key.Project, &request{apply: func(l *Ledger, revision uint64) (bool, error) {
		copied := l.clone()
		_, _, err := copied.reserve(r, revision)
		return false, err
	}})
}

// Metered reports whether commands of the project that are begun now are sure to be known
// to the ledger: it has none, or all is derived.
func (b *Books) Metered(project volume.Project) bool {
	of, unlock := b.book(project)
	defer unlock()
	return of != nil && of.derived()
}

// Limited reports whether the project is known to have a quota, perhaps one that is still being
// derived.
func (b *Books) Limited(project volume.Project) bool {
	of, unlock := b.book(project)
	defer unlock()
	return of != nil
}

// do carries out a request. It returns errCleared when the watch has told that the ledger is
// gone. That a server has none is not enough: one that leads no more, and does not know it, may
// say so of a ledger that is there.
func (b *Books) do(ctx context.Context, of *book, r *request) error {
	for {
		err := of.do(ctx, r)
		if !errors.Is(err, kv.ErrNotFound) {
			return err
		}
		if now, unlock := b.book(of.project); now != of {
			unlock()
			return errCleared
		}
		if err := pause(ctx, clearedPause); err != nil {
			return err
		}
	}
}

// Settle ends what a command has reserved, by its volume's record as it is now, if there is
// anything. With fresh the ledger is read again before that is decided. It may be repeated,
// and has to be done before the command is acknowledged. It returns an error of
// [kv.Bucket.Get] or [kv.Bucket.CompareAndSet] if the ledger cannot be had.
func (b *Books) Settle(ctx context.Context, record volume.Record, id volume.CommandID, fresh bool) error {
	now := stateOf(record)
	of, unlock := b.book(record.Key.Project)
	unlock()
	if of == nil || !fresh && of.settled(record.Key.Name, id, now) {
		return nil
	}
	return b.ask(ctx, of, &request{fresh: fresh, apply: func(l *Ledger, _ uint64) (bool, error) {
		return l.settle(record.Key.Name, id, now), nil
	}})
}

// Readmit makes sure that an operation under way, which another worker has begun, is known
// to the ledger. Where it is not, prove is called, which has to return an error unless the
// record is still as it was read: an operation that has ended was settled, and would be counted
// twice. What a read tells does not prove it, a write does. Prove may be called several times,
// also after Readmit has returned an error of ctx. Readmit returns its errors, and those of
// [Books.Settle].
func (b *Books) Readmit(ctx context.Context, record volume.Record, prove func(context.Context) error) error {
	if record.Op == nil || Before(record) == Of(record) {
		return nil
	}
	return b.look(ctx, record.Key.Project, &request{fresh: true, apply: func(l *Ledger, _ uint64) (bool, error) {
		if !l.lacks(record) {
			return false, nil
		}
		// The ledger was read before this. If the operation ends from now on, by another worker,
		// that one has changed the ledger first, and this change of it is not stored.
		if err := prove(b.life); err != nil {
			return false, err
		}
		l.readmit(record)
		return true, nil
	}})
}

// look carries out a request that has nothing to do if there is no ledger.
func (b *Books) look(ctx context.Context, project volume.Project, r *request) error {
	of, unlock := b.book(project)
	unlock()
	if of == nil {
		return nil
	}
	return b.ask(ctx, of, r)
}

// ask is do for a request that has nothing to do if the ledger is gone.
func (b *Books) ask(ctx context.Context, of *book, r *request) error {
	err := b.do(ctx, of, r)
	if errors.Is(err, errCleared) {
		return nil
	}
	return err
}
