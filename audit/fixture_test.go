package audit_test

import (
	"context"
	"fmt"
	"testing"
	"time"

	"github.com/nats-io/nats.go/jetstream"

	"github.com/jetvol/jetvol/audit"
	"github.com/jetvol/jetvol/events"
	"github.com/jetvol/jetvol/fsm"
	"github.com/jetvol/jetvol/internal/natstest"
	"github.com/jetvol/jetvol/internal/provision"
	"github.com/jetvol/jetvol/kv"
	"github.com/jetvol/jetvol/volume"
)

// limit bounds every wait of these tests; nothing is asserted about shorter times.
const limit = 2 * time.Minute

// place is a server with jetvol's streams, into which tests put what they like.
type place struct {
	t       testing.TB
	ctx     context.Context
	server  *natstest.Server
	js      jetstream.JetStream
	records kv.Volumes
}

func newPlace(t testing.TB) *place {
	t.Helper()
	return newPlaceFor(t, limit)
}

func newPlaceFor(t testing.TB, limit time.Duration) *place {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), limit)
	t.Cleanup(cancel)
	server := natstest.Start(t)
	p := &place{t: t, ctx: ctx, server: server, js: server.JetStream(t)}
	_, err := provision.Apply(ctx, p.js, provision.Options{})
	p.must(err)
	p.records = kv.NewVolumes(p.js)
	return p
}

func (p *place) must(err error) {
	p.t.Helper()
	if err != nil {
		p.t.Fatal(err)
	}
}

func key(name string) volume.Key { return volume.Key{Project: "default", Name: volume.Name(name)} }

// life is a volume as a worker would have made it: its events, in order, and its record.
type life struct {
	t      testing.TB
	record volume.Record
	events []volume.Transition
	hashes []string
	at     time.Time
	count  int
}

func newLife(t testing.TB, name string) *life {
	return &life{
		t:      t,
		record: volume.Record{SchemaVersion: volume.SchemaVersion, Key: key(name), State: volume.StatePending},
		at:     time.Date(2026, 3, 1, 12, 0, 0, 0, time.UTC),
	}
}

// lead returns a volume with n events, of which the third and every eighth after it are refusals.
func lead(t testing.TB, name string, n int) *life {
	t.Helper()
	l := newLife(t, name)
	for len(l.events) < n {
		switch {
		case len(l.events)%8 == 2:
			l.refuse()
		case l.record.Op != nil:
			l.succeed()
		case l.record.State == volume.StatePending:
			l.begin(volume.VerbCreate)
		case l.record.State == volume.StateAvailable:
			l.begin(volume.VerbAttach)
		default:
			l.begin(volume.VerbDetach)
		}
	}
	return l
}

func (l *life) command(verb volume.Verb) volume.Command {
	l.count++
	l.at = l.at.Add(time.Second)
	return volume.Command{
		ID: volume.CommandID(fmt.Sprintf("c-%d", l.count)), Key: l.record.Key, Verb: verb, Actor: "alice", Sequence: uint64(l.count),
		Args: volume.Args{Size: volume.GiB, Backend: "local", Node: "n1", Mode: volume.ReadWrite},
	}
}

func (l *life) begin(verb volume.Verb) {
	l.t.Helper()
	decision, err := fsm.Decide(l.record, l.command(verb), l.at)
	if err != nil {
		l.t.Fatal(err)
	}
	l.commit(decision)
}

func (l *life) succeed() {
	l.t.Helper()
	var held *volume.Attachment
	if l.record.State == volume.StateAttaching {
		held = &volume.Attachment{Node: "n1", Mode: volume.ReadWrite}
	}
	decision, err := fsm.Succeed(l.record, held, l.at.Add(time.Millisecond))
	if err != nil {
		l.t.Fatal(err)
	}
	l.commit(decision)
}

func (l *life) refuse() {
	l.t.Helper()
	l.commit(fsm.Reject(l.record, l.command(volume.VerbCreate), volume.Errorf(volume.ErrVolumeExists, "it exists"), l.at))
}

// commit does what a worker's commit does, with all earlier events on the stream.
func (l *life) commit(d fsm.Decision) {
	l.t.Helper()
	d.Transition.Worker, d.Transition.Epoch = "w1", 1
	hash, err := events.Chain(d.Transition, l.record.EventHash)
	if err != nil {
		l.t.Fatal(err)
	}
	l.record = d.Record
	l.record.EventHash = hash
	l.record.Owner = volume.Owner{Worker: "w1", Instance: "i1", Epoch: 1}
	l.record.Outbox = []volume.Transition{*d.Transition}
	l.record.Outcomes = l.record.Outcomes[max(0, len(l.record.Outcomes)-fsm.MaxOutcomes):]
	l.events = append(l.events, *d.Transition)
	l.hashes = append(l.hashes, hash)
}

// publish puts events onto the stream as they are.
func (p *place) publish(all ...volume.Transition) {
	p.t.Helper()
	for i := range all {
		p.event(all[i])
	}
	p.flush()
}

// event begins to publish one event.
func (p *place) event(t volume.Transition) {
	p.t.Helper()
	data, err := events.Encode(t)
	p.must(err)
	p.raw(t.Key, t.Event, data)
}

func (p *place) raw(key volume.Key, event volume.Event, data []byte) {
	p.t.Helper()
	_, err := p.js.PublishAsync(events.PublishSubject(key, event), data, jetstream.WithStallWait(limit))
	p.must(err)
}

func (p *place) flush() {
	p.t.Helper()
	select {
	case <-p.js.PublishAsyncComplete():
	case <-p.ctx.Done():
		p.t.Fatal("publishes are not answered")
	}
}

// keep stores a record, whatever is there.
func (p *place) keep(r volume.Record) {
	p.t.Helper()
	bucket, err := p.js.KeyValue(p.ctx, kv.VolumesBucket)
	p.must(err)
	_, err = bucket.Put(p.ctx, r.Key.String(), encode(p.t, r))
	p.must(err)
}

// settle puts a whole volume there.
func (p *place) settle(lives ...*life) {
	p.t.Helper()
	for _, l := range lives {
		p.publish(l.events...)
		p.keep(l.record)
	}
}

func (p *place) verify(o audit.Options) audit.Report {
	p.t.Helper()
	report, err := audit.Verify(p.ctx, p.js, o)
	p.must(err)
	return report
}

func (p *place) wantClean(o audit.Options) audit.Report {
	p.t.Helper()
	report := p.verify(o)
	for _, fault := range report.Faults {
		p.t.Errorf("fault: %s", fault)
	}
	if !report.Clean() {
		p.t.FailNow()
	}
	return report
}
