package backends_test

import (
	"context"
	"errors"
	"fmt"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/jetvol/jetvol/backends"
	"github.com/jetvol/jetvol/backends/null"
	"github.com/jetvol/jetvol/volume"
)

func inEpoch(ref backends.Ref, epoch uint64) backends.Ref {
	ref.Epoch = epoch
	return ref
}

func TestFence_AbandonedCall_IsWaitedFor(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		driver := &ableDriver{fakeDriver: &fakeDriver{}}
		release := make(chan struct{})
		var entered atomic.Int32
		driver.call = func(context.Context, volume.Key) error {
			entered.Add(1)
			<-release
			return nil
		}
		b := backends.New("ceph", driver, backends.Options{Timeout: time.Minute})
		wantClass(t, b.Create(t.Context(), refOf("db-01"), volume.MiB), volume.Unavailable)
		wantClass(t, b.Fence(t.Context(), inEpoch(refOf("db-01"), 2)), volume.Unavailable)
		if got := entered.Load(); got != 1 {
			t.Errorf("driver calls: got %d, want 1: the fence would be beside the create", got)
		}
		close(release)
		synctest.Wait()
		wantClass(t, b.Fence(t.Context(), inEpoch(refOf("db-01"), 2)), "")
	})
}

func TestFence_Refused_KeepsItsTypeAndCode(t *testing.T) {
	b := backends.New("memory", null.New(null.Options{}), backends.Options{})
	wantClass(t, b.Fence(t.Context(), inEpoch(refOf("db-01"), 5)), "")
	for name, err := range map[string]error{
		"fence":  b.Fence(t.Context(), inEpoch(refOf("db-01"), 3)),
		"create": b.Create(t.Context(), inEpoch(refOf("db-01"), 3), volume.MiB),
	} {
		wantClass(t, err, volume.Aborted)
		fenced, ok := errors.AsType[*backends.FencedError](err)
		if !ok || *fenced != (backends.FencedError{Epoch: 3, Stored: 5}) {
			t.Errorf("%s: got %#v, want epoch 3 refused for 5", name, fenced)
		}
		want := name + " volume default.db-01: backend memory: epoch 3 is fenced, the lowest taken is 5: fenced"
		if got := err.Error(); got != want {
			t.Errorf("text: got %q, want %q", got, want)
		}
		if told := volume.BackendError(err); told.Code != volume.ErrFenced {
			t.Errorf("%s: got code %s for users, want %s", name, told.Code, volume.ErrFenced)
		}
	}
}

func ExampleBackend_Fence() {
	ctx := context.Background()
	backend := backends.New("memory", null.New(null.Options{}), backends.Options{})
	defer backend.Close()

	key := volume.Key{Project: "default", Name: "db-01"}
	stale := backends.Ref{Key: key, ID: volume.NewID(key, 1), Epoch: 1}
	owner := backends.Ref{Key: key, ID: volume.NewID(key, 1), Epoch: 2}
	fmt.Println(backend.Fence(ctx, owner))
	fmt.Println(backend.Create(ctx, stale, 10*volume.GiB))
	fmt.Println(backend.Create(ctx, owner, 10*volume.GiB))
	// Output:
	// <nil>
	// create volume default.db-01: backend memory: epoch 1 is fenced, the lowest taken is 2: fenced
	// <nil>
}
