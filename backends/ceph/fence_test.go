//go:build ceph

package ceph

import (
	"context"
	"errors"
	"fmt"
	"os"
	"runtime"
	"slices"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"github.com/ceph/go-ceph/rados"
	"golang.org/x/sync/errgroup"

	"github.com/jetvol/jetvol/backends"
	"github.com/jetvol/jetvol/internal/cephtest"
	"github.com/jetvol/jetvol/volume"
)

func TestFence_ProcessKilled_CostsTheFirstFenceOnly(t *testing.T) {
	cfg := inNamespace(t)
	d := openConnected(t, cfg)
	c := startChild(t, cfg, "idle")
	c.ready(t)
	must(t, c.Process.Kill())
	must(t, c.wait(0))
	took := make([]time.Duration, 2)
	for i := range took {
		began := time.Now()
		must(t, d.Fence(t.Context(), in(ownerEpoch+uint64(i), refOf("db-01"))))
		took[i] = time.Since(began)
	}
	if took[0] < answerTime || took[1] >= answerTime {
		t.Errorf("fences took: got %s, want more and then less than %s", took, answerTime)
	}
	entries := entriesOf(t, d)
	slices.Sort(entries)
	if want := []string{"client", "evicted"}; !slices.Equal(entries, want) {
		t.Errorf("registry: got %v, want %v", entries, want)
	}
}

func TestFence_TwoAtOnce_TheLaterHolds(t *testing.T) {
	cfg := inNamespace(t)
	drivers := []*driver{openConnected(t, cfg), openConnected(t, cfg), openConnected(t, cfg)}
	ref := refOf("db-01")
	for round := range uint64(10) {
		base := 10 * (round + 1)
		var running sync.WaitGroup
		errs := make([]error, 2)
		for i := range errs {
			running.Go(func() { errs[i] = drivers[i].Fence(t.Context(), in(base+uint64(i), ref)) })
		}
		running.Wait()
		must(t, errs[1])
		if errs[0] != nil && !errors.Is(errs[0], volume.ErrFenced) {
			t.Errorf("the lower of two fences: got %v, want success or %v", errs[0], volume.ErrFenced)
		}
		for i, d := range drivers {
			err := d.change(t.Context(), in(base, ref), func(*conn) error { return nil })
			if refusal, ok := errors.AsType[*backends.FencedError](err); !ok || refusal.Stored != base+1 {
				t.Errorf("driver %d: got %v, want a fence of epoch %d", i, err, base+1)
			}
		}
	}
}

// TestFence_ConnectionsComeAndGo_NoneMissesIt opens and closes the pool while fences are
// made: a connection learns of a fence by its notice or when it loads them.
func TestFence_ConnectionsComeAndGo_NoneMissesIt(t *testing.T) {
	const fences, comers = 150, 3
	cfg := inNamespace(t)
	d := openConnected(t, cfg)
	ref := refOf("db-01")
	var made atomic.Uint64 // the last fence that has returned
	must(t, d.Fence(t.Context(), in(1, ref)))
	made.Store(1)
	ctx, end := context.WithCancel(t.Context())
	var group errgroup.Group
	for range comers {
		group.Go(func() error {
			for ctx.Err() == nil {
				if err := comeAndGo(cfg, ref, &made); err != nil {
					return err
				}
			}
			return nil
		})
	}
	for epoch := uint64(2); epoch < fences; epoch++ {
		must(t, d.Fence(t.Context(), in(epoch, ref)))
		made.Store(epoch)
	}
	end()
	must(t, group.Wait())
	if entries := entriesOf(t, d); !slices.Equal(entries, []string{"client"}) {
		t.Errorf("registry: got %v, want one client and nobody evicted", entries)
	}
}

func comeAndGo(cfg Config, ref backends.Ref, made *atomic.Uint64) error {
	d, err := Open(context.Background(), cfg)
	if err != nil {
		return err
	}
	for range 5 {
		fence := made.Load()
		err := d.(*driver).change(context.Background(), in(fence-1, ref), func(*conn) error { return nil })
		if !errors.Is(err, volume.ErrFenced) {
			return fmt.Errorf("call in epoch %d: got %v, want it fenced by %d", fence-1, err, fence)
		}
	}
	return d.Close()
}

