package quotas_test

import (
	"context"
	"strings"
	"testing"
	"time"

	"github.com/nats-io/nuid"
	"github.com/rs/zerolog"

	"github.com/jetvol/jetvol/quotas"
	"github.com/jetvol/jetvol/volume"
)

// books are those of a worker, opened.
func (e *env) books() *quotas.Books {
	e.t.Helper()
	life, end := context.WithCancel(e.ctx)
	books := quotas.NewBooks(e.js, "i-w1", zerolog.Nop())
	e.must(books.Open(e.ctx, life))
	e.t.Cleanup(func() { end(); books.Wait() })
	return books
}

// A record on its way holds up whoever enters a ledger, and nobody else: not each change of
// one that is known, and by that all volumes of all projects.
func TestBooks_LedgerChangesWhileARecordIsStored_NobodyWaits(t *testing.T) {
	e := start(t)
	e.set(quotas.Limits{Volumes: quotas.Limit(10)})
	books := e.books()
	_, stored, err := books.Reserve(e.ctx, quotas.Reservation{Key: volume.Key{Project: "free", Name: "v"}, CommandID: "c", Sequence: 1, After: quotas.Usage{Volumes: 1}})
	e.must(err)
	t.Cleanup(stored)
	e.plant(func(l *quotas.Ledger) { l.Used.Volumes = 10 })
	told := make(chan struct{})
	go func() {
		defer close(told)
		// The change has come when it is by it that this is refused.
		for {
			err := books.Check(e.ctx, quotas.Reservation{Key: key("w"), CommandID: "d", Sequence: 2, After: quotas.Usage{Volumes: 1}})
			if err != nil {
				if !strings.Contains(err.Error(), "used 10") {
					t.Errorf("got %v, want it refused", err)
				}
				break
			}
		}
		for range 200 { // as long as the change may be on its way to the watch
			books.Metered("free")
			_ = books.Settle(e.ctx, volume.Record{Key: key("w")}, "d", true)
		}
	}()
	select {
	case <-told:
	case <-e.ctx.Done():
		t.Error("others wait for a record of a project without a quota")
	}
}

// Most commands reserve nothing. They have nothing to wait for at a ledger that is held.
func TestBooks_SettleOfNothing_DoesNotWaitForAHeldLedger(t *testing.T) {
	e := start(t)
	e.set(quotas.Limits{Volumes: quotas.Limit(10)})
	books := e.books()
	e.must(books.Check(e.ctx, quotas.Reservation{Key: key("v"), CommandID: "c", Sequence: 1})) // known from now on
	ctx, settled := context.WithCancel(e.ctx)
	held := make(chan struct{})
	done := make(chan struct{})
	go func() { // by one after the other, without a gap
		defer close(done)
		for n := 0; ctx.Err() == nil; n++ {
			e.plant(func(l *quotas.Ledger) { l.Held = nuid.Next() })
			if n == 3 {
				close(held)
			}
			select {
			case <-ctx.Done():
			case <-time.After(quotas.MaxHold / 10):
			}
		}
	}()
	<-held
	wait, cancel := context.WithTimeout(e.ctx, limit/2)
	defer cancel()
	err := books.Settle(wait, volume.Record{Key: key("v")}, "attach", false)
	settled()
	<-done
	if err != nil {
		t.Errorf("got %v, want it to be settled", err)
	}
}
