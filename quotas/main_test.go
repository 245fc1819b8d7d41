package quotas_test

import (
	"context"
	"strings"
	"testing"
	"time"

	"github.com/nats-io/nats.go/jetstream"
	"go.uber.org/goleak"

	"github.com/jetvol/jetvol/commands"
	"github.com/jetvol/jetvol/internal/natstest"
	"github.com/jetvol/jetvol/internal/provision"
	"github.com/jetvol/jetvol/kv"
	"github.com/jetvol/jetvol/quotas"
	"github.com/jetvol/jetvol/volume"
	"github.com/jetvol/jetvol/worker/ownership"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// limit bounds every wait of these tests.
const limit = 30 * time.Second

// env is a real server with records and ledgers, and no worker.
type env struct {
	t       *testing.T
	ctx     context.Context
	js      jetstream.JetStream
	server  *natstest.Server
	client  *quotas.Client
	ledgers *kv.Bucket[quotas.Ledger]
	records kv.Volumes
}

func start(t *testing.T) *env {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), limit)
	t.Cleanup(cancel)
	e := &env{t: t, ctx: ctx, server: natstest.Start(t)}
	e.js = e.server.JetStream(t)
	_, err := provision.Apply(ctx, e.js, provision.Options{})
	e.must(err)
	e.client, e.records = quotas.New(e.js), kv.NewVolumes(e.js)
	e.ledgers = kv.Open[quotas.Ledger](e.js, kv.QuotasBucket)
	return e
}

func (e *env) must(err error) {
	e.t.Helper()
	if err != nil {
		e.t.Fatal(err)
	}
}

func key(name string) volume.Key { return volume.Key{Project: "p", Name: volume.Name(name)} }

// plantRecord stores a volume's record as a worker would have.
func (e *env) plantRecord(name string, change ...func(*volume.Record)) volume.Record {
	e.t.Helper()
	record := volume.Record{
		SchemaVersion: volume.SchemaVersion, Key: key(name), ID: volume.NewID(key(name), 1), State: volume.StateAvailable,
		Spec: volume.Spec{Size: volume.GiB},
	}
	for _, f := range change {
		f(&record)
	}
	_, err := e.records.Create(e.ctx, record.Key.String(), record)
	e.must(err)
	return record
}

func (e *env) set(limits quotas.Limits) quotas.Ledger {
	e.t.Helper()
	l, err := e.client.Set(e.ctx, quotas.SetRequest{Project: "p", Actor: "test", Change: func(quotas.Limits) quotas.Limits { return limits }})
	e.must(err)
	return l
}

// plant changes the stored ledger by hand.
func (e *env) plant(change func(*quotas.Ledger)) {
	e.t.Helper()
	entry, err := e.ledgers.Get(e.ctx, "p")
	e.must(err)
	change(&entry.Value)
	_, err = e.ledgers.CompareAndSet(e.ctx, "p", entry.Value, entry.Revision)
	e.must(err)
}

// command stores one that no worker takes, and returns it.
func (e *env) command(name string) commands.Receipt {
	e.t.Helper()
	client, err := commands.New(e.server.Connect(e.t))
	e.must(err)
	defer func() { e.must(client.Close()) }()
	receipt, err := client.Publish(e.ctx, commands.Request{Key: key(name), Verb: volume.VerbCreate, Args: volume.Args{Size: volume.GiB}})
	e.must(err)
	return receipt
}

// lease is that of a live worker of which nothing else is there.
func (e *env) lease(id string) {
	e.t.Helper()
	_, err := kv.Open[ownership.Lease](e.js, kv.LeasesBucket).Create(e.ctx, ownership.LeaseKey(id), ownership.Lease{
		SchemaVersion: 1, Worker: id, Instance: "i-" + id,
	})
	e.must(err)
}

func (e *env) verify() quotas.Report {
	e.t.Helper()
	report, err := e.client.Verify(e.ctx, "p")
	e.must(err)
	return report
}

// wantFindings compares the kinds and the beginnings of what was found.
func (e *env) wantFindings(r quotas.Report, wanted ...string) {
	e.t.Helper()
	if len(r.Findings) != len(wanted) {
		e.t.Fatalf("got %+v, want %q", r.Findings, wanted)
	}
	for i, f := range r.Findings {
		if got := string(f.Kind) + " " + f.Detail; !strings.HasPrefix(got, wanted[i]) {
			e.t.Errorf("got %q, want %q", got, wanted[i])
		}
	}
}