// hold keeps a call of ref running until its result is sent.
func hold(t *testing.T, d *driver, ref backends.Ref) (result chan<- error, ended <-chan error) {
	t.Helper()
	begun, given, done := make(chan struct{}), make(chan error), make(chan error, 1)
	go func() {
		done <- d.change(context.Background(), ref, func(*conn) error {
			close(begun)
			return <-given
		})
	}()
	<-begun
	return given, done
}

func TestFence_OlderCallRuns_IsBusyUntilItEnds(t *testing.T) {
	cfg := inNamespace(t)
	d, other := openConnected(t, cfg), openConnected(t, cfg)
	ref := refOf("db-01")
	result, ended := hold(t, other, in(staleEpoch, ref))
	if err := d.Fence(t.Context(), in(ownerEpoch, ref)); !errors.Is(err, volume.Busy) {
		t.Errorf("fence in the middle of an older call: got %v, want %v", err, volume.Busy)
	}
	must(t, d.Fence(t.Context(), in(ownerEpoch, refOf("db-02")))) // nobody's call
	must(t, d.Fence(t.Context(), in(staleEpoch, refOf("db-03"))))
	result <- nil
	must(t, <-ended)
	must(t, d.Fence(t.Context(), in(ownerEpoch, ref)))
	if entries := entriesOf(t, d); slices.Contains(entries, "evicted") {
		t.Errorf("registry: got %v, want nobody evicted", entries)
	}
}

func TestFence_OlderCallEndsSoon_WaitsForIt(t *testing.T) {
	cfg := inNamespace(t)
	d, other := openConnected(t, cfg), openConnected(t, cfg)
	ref := refOf("db-01")
	result, _ := hold(t, other, in(staleEpoch, ref))
	time.AfterFunc(yieldTime/4, func() { result <- nil })
	must(t, d.Fence(t.Context(), in(ownerEpoch, ref)))
}

// A call that timed out may still wait in the socket of an OSD.
func TestFence_OlderCallTimedOut_ItsConnectionIsShutOut(t *testing.T) {
	cfg := inNamespace(t)
	d, other := openConnected(t, cfg), openConnected(t, cfg)
	ref := refOf("db-01")
	result, ended := hold(t, other, in(staleEpoch, ref))
	result <- classify(errno(syscall.ETIMEDOUT))
	if err := <-ended; !errors.Is(err, volume.Unavailable) {
		t.Errorf("call that timed out: got %v, want %v", err, volume.Unavailable)
	}
	must(t, other.Fence(t.Context(), in(staleEpoch+1, ref))) // its own requests stay in order
	must(t, d.Fence(t.Context(), in(ownerEpoch, ref)))
	wantReplaced(t, other)
}

type errno syscall.Errno

func (e errno) Error() string  { return syscall.Errno(e).Error() }
func (e errno) ErrorCode() int { return -int(e) }

// wantReplaced wants a driver whose connection ended to go on with another one, and to
// know the fence of db-01 then.
func wantReplaced(t *testing.T, d *driver) {
	t.Helper()
	err := d.change(t.Context(), in(ownerEpoch, refOf("db-02")), func(c *conn) error { return makeTrace(c, "db-02") })
	if err != nil && !errors.Is(err, volume.Unavailable) {
		t.Errorf("call over the connection that ended: got %v, want %v", err, volume.Unavailable)
	}
	must(t, wantFenced(t.Context(), d))
	// An OSD may learn only now that the connection is shut out.
	soon(t, "go on over another connection", func() error {
		return d.change(t.Context(), in(ownerEpoch, refOf("db-02")), func(c *conn) error { return makeTrace(c, "db-02") })
	})
	must(t, wantFenced(t.Context(), d))
}

