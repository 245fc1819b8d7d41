package ownership_test

import (
	"context"
	"fmt"
	"sync"
	"testing"
	"time"

	"github.com/jetvol/jetvol/internal/provision"
	"github.com/jetvol/jetvol/kv"
	"github.com/jetvol/jetvol/volume"
	"github.com/jetvol/jetvol/worker/ownership"
)

// TestMember_BucketMadeAnew_MembersGoOn: an operator deletes the bucket of leases and
// makes it again. Revisions begin at 1 then, and the watch shows nothing any more.
func TestMember_BucketMadeAnew_MembersGoOn(t *testing.T) {
	g, b := newGroup(t), newBook(t)
	for i := range 300 { // so many that the new bucket does not get there during the test
		if _, err := g.leases.Create(t.Context(), fmt.Sprintf("lock.%d", i), ownership.Lease{}); err != nil {
			t.Fatal(err)
		}
	}
	g.join("w1", b.changes)
	b.until(shared(1))
	g.join("w2", b.changes)
	b.until(shared(2))
	if err := g.js.DeleteStream(t.Context(), "KV_"+kv.LeasesBucket); err != nil {
		t.Fatal(err)
	}
	if _, err := provision.Apply(t.Context(), g.js, provision.Options{}); err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithTimeout(t.Context(), limit)
	defer cancel()
	g.awaitLease(ctx, "w1")
	g.awaitLease(ctx, "w2")
	g.join("w3", b.changes)
	b.until(shared(3))
}

// TestMember_OwnLeaseUnreadable_IsWrittenAnew: somebody stores under a worker's key what
// is no lease. A write by hand has no TTL, so nobody takes it away.
func TestMember_OwnLeaseUnreadable_IsWrittenAnew(t *testing.T) {
	g, b := newGroup(t), newBook(t)
	g.join("w1", b.changes)
	b.until(shared(1))
	if _, err := g.js.Publish(t.Context(), "$KV."+kv.LeasesBucket+"."+ownership.LeaseKey("w1"), []byte("no lease")); err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithTimeout(t.Context(), 10*time.Second)
	defer cancel()
	ticker := time.NewTicker(100 * time.Millisecond)
	defer ticker.Stop()
	for {
		_, err := g.leases.Get(ctx, ownership.LeaseKey("w1"))
		if err == nil {
			return
		}
		select {
		case <-ticker.C:
		case <-ctx.Done():
			t.Fatalf("lease: %v", err)
		}
	}
}

// TestMember_ManyLanesGivenUp_AreToldInReasonableTime: a drain with a backlog ends as many
// lanes as MaxAckPending allows for 16 partitions.
func TestMember_ManyLanesGivenUp_AreToldInReasonableTime(t *testing.T) {
	g := newGroup(t)
	member, err := ownership.New(g.js, ownership.Config{ID: "w", Partitions: partitions})
	if err != nil {
		t.Fatal(err)
	}
	keys := make([]volume.Key, 16*2048)
	for i := range keys {
		keys[i] = volume.Key{Project: "default", Name: volume.Name(fmt.Sprintf("v%d", i))}
	}
	member.Occupy(keys...)
	began := time.Now()
	for i, key := range keys {
		member.Idle(key)
		if took := time.Since(began); took > 2*time.Second {
			t.Fatalf("%d of %d lanes told as idle after %s", i, len(keys), took)
		}
	}
}

// TestMember_DeadLeaseWithoutTTL_IsGivenUp: nobody renews it, and the server never takes
// it away. Its partitions are served by nobody.
func TestMember_DeadLeaseWithoutTTL_IsGivenUp(t *testing.T) {
	g, b := newGroup(t), newBook(t)
	if _, err := g.leases.Create(t.Context(), ownership.LeaseKey("dead"),
		ownership.Lease{SchemaVersion: 1, Worker: "dead", Instance: "i", Partitions: []int{}}); err != nil {
		t.Fatal(err)
	}
	g.join("alive", b.changes)
	b.until(shared(1))
}

// TestMember_JoinsWhileLeasesAreRenewed_WaitsForAll: a lease that is renewed while a watch
// begins is not among what the watch tells first, because only its last form is kept. Who
// joins must not take that for an absence.
func TestMember_JoinsWhileLeasesAreRenewed_WaitsForAll(t *testing.T) {
	g := newGroup(t)
	const members, rounds = 8, 100
	ctx, cancel := context.WithCancel(t.Context())
	var renewals sync.WaitGroup
	t.Cleanup(renewals.Wait)
	t.Cleanup(cancel)
	for i := range members {
		id := fmt.Sprintf("w%d", i)
		lease := ownership.Lease{Worker: id, Instance: id}
		revision, err := g.leases.Create(ctx, ownership.LeaseKey(id), lease)
		if err != nil {
			t.Fatal(err)
		}
		renewals.Go(func() {
			ticker := time.NewTicker(10 * time.Millisecond)
			defer ticker.Stop()
			for ctx.Err() == nil {
				<-ticker.C
				if next, err := g.leases.CompareAndSet(ctx, ownership.LeaseKey(id), lease, revision); err == nil {
					revision = next
				}
			}
		})
	}
	for round := range rounds {
		member, err := ownership.New(g.js, ownership.Config{ID: "joiner", Partitions: partitions})
		if err != nil {
			t.Fatal(err)
		}
		living, leave := context.WithCancel(ctx)
		ended := make(chan error, 1)
		go func() { ended <- member.Run(living) }()
		for partition := range partitions {
			go func() {
				if _, err := member.Acquire(living, partition); err == nil && len(member.Leases()) != members+1 {
					t.Errorf("round %d: took partition %d with %d of %d members in view", round, partition, len(member.Leases()), members+1)
				}
				leave()
			}()
		}
		err = <-ended
		leave()
		if err != nil {
			t.Fatal(err)
		}
	}
}
