//go:build ceph

package ceph

import (
	"context"
	"fmt"
	"os"
	"runtime"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/jetvol/jetvol/backends"
	"github.com/jetvol/jetvol/internal/cephtest"
	"github.com/jetvol/jetvol/volume"
)

// TestDriver_ThousandTimedOutCalls_LeakNothing freezes the OSD and makes calls whose
// callers have given up long before librados does.
func TestDriver_ThousandTimedOutCalls_LeakNothing(t *testing.T) {
	const calls, concurrency = 1000, 32
	cluster := cephtest.StartOwn(t)
	cfg := impatient(configOf(cluster))
	d := open(t, cfg)
	backend := backends.New("leak", d, backends.Options{Timeout: 200 * time.Millisecond, Concurrency: concurrency})
	crowd(t, concurrency, calls, func(ctx context.Context) error { _, err := d.Health(ctx); return err }) // all threads are there
	threads, goroutines := tasks(t), runtime.NumGoroutine()

	cluster.Freeze(t, cephtest.OSD)
	var volumes atomic.Int64 // one each, as a volume has one call at a time
	timedOut := crowd(t, 2*concurrency, calls, func(ctx context.Context) error {
		_, err := backend.Get(ctx, refOf(volume.Name(fmt.Sprint("v", volumes.Add(1)))).Key)
		return err
	})
	most := tasks(t)
	cluster.Resume(t, cephtest.OSD)
	if timedOut != calls {
		t.Errorf("calls that timed out: got %d, want %d", timedOut, calls)
	}
	t.Logf("threads: %d before, %d during, goroutines: %d before", threads, most, goroutines)
	if most > threads+concurrency {
		t.Errorf("threads during the calls: got %d, want at most %d more than the %d before", most, concurrency, threads)
	}
	soon(t, "all calls to end", func() error {
		if now := runtime.NumGoroutine(); now > goroutines {
			return backends.Errorf(volume.Internal, "%d goroutines, %d before", now, goroutines)
		}
		return nil
	})
	if now := tasks(t); now > threads+concurrency {
		t.Errorf("threads after the calls: got %d, want at most %d", now, threads+concurrency)
	}
	soon(t, "create", func() error { return backend.Create(t.Context(), refOf("a"), small) })
	ok(t, backend.Close(), "close")
}

// crowd makes calls from so many callers and returns how many failed.
func crowd(t *testing.T, callers, calls int, call func(context.Context) error) (failed int) {
	t.Helper()
	var (
		running sync.WaitGroup
		mu      sync.Mutex
		left    = make(chan struct{}, calls)
	)
	for range calls {
		left <- struct{}{}
	}
	close(left)
	for range callers {
		running.Go(func() {
			for range left {
				if call(t.Context()) != nil {
					mu.Lock()
					failed++
					mu.Unlock()
				}
			}
		})
	}
	running.Wait()
	return failed
}

// tasks counts the threads of this process.
func tasks(t *testing.T) int {
	t.Helper()
	entries, err := os.ReadDir("/proc/self/task")
	ok(t, err, "list threads")
	return len(entries)
}

// TestDial_HundredFailures_LeakNothing: a connection that never came about has to end, too,
// and go-ceph's Shutdown ends only those that did.
func TestDial_HundredFailures_LeakNothing(t *testing.T) {
	cfg := configOf(cephtest.Start(t))
	cfg.Keyring = "/missing"
	d := open(t, cfg)
	get := func(ctx context.Context) error { _, err := d.Get(ctx, refOf("a").Key); return err }
	crowd(t, 1, 10, get)
	before := tasks(t)
	if failed := crowd(t, 1, 100, get); failed != 100 {
		t.Errorf("calls that failed: got %d, want all 100", failed)
	}
	// At once: later the garbage collector may run for another reason. A few may still end.
	if now := tasks(t); now > before+40 {
		t.Errorf("threads: got %d, want not many more than the %d before", now, before)
	}
	t.Logf("threads: %d before, %d after", before, tasks(t))
}
