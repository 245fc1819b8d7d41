package backends_test

import (
	"context"
	"fmt"
	"testing"
	"testing/synctest"
	"time"

	"github.com/jetvol/jetvol/backends"
	"github.com/jetvol/jetvol/volume"
)

func listing(list func(ctx context.Context, yield func(backends.Object) bool) error) *ableDriver {
	return &ableDriver{fakeDriver: &fakeDriver{call: func(context.Context, volume.Key) error { return nil }}, list: list}
}

// tellThree tells three objects and returns what yield said last.
func tellThree(yield func(backends.Object) bool) bool {
	for i := range 3 {
		if !yield(backends.Object{Ref: refOf(volume.Name(fmt.Sprintf("v%d", i)))}) {
			return false
		}
	}
	return true
}

func TestList_Objects_AreToldInOrderAndError(t *testing.T) {
	b := backends.New("local", listing(func(_ context.Context, yield func(backends.Object) bool) error {
		tellThree(yield)
		return backends.Errorf(volume.Internal, "1 damaged")
	}), backends.Options{})
	told := 0
	err := b.List(t.Context(), func(o backends.Object) bool {
		if want := refOf(volume.Name(fmt.Sprintf("v%d", told))); o.Ref != want {
			t.Errorf("object %d: got %v, want %v", told, o.Ref, want)
		}
		told++
		return true
	})
	wantClass(t, err, volume.Internal)
	if told != 3 {
		t.Errorf("objects: got %d, want 3", told)
	}
}

func TestList_YieldStops_FreesTheSlot(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		wentOn := false
		b := backends.New("local", listing(func(_ context.Context, yield func(backends.Object) bool) error {
			wentOn = tellThree(yield)
			return nil
		}), backends.Options{Concurrency: 1})
		told := 0
		wantClass(t, b.List(t.Context(), func(backends.Object) bool { told++; return false }), "")
		synctest.Wait()
		if told != 1 || wentOn {
			t.Errorf("after yield said stop: got %d objects and the driver told to go on %t, want 1 and false", told, wentOn)
		}
		wantClass(t, get(t, b, "db-01"), "")
	})
}

func TestList_YieldPanics_IsTheCallersPanic(t *testing.T) {
	b := backends.New("local", listing(func(_ context.Context, yield func(backends.Object) bool) error {
		tellThree(yield)
		return nil
	}), backends.Options{Concurrency: 1})
	defer func() {
		if got := recover(); got != "mine" {
			t.Errorf("panic: got %v, want the caller's own", got)
		}
		wantClass(t, get(t, b, "db-01"), "")
	}()
	_ = b.List(t.Context(), func(backends.Object) bool { panic("mine") })
}

func TestList_TimeoutCountsOnlyWaitingForObjects(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		const timeout = time.Minute
		b := backends.New("local", listing(func(ctx context.Context, yield func(backends.Object) bool) error {
			for range 10 {
				<-time.After(timeout / 2)
				if !yield(backends.Object{}) {
					return nil
				}
			}
			return ctx.Err()
		}), backends.Options{Timeout: timeout})
		told := 0
		err := b.List(t.Context(), func(backends.Object) bool {
			<-time.After(2 * timeout)
			told++
			return true
		})
		wantClass(t, err, "")
		if told != 10 {
			t.Errorf("objects: got %d, want 10", told)
		}
	})
}

func TestList_DriverStuck_NeverYieldsAfterReturn(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		release := make(chan struct{})
		b := backends.New("local", listing(func(_ context.Context, yield func(backends.Object) bool) error {
			yield(backends.Object{})
			<-release
			tellThree(yield)
			return nil
		}), backends.Options{Timeout: time.Minute, Concurrency: 1})
		told := 0
		wantClass(t, b.List(t.Context(), func(backends.Object) bool { told++; return true }), volume.Unavailable)
		wantClass(t, get(t, b, "db-01"), volume.Unavailable) // it still has the slot
		close(release)
		synctest.Wait()
		if told != 1 {
			t.Errorf("objects: got %d, want the 1 from before the return", told)
		}
		wantClass(t, get(t, b, "db-01"), "")
	})
}

func TestList_CallerCancels_IsAborted(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := backends.New("local", listing(func(ctx context.Context, _ func(backends.Object) bool) error {
			<-ctx.Done()
			return ctx.Err()
		}), backends.Options{})
		ctx, cancel := context.WithCancel(t.Context())
		time.AfterFunc(time.Second, cancel)
		wantClass(t, b.List(ctx, nil), volume.Aborted)
	})
}
