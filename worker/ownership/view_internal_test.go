package ownership

import (
	"testing"
	"time"

	"github.com/nats-io/nats.go/jetstream"

	"github.com/jetvol/jetvol/kv"
)

// TestViewer_LeaseRunsOutWhileAWatchBegins_IsGone: nats.go counts every message as one of the
// initial ones until it has seen as many as there were. If a lease is renewed meanwhile,
// its old message is not delivered, and the marker of one that ran out comes before
// CaughtUp.
func TestViewer_LeaseRunsOutWhileAWatchBegins_IsGone(t *testing.T) {
	m, err := New(unused{}, Config{ID: "w", Partitions: 16})
	if err != nil {
		t.Fatal(err)
	}
	v := newViewer(m)
	put := func(id, instance string, revision uint64) {
		v.take(kv.Change[Lease]{Kind: kv.Put, Entry: kv.Entry[Lease]{
			Key: LeaseKey(id), Revision: revision, Value: Lease{Worker: id, Instance: instance},
		}})
	}
	put("dead", "i", 1)
	put("w", m.Instance(), 2)
	v.take(kv.Change[Lease]{Kind: kv.Deleted, Entry: kv.Entry[Lease]{Key: LeaseKey("dead"), Revision: 3}})
	v.take(kv.Change[Lease]{Kind: kv.CaughtUp})
	for id, at := range v.missing {
		v.missing[id] = at.Add(-time.Hour)
	}
	v.giveUpMissing()
	if _, there := m.Leases()["dead"]; there {
		t.Error("the worker whose lease ran out is still in the view, and nothing will ever take it out")
	}
}

// unused stands for a JetStream that is not used.
type unused struct{ jetstream.JetStream }

func (unused) Options() jetstream.JetStreamOptions { return jetstream.JetStreamOptions{} }