func TestDriver_OwnConnectionBlocklisted_ConnectsAnewAndKnowsFences(t *testing.T) {
	cfg := inNamespace(t)
	d, other := openConnected(t, cfg), openConnected(t, cfg)
	must(t, d.Fence(t.Context(), in(ownerEpoch, refOf("db-01"))))
	must(t, d.use(t.Context(), func(c *conn) error {
		return other.use(t.Context(), func(evicted *conn) error {
			return blocklist(t.Context(), c.cluster, time.Minute, evicted.addrs...)
		})
	}))
	wantReplaced(t, other)
	must(t, d.Fence(t.Context(), in(ownerEpoch, refOf("db-03"))))
}

func TestDriver_RegistryRemoved_IsMadeAnew(t *testing.T) {
	cfg := inNamespace(t)
	d, other := openConnected(t, cfg), openConnected(t, cfg)
	must(t, d.use(t.Context(), func(c *conn) error { return c.io.Delete(registryObject) }))
	soon(t, "both connections notice", func() error {
		if !d.conns.current.fences.guard.isShut() || !other.conns.current.fences.guard.isShut() {
			return errors.New("not both")
		}
		return nil
	})
	must(t, d.Fence(t.Context(), in(ownerEpoch, refOf("db-01"))))
	must(t, wantFenced(t.Context(), other))
	if entries := entriesOf(t, d); len(entries) != 2 {
		t.Errorf("registry: got %v, want two clients", entries)
	}
}

func TestRegister_OldThings_AreForgotten(t *testing.T) {
	cfg := inNamespace(t)
	d := openConnected(t, cfg)
	now := time.Now()
	ago := func(hours int) *time.Time { t := now.Add(-time.Duration(hours) * time.Hour); return &t }
	must(t, d.use(t.Context(), func(c *conn) error {
		for id, at := range map[uint64]*time.Time{1: ago(8 * 24), 2: ago(6 * 24)} {
			m := newMember(id, "127.0.0.1:0/"+strconv.FormatUint(id, 10))
			m.Since, m.Evicted = at.Add(-24*time.Hour), at
			must(t, writeMember(c.io, m))
		}
		for name, at := range map[volume.Name]*time.Time{"gone": ago(7*24 + 2), "kept": ago(7*24 - 2), "new": ago(0)} {
			f := storedFence{key: refOf(name).Key, epoch: ownerEpoch}
			must(t, c.io.SetOmap(f.object(), map[string][]byte{f.name(): []byte(strconv.FormatInt(at.Unix(), 10))}))
		}
		return nil
	}))
	openConnected(t, cfg)
	var names []string
	must(t, d.use(t.Context(), func(c *conn) error {
		members, err := readMembers(c.io)
		must(t, err)
		for _, m := range members {
			names = append(names, m.entry())
		}
		stored, err := loadFences(c.io)
		for _, f := range stored {
			names = append(names, string(f.key.Name))
		}
		return err
	}))
	has := func(name string) bool { return slices.Contains(names, name) }
	if has("evicted.1") || !has("evicted.2") || has("gone") || !has("kept") || !has("new") {
		t.Errorf("left: got %v, want evicted.2, kept and new but not evicted.1 and gone", names)
	}
}

func TestRegister_EntryUnreadable_NamesIt(t *testing.T) {
	cfg := inNamespace(t)
	for object, entry := range map[string]string{registryObject: "client.x", fenceObject(3): "default.db-01@5"} {
		d := openConnected(t, cfg)
		write := func(change func(*rados.IOContext) error) {
			must(t, d.use(t.Context(), func(c *conn) error { return change(c.io) }))
		}
		write(func(io *rados.IOContext) error { return io.SetOmap(object, map[string][]byte{entry: []byte("{}")}) })
		later, err := Open(t.Context(), cfg)
		must(t, err)
		_, err = later.Get(t.Context(), refOf("db-01").Key)
		if !errors.Is(err, volume.Internal) || !strings.Contains(err.Error(), object) || !strings.Contains(err.Error(), entry) {
			t.Errorf("get: got %v, want %v naming %s of %s", err, volume.Internal, entry, object)
		}
		must(t, later.Close())
		write(func(io *rados.IOContext) error { return io.RmOmapKeys(object, []string{entry}) })
	}
}

