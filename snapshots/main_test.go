package snapshots_test

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/nats-io/nats.go/jetstream"
	"go.uber.org/goleak"

	"github.com/jetvol/jetvol/internal/natstest"
	"github.com/jetvol/jetvol/kv"
	"github.com/jetvol/jetvol/snapshots"
	"github.com/jetvol/jetvol/volume"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// testTimeout bounds every test on one topology; none should come near it.
const testTimeout = 60 * time.Second

// env is a store and a project of a test's own.
type env struct {
	*testing.T
	ctx      context.Context
	js       jetstream.JetStream
	store    *snapshots.Store
	project  volume.Project
	replicas int
}

var projects atomic.Int64

// acceptance runs against one server and against three, each test in a project of its own.
var acceptance = []struct {
	name string
	run  func(env)
}{
	{"E1_BaseTree", testBaseTree},
	{"E1_IDs_UniqueAndStable", testIDs},
	{"E1_Chains_OfAnyLength", testChains},
	{"E1_KeyReuseAfterRemove", testKeyReuse},
	{"E1_Commit", testCommit},
	{"E2_Create_Refusals", testCreateRefusals},
	{"E2_Commit_Refusals", testCommitRefusals},
	{"E2_Commit_Rebase", testRebase},
	{"E2_Remove_WithChildren", testRemoveWithChildren},
	{"E3_Update_Labels", testUpdateLabels},
	{"E3_Update_ImmutableParent", testImmutableParent},
	{"E3_Usage", testUsage},
	{"E4_Walk_Filters", testFilters},
	{"E4_Walk_SeesOwnChanges", testWalkOwnChanges},
	{"E5_Transaction_Lifecycle", testLifecycle},
	{"E5_Transaction_AllOrNone", testAllOrNone},
	{"E5_Transaction_Conflict", testConflict},
	{"E5_Close_Twice", testCloseTwice},
	{"E5_Corrupt_IsRefused", testCorrupt},
	{"E6_Clone_Idempotent", testCloneIdempotent},
	{"E6_Fence_FormerOwner_IsRefused", testFence},
	{"E6_Snapshot_OfClone_SharesItsParent", testSnapshotOfClone},
	{"E6_Remove_InSteps", testRemoveInSteps},
	{"E6_Remove_ByID", testRemoveByID},
	{"E6_Remove_LinksLeftBehind_CountForNothing", testLinksLeftBehind},
	{"E6_Remove_MarkersOfLinksExpire", testMarkersExpire},
	{"E6_Flatten", testFlatten},
	{"E6_SnapshotOfALaterLife", testSnapshotOfALaterLife},
	{"Concurrent_ClonesOfOneParent", testFan},
	{"Concurrent_RemoveAgainstCreate", testRaces},
	{"Check_PlantedViolations", testCheckPlanted},
}

func TestStore_OneServer(t *testing.T) {
	runAcceptance(t, natstest.Start(t).JetStream(t), 1)
}

func TestStore_Replicated(t *testing.T) {
	runAcceptance(t, natstest.StartCluster(t, 3).JetStream(t), 3)
}

func runAcceptance(t *testing.T, js jetstream.JetStream, replicas int) {
	provision(t, js, replicas)
	for _, test := range acceptance {
		t.Run(test.name, func(t *testing.T) {
			e := newEnv(t, js, replicas)
			test.run(e)
		})
	}
}

func provision(t testing.TB, js jetstream.JetStream, replicas int) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), testTimeout)
	defer cancel()
	if _, err := js.CreateStream(ctx, kv.SnapshotsConfig(replicas)); err != nil {
		t.Fatal(err)
	}
}

func newEnv(t *testing.T, js jetstream.JetStream, replicas int) env {
	ctx, cancel := context.WithTimeout(context.Background(), testTimeout)
	t.Cleanup(cancel)
	return env{t, ctx, js, snapshots.New(js), volume.Project(fmt.Sprint("p", projects.Add(1))), replicas}
}

// sound fails the test if the store has a fault.
func (e env) sound() {
	e.Helper()
	faults, err := e.store.Check(e.ctx, e.project)
	if err := errors.Join(append(faults, err)...); err != nil {
		e.Errorf("the store is not sound:\n%v", err)
	}
}

func (e env) must(err error) {
	e.Helper()
	if err != nil {
		e.Fatal(err)
	}
}

// k reads a key that is known to be one.
func k(text string) snapshots.Key {
	if text == "" {
		return snapshots.Key{}
	}
	key, err := snapshots.ParseKey(text)
	if err != nil {
		panic(err)
	}
	return key
}

func keys(texts ...string) []snapshots.Key {
	all := make([]snapshots.Key, len(texts))
	for i, text := range texts {
		all[i] = k(text)
	}
	return all
}

func (e env) update(fn func(*snapshots.Tx) error) error {
	return e.store.Update(e.ctx, e.project, fn)
}

func (e env) create(kind snapshots.Kind, key, parent string, opts ...snapshots.Option) (info snapshots.Info, err error) {
	err = e.update(func(tx *snapshots.Tx) (err error) {
		info, err = tx.Create(e.ctx, kind, k(key), k(parent), opts...)
		return err
	})
	return info, err
}

func (e env) commit(key, name string, usage snapshots.Usage, opts ...snapshots.Option) (info snapshots.Info, err error) {
	err = e.update(func(tx *snapshots.Tx) (err error) {
		info, err = tx.Commit(e.ctx, k(key), k(name), usage, opts...)
		return err
	})
	return info, err
}

func (e env) remove(key string) error {
	return e.update(func(tx *snapshots.Tx) error {
		_, err := tx.Remove(e.ctx, k(key))
		return err
	})
}

// layer makes a committed entry on parent.
func (e env) layer(name, parent string, opts ...snapshots.Option) snapshots.Info {
	e.Helper()
	_, err := e.create(snapshots.Active, "preparing-"+strings.ReplaceAll(name, "@", "-"), parent)
	e.must(err)
	info, err := e.commit("preparing-"+strings.ReplaceAll(name, "@", "-"), name, snapshots.Usage{}, opts...)
	e.must(err)
	return info
}

func (e env) get(key string) (s snapshots.Snapshot, err error) {
	err = e.store.View(e.ctx, e.project, func(tx *snapshots.Tx) (err error) {
		s, err = tx.Get(e.ctx, k(key))
		return err
	})
	return s, err
}

func (e env) walk(filters ...string) ([]string, error) {
	var found []string
	err := e.store.View(e.ctx, e.project, func(tx *snapshots.Tx) error {
		return tx.Walk(e.ctx, func(_ context.Context, info snapshots.Info) error {
			found = append(found, info.Name.String())
			return nil
		}, filters...)
	})
	slices.Sort(found)
	return found, err
}

// refused fails the test unless err is of that class or code, and nothing was changed.
func (e env) refused(what string, err error, want error) {
	e.Helper()
	if !errors.Is(err, want) {
		e.Errorf("%s: got %v, want %v", what, err, want)
	}
}
