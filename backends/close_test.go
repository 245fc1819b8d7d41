package backends_test

import (
	"errors"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/jetvol/jetvol/backends"
	"github.com/jetvol/jetvol/volume"
)

func TestClose_CallRunning_WaitsForItAndRefusesNew(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		driver := newStuckDriver()
		var closed atomic.Int32
		driver.closed = func() error { closed.Add(1); return nil }
		b := backends.New("ceph", driver, backends.Options{Timeout: time.Minute})
		ended := make(chan error, 1)
		go func() { ended <- get(t, b, "db-01") }()
		<-driver.entered
		time.AfterFunc(time.Second, func() { close(driver.release) })
		closing := make(chan error, 1)
		go func() { closing <- b.Close() }()
		synctest.Wait()
		if closed.Load() != 0 {
			t.Error("driver was closed while a call ran")
		}
		wantClass(t, <-ended, "")
		wantClass(t, <-closing, "")
		wantClass(t, get(t, b, "db-01"), volume.FailedPrecondition)
		wantClass(t, b.Close(), "")
		if closed.Load() != 1 {
			t.Errorf("closes of the driver: got %d, want 1", closed.Load())
		}
	})
}

func TestClose_CallStuck_LeavesDriverOpen(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		driver := newStuckDriver()
		var closed atomic.Int32
		driver.closed = func() error { closed.Add(1); return nil }
		b := backends.New("ceph", driver, backends.Options{Timeout: time.Minute})
		wantClass(t, get(t, b, "db-01"), volume.Unavailable)
		wantClass(t, b.Close(), volume.Unavailable)
		if closed.Load() != 0 {
			t.Error("driver was closed while a call ran")
		}
		close(driver.release)
		synctest.Wait()
		wantClass(t, b.Close(), "")
		if closed.Load() != 1 {
			t.Errorf("closes of the driver: got %d, want 1", closed.Load())
		}
	})
}

func TestClose_DriverFails_IsTold(t *testing.T) {
	cause := errors.New("socket in use")
	b := backends.New("ceph", &fakeDriver{closed: func() error { return cause }}, backends.Options{})
	err := b.Close()
	wantClass(t, err, volume.Internal)
	if !errors.Is(err, cause) {
		t.Errorf("got %v, want it to wrap %v", err, cause)
	}
}