func TestDriver_OpenedAndClosed_LeavesNothing(t *testing.T) {
	cfg := inNamespace(t)
	d := openConnected(t, cfg)
	cycle := func() {
		opened, err := Open(t.Context(), cfg)
		must(t, err)
		must(t, opened.(*driver).Fence(t.Context(), in(ownerEpoch, refOf("db-01"))))
		must(t, opened.Close())
	}
	const warmUp, cycles = 3, 20
	for range warmUp {
		cycle()
	}
	goroutines, threads := runtime.NumGoroutine(), threadCount(t)
	for range cycles {
		cycle()
	}
	soon(t, "as many goroutines and threads as before, but for a few of the runtime's", func() error {
		g, th := runtime.NumGoroutine(), threadCount(t)
		if g < goroutines+cycles/4 && th < threads+cycles/4 {
			return nil
		}
		return fmt.Errorf("goroutines %d and then %d, threads %d and then %d", goroutines, g, threads, th)
	})
	if entries := entriesOf(t, d); len(entries) != 1 {
		t.Errorf("registry: got %v, want one client", entries)
	}
}

func threadCount(t testing.TB) int {
	t.Helper()
	tasks, err := os.ReadDir("/proc/self/task")
	must(t, err)
	return len(tasks)
}

// TestFence_PoolFull_IsMade: an owner has to take over volumes to delete them.
func TestFence_PoolFull_IsMade(t *testing.T) {
	t.Parallel()
	cluster := cephtest.Start(t)
	pool := cluster.NewPool(t)
	cfg := Config{Conf: cluster.Conf(), User: pool, Pool: pool}
	d := openConnected(t, cfg)
	must(t, d.use(t.Context(), func(c *conn) error { return c.io.WriteFull("filler", make([]byte, 1<<20)) }))
	cluster.SetQuota(t, pool, 4096)
	cluster.AwaitFull(t, pool, true)
	must(t, d.Fence(t.Context(), in(ownerEpoch, refOf("db-01"))))
	must(t, wantFenced(t.Context(), openConnected(t, cfg)))
}

// TestFence_OSDHangs_IsUnavailableAndHeals: what a worker asked of an OSD that hangs may
// still wait there when the OSD goes on, and the worker's connection must not matter then.
func TestFence_OSDHangs_IsUnavailableAndHeals(t *testing.T) {
	t.Parallel()
	cluster := cephtest.StartOwn(t)
	cfg := impatient(configOf(cluster))
	d, other := openConnected(t, cfg), openConnected(t, cfg)
	ref := refOf("db-01")
	cluster.Freeze(t, cephtest.OSD)
	refused(t, other.Create(t.Context(), in(staleEpoch, ref), small), "create", volume.Unavailable)
	refused(t, d.Fence(t.Context(), in(ownerEpoch, ref)), "fence", volume.Unavailable)
	cluster.Resume(t, cephtest.OSD)
	soon(t, "fence after the OSD went on", func() error { return d.Fence(t.Context(), in(ownerEpoch, ref)) })
	must(t, create(t.Context(), d, in(ownerEpoch, ref)))
	wantReplaced(t, other)
	if entries := entriesOf(t, d); !slices.Contains(entries, "evicted") {
		t.Errorf("registry: got %v, want the connection whose call was lost evicted", entries)
	}
}

// TestFence_MonitorHangs_EvictionIsUnavailableAndHeals: without a monitor nobody can be
// shut out.
func TestFence_MonitorHangs_EvictionIsUnavailableAndHeals(t *testing.T) {
	t.Parallel()
	cluster := cephtest.StartOwn(t)
	cfg := impatient(configOf(cluster))
	d := openConnected(t, cfg)
	c := startChild(t, cfg, "idle")
	c.ready(t)
	must(t, c.Process.Kill())
	must(t, c.wait(0))
	cluster.Freeze(t, cephtest.Mon)
	refused(t, d.Fence(t.Context(), in(ownerEpoch, refOf("db-01"))), "fence", volume.Unavailable)
	cluster.Resume(t, cephtest.Mon)
	soon(t, "fence after the monitor went on", func() error { return d.Fence(t.Context(), in(ownerEpoch, refOf("db-01"))) })
}
