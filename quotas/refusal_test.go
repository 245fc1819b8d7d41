package quotas_test

import (
	"errors"
	"strings"
	"sync/atomic"
	"testing"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"

	"github.com/jetvol/jetvol/kv"
	"github.com/jetvol/jetvol/quotas"
	"github.com/jetvol/jetvol/volume"
)

const ledgerStream = "KV_" + kv.QuotasBucket

// reserveOne asks for one volume more.
func (e *env) reserveOne(books *quotas.Books, name string) error {
	_, stored, err := books.Reserve(e.ctx, quotas.Reservation{
		Key: key(name), CommandID: volume.CommandID(name), Sequence: 1, After: quotas.Usage{Volumes: 1},
	})
	stored()
	return err
}

// deafen ends the consumers of the ledgers: for some seconds no watch tells anything.
func (e *env) deafen() {
	e.t.Helper()
	stream, err := e.js.Stream(e.ctx, ledgerStream)
	e.must(err)
	consumers := stream.ConsumerNames(e.ctx)
	for name := range consumers.Name() {
		e.must(stream.DeleteConsumer(e.ctx, name))
	}
	e.must(consumers.Err())
}

// revision is that of the ledger as it is stored.
func (e *env) revision() uint64 {
	e.t.Helper()
	revision, _, err := e.ledgers.Head(e.ctx, "p")
	e.must(err)
	return revision
}

// A limit counts from its acknowledgement on, also if the watch has not told it yet.
func TestBooks_LimitRaisedAndNotToldYet_IsNotRefused(t *testing.T) {
	e := start(t)
	e.set(quotas.Limits{Volumes: quotas.Limit(0)})
	books := e.books()
	e.deafen()
	e.set(quotas.Limits{Volumes: quotas.Limit(1)})
	if err := e.reserveOne(books, "v"); err != nil {
		t.Errorf("got %v, want the limit that was acknowledged to count", err)
	}
}

// oldPrefix is the API of a server that led the ledgers once.
const oldPrefix = "old.API"

// deposed hands requests on to the server that leads. As a server that leads no more and does
// not know it, it answers the question for a ledger by what it had.
type deposed struct {
	conn   *nats.Conn
	answer []byte
	stale  atomic.Int64 // questions that it answers itself
}

func (d *deposed) serve(m *nats.Msg) {
	asked := strings.TrimPrefix(m.Subject, oldPrefix+".")
	if asked == "STREAM.MSG.GET."+ledgerStream && d.stale.Add(-1) >= 0 {
		_ = m.Respond(d.answer) // who asks finds out
		return
	}
	if !strings.HasPrefix(asked, "$KV.") {
		asked = jetstream.DefaultAPIPrefix + asked
	}
	_ = d.conn.PublishMsg(&nats.Msg{Subject: asked, Reply: m.Reply, Header: m.Header, Data: m.Data})
}

// deposedBooks are the books of a worker that asks such a server, which answers by what is stored
// now as often as stale says. No watch tells the worker anything for some seconds.
func (e *env) deposedBooks() (*quotas.Books, *deposed) {
	e.t.Helper()
	d := &deposed{conn: e.server.Connect(e.t)}
	answer, err := d.conn.Request("$JS.API.STREAM.MSG.GET."+ledgerStream, []byte(`{"last_by_subj":"$KV.quotas.p"}`), limit)
	e.must(err)
	d.answer = answer.Data
	_, err = d.conn.Subscribe(oldPrefix+".>", d.serve)
	e.must(err)
	e.must(d.conn.Flush())
	current := e.js
	e.js, err = jetstream.NewWithAPIPrefix(e.server.Connect(e.t), oldPrefix)
	e.must(err)
	books := e.books()
	e.js = current
	e.deafen()
	return books, d
}

// A paused leader that goes on may answer a question or two before it learns that there is
// another one (NATS 2.15.2). The limit was raised meanwhile, and that was acknowledged.
func TestBooks_ServerDoesNotKnowThatItIsDeposed_NothingIsRefusedByItsLedger(t *testing.T) {
	e := start(t)
	e.set(quotas.Limits{Volumes: quotas.Limit(0)})
	books, d := e.deposedBooks()
	e.set(quotas.Limits{Volumes: quotas.Limit(1)})
	d.stale.Store(2)
	if err := e.reserveOne(books, "v"); err != nil {
		t.Errorf("got %v, want the limit that was acknowledged to count", err)
	}
}

// Such a server may have been cut off before the quota was set. The project is not free because
// it has no ledger there.
func TestBooks_DeposedServerHasNoLedger_ProjectIsNotFree(t *testing.T) {
	e := start(t)
	e.set(quotas.Limits{Volumes: quotas.Limit(1)})
	books, d := e.deposedBooks()
	e.set(quotas.Limits{Volumes: quotas.Limit(0)}) // so that the ledger has to be read
	d.answer = []byte(`{"type":"io.nats.jetstream.api.v1.stream_msg_get_response","error":{"code":404,"err_code":10037,"description":"no message found"}}`)
	d.stale.Store(2)
	if err := e.reserveOne(books, "v"); !errors.Is(err, volume.ErrQuotaExceeded) {
		t.Errorf("got %v, want %s", err, volume.ErrQuotaExceeded)
	}
	if left := d.stale.Load(); left >= 0 {
		t.Errorf("%d reads are still to be answered so", left)
	}
}

// Nor is what a command has reserved settled because it is not in a ledger from before that.
func TestBooks_DeposedServerHasNoEntry_ItIsSettled(t *testing.T) {
	e := start(t)
	e.set(quotas.Limits{Volumes: quotas.Limit(1)})
	books, d := e.deposedBooks()
	e.must(e.reserveOne(books, "v"))
	d.stale.Store(1)
	e.must(books.Settle(e.ctx, volume.Record{Key: key("v")}, "v", true))
	if left := d.stale.Load(); left >= 0 {
		t.Errorf("%d reads are still to be answered so", left)
	}
	if l := e.ledger(); len(l.Pending) != 0 || l.Used != (quotas.Usage{}) {
		t.Errorf("got %+v, want what was reserved to be settled", l)
	}
}

// What a refusal costs: one write of the ledger, which proves that it is by the last one.
func TestBooks_Refusal_IsProvedByOneWrite(t *testing.T) {
	e := start(t)
	e.set(quotas.Limits{Volumes: quotas.Limit(1)})
	books := e.books()
	e.must(e.reserveOne(books, "v"))
	before, after := e.ledger(), e.revision()
	err := e.reserveOne(books, "w")
	if !errors.Is(err, volume.ErrQuotaExceeded) {
		t.Errorf("got %v, want %s", err, volume.ErrQuotaExceeded)
	}
	if got := e.revision(); got != after+1 {
		t.Errorf("got %d writes, want 1", got-after)
	}
	if got := e.ledger(); got.Used != before.Used || len(got.Pending) != len(before.Pending) {
		t.Errorf("got %+v, want it as before: %+v", got, before)
	}
}

func (e *env) ledger() quotas.Ledger {
	e.t.Helper()
	l, err := e.client.Get(e.ctx, "p")
	e.must(err)
	return l
}
