package backends_test

import (
	"context"
	"errors"
	"fmt"
	"io"
	"runtime"
	"slices"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/jetvol/jetvol/backends"
	"github.com/jetvol/jetvol/volume"
)

func TestBackend_InvalidArguments_NeverReachDriver(t *testing.T) {
	driver := &ableDriver{fakeDriver: &fakeDriver{call: func(context.Context, volume.Key) error {
		t.Error("driver was called")
		return nil
	}}}
	b := backends.New("local", driver, backends.Options{})
	good := refOf("db-01")
	otherID := backends.Ref{Key: good.Key, ID: refOf("db-02").ID}
	noID := backends.Ref{Key: good.Key}
	evil := refOf("../../etc")
	ctx := t.Context()
	attach := func(ref backends.Ref, node volume.Node, mode volume.Mode) error {
		_, err := b.Attach(ctx, ref, node, mode)
		return err
	}
	for name, err := range map[string]error{
		"create, name":      b.Create(ctx, evil, volume.MiB),
		"create, no id":     b.Create(ctx, noID, volume.MiB),
		"create, other id":  b.Create(ctx, otherID, volume.MiB),
		"create, no size":   b.Create(ctx, good, 0),
		"create, size < 0":  b.Create(ctx, good, -1),
		"create, too large": b.Create(ctx, good, volume.MaxSize+1),
		"delete, name":      b.Delete(ctx, evil),
		"delete, other id":  b.Delete(ctx, otherID),
		"get, name":         get(t, b, "a\nb"),
		"attach, name":      attach(evil, "n12", volume.ReadWrite),
		"attach, node":      attach(good, "a/b", volume.ReadWrite),
		"attach, no node":   attach(good, "", volume.ReadWrite),
		"attach, mode":      attach(good, "n12", "rw"),
		"detach, name":      b.Detach(ctx, evil, "n12"),
		"detach, node":      b.Detach(ctx, good, ".."),
		"resize, name":      b.Resize(ctx, evil, volume.MiB),
		"resize, size":      b.Resize(ctx, good, 0),
		"evict, name":       evict(b, evil, "n12"),
		"evict, node":       evict(b, good, "a/b"),
		"evict, no node":    evict(b, good, ""),
		"fence, name":       b.Fence(ctx, evil),
		"fence, other id":   b.Fence(ctx, otherID),
		"fence, no epoch":   b.Fence(ctx, good),
	} {
		t.Run(name, func(t *testing.T) {
			wantClass(t, err, volume.InvalidArgument)
			if text := fmt.Sprint(err); !strings.Contains(text, ": backend local: ") || strings.ContainsAny(text, "\n\r\x00") {
				t.Errorf("text: got %q, want the backend and no control characters in it", text)
			}
		})
	}
}

func TestBackend_DriverErrors_AreClassifiedAndNamed(t *testing.T) {
	deeper, cancel := context.WithCancel(t.Context())
	cancel()
	for _, c := range []struct {
		name string
		err  error
		want volume.Class
		text string // after "attach volume default.db-01 to node n12: backend ceph-ssd: "
	}{
		{"Nil", nil, "", ""},
		{"Classed", backends.Errorf(volume.Busy, "image locked by client.4123"), volume.Busy, "image locked by client.4123: busy"},
		{"ClassedAndWrapped", fmt.Errorf("rbd: %w", backends.Errorf(volume.NotFound, "no image")), volume.NotFound, "rbd: no image: not_found"},
		{"BareClass", volume.ResourceExhausted, volume.ResourceExhausted, "resource_exhausted"},
		{"Coded", volume.Errorf(volume.ErrInvalidSize, "size 3"), volume.InvalidArgument, "size 3: invalid_size"},
		{"Unclassified", io.ErrUnexpectedEOF, volume.Internal, "unexpected EOF: internal"},
		{"ItsOwnDeadline", fmt.Errorf("monitor: %w", context.DeadlineExceeded), volume.Unavailable, "monitor: context deadline exceeded: unavailable"},
		{"ItsOwnCancel", deeper.Err(), volume.Aborted, "context canceled: aborted"},
		{"InternalDeadline", backends.Errorf(volume.Internal, "bug: %w", context.DeadlineExceeded), volume.Internal, "bug: context deadline exceeded: internal"},
	} {
		t.Run(c.name, func(t *testing.T) {
			b := backends.New("ceph-ssd", &fakeDriver{call: func(context.Context, volume.Key) error { return c.err }}, backends.Options{})
			_, err := b.Attach(t.Context(), refOf("db-01"), "n12", volume.ReadOnly)
			wantClass(t, err, c.want)
			if c.err == nil {
				return
			}
			if !errors.Is(err, c.err) {
				t.Errorf("got %v, want it to wrap %v", err, c.err)
			}
			if got, want := err.Error(), "attach volume default.db-01 to node n12: backend ceph-ssd: "+c.text; got != want {
				t.Errorf("text: got %q, want %q", got, want)
			}
		})
	}
}

func TestBackend_ContextOver_IsNotBegun(t *testing.T) {
	b := backends.New("local", &fakeDriver{call: func(context.Context, volume.Key) error {
		t.Error("driver was called")
		return nil
	}}, backends.Options{})
	cancelled, cancel := context.WithCancel(t.Context())
	cancel()
	wantClass(t, b.Delete(cancelled, refOf("db-01")), volume.Aborted)
	expired, cancel := context.WithTimeout(t.Context(), -1)
	defer cancel()
	wantClass(t, b.Delete(expired, refOf("db-01")), volume.Unavailable)
}

func TestBackend_ContextEndsDuringCall(t *testing.T) {
	for _, c := range []struct {
		name    string
		obeys   bool // the driver returns at once, with an error of its own
		caller  bool // the caller cancels, rather than the timeout
		want    volume.Class
		elapsed time.Duration
	}{
		{"TimeoutObeyed", true, false, volume.Unavailable, time.Minute},
		{"TimeoutIgnored", false, false, volume.Unavailable, time.Minute},
		{"CancelObeyed", true, true, volume.Aborted, time.Second},
		{"CancelIgnored", false, true, volume.Aborted, time.Second},
	} {
		t.Run(c.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				release := make(chan struct{})
				defer close(release)
				b := backends.New("local", &fakeDriver{call: func(ctx context.Context, _ volume.Key) error {
					if !c.obeys {
						<-release
						return nil
					}
					<-ctx.Done()
					return errors.New("connection dropped")
				}}, backends.Options{Timeout: time.Minute})
				ctx, cancel := context.WithCancel(t.Context())
				defer cancel()
				if c.caller {
					time.AfterFunc(time.Second, cancel)
				}
				began := time.Now()
				err := b.Create(ctx, refOf("db-01"), volume.MiB)
				wantClass(t, err, c.want)
				if took := time.Since(began); took != c.elapsed {
					t.Errorf("took: got %s, want %s", took, c.elapsed)
				}
				if !c.obeys && !strings.Contains(err.Error(), "outcome unknown") {
					t.Errorf("text: got %q, want that the outcome is unknown", err)
				}
			})
		})
	}
}

func TestBackend_AbandonedCall_KeepsItsVolume(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		driver := newStuckDriver()
		b := backends.New("ceph", driver, backends.Options{Timeout: time.Minute})
		wantClass(t, get(t, b, "db-01"), volume.Unavailable)
		wantClass(t, get(t, b, "db-01"), volume.Unavailable)
		if got := len(driver.entered); got != 1 {
			t.Errorf("driver calls for the volume: got %d, want 1: the second would be beside the first", got)
		}
		wantClass(t, get(t, b, "db-02"), volume.Unavailable)
		if got := len(driver.entered); got != 2 {
			t.Errorf("driver calls with another volume's: got %d, want 2", got)
		}
		close(driver.release)
		synctest.Wait()
		wantClass(t, get(t, b, "db-01"), "")
	})
}

func TestBackend_AbandonedCall_KeepsItsSlot(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		driver := newStuckDriver()
		b := backends.New("ceph", driver, backends.Options{Timeout: time.Minute, Concurrency: 1})
		wantClass(t, get(t, b, "db-01"), volume.Unavailable)
		wantClass(t, get(t, b, "db-02"), volume.Unavailable)
		if got := len(driver.entered); got != 1 {
			t.Errorf("driver calls: got %d, want 1: there is one slot", got)
		}
		close(driver.release)
		synctest.Wait()
		wantClass(t, get(t, b, "db-02"), "")
	})
}

func TestBackend_LongWaitForTurn_LeavesFullTimeout(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		const timeout, work = time.Minute, 50 * time.Second
		b := backends.New("local", &fakeDriver{call: func(ctx context.Context, _ volume.Key) error {
			select {
			case <-time.After(work):
				return nil
			case <-ctx.Done():
				return ctx.Err()
			}
		}}, backends.Options{Timeout: timeout})
		var running sync.WaitGroup
		for range 2 {
			running.Go(func() { wantClass(t, get(t, b, "db-01"), "") })
		}
		running.Wait()
	})
}

// meter counts the calls that are inside a driver.
type meter struct {
	mu                   sync.Mutex
	byKey                map[volume.Key]int
	now, most, mostOfKey int
}

func (m *meter) call(ctx context.Context, key volume.Key) error {
	m.add(key, 1)
	defer m.add(key, -1)
	select {
	case <-time.After(time.Second):
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}

func (m *meter) add(key volume.Key, n int) {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.now += n
	m.byKey[key] += n
	m.most, m.mostOfKey = max(m.most, m.now), max(m.mostOfKey, m.byKey[key])
}

func TestBackend_ManyCalls_StayWithinLimits(t *testing.T) {
	const concurrency, volumes, callsEach = 4, 16, 8
	synctest.Test(t, func(t *testing.T) {
		m := &meter{byKey: make(map[volume.Key]int)}
		b := backends.New("local", &fakeDriver{call: m.call}, backends.Options{Timeout: time.Hour, Concurrency: concurrency})
		var running sync.WaitGroup
		for i := range volumes * callsEach {
			running.Go(func() { wantClass(t, get(t, b, volume.Name(fmt.Sprintf("v%d", i%volumes))), "") })
		}
		running.Wait()
		if m.most != concurrency {
			t.Errorf("driver calls at once: got %d, want %d", m.most, concurrency)
		}
		if m.mostOfKey != 1 {
			t.Errorf("driver calls at once for one volume: got %d, want 1", m.mostOfKey)
		}
	})
}

func TestBackend_DriverPanics_IsInternalAndFreesTheVolume(t *testing.T) {
	for name, misbehave := range map[string]func(){
		"Panic":  func() { panic("index out of range") },
		"Goexit": runtime.Goexit,
	} {
		t.Run(name, func(t *testing.T) {
			bad := true
			b := backends.New("local", &fakeDriver{call: func(context.Context, volume.Key) error {
				if bad {
					misbehave()
				}
				return nil
			}}, backends.Options{Concurrency: 1})
			err := get(t, b, "db-01")
			wantClass(t, err, volume.Internal)
			if panicked, ok := errors.AsType[*backends.PanicError](err); ok != (name == "Panic") || ok && len(panicked.Stack) == 0 {
				t.Errorf("got %#v, want a PanicError with a stack for a panic only", panicked)
			}
			bad = false
			wantClass(t, get(t, b, "db-01"), "")
		})
	}
}

func TestBackend_AbilityMissing_IsUnsupported(t *testing.T) {
	b := backends.New("plain", &fakeDriver{}, backends.Options{})
	if got := b.Capabilities(); got != (backends.Capabilities{}) {
		t.Errorf("capabilities: got %+v, want none", got)
	}
	wantClass(t, b.Resize(t.Context(), refOf("db-01"), volume.GiB), volume.Unsupported)
	wantClass(t, b.List(t.Context(), func(backends.Object) bool { return true }), volume.Unsupported)
	wantClass(t, b.Fence(t.Context(), inEpoch(refOf("db-01"), 1)), volume.Unsupported)
	wantClass(t, evict(b, refOf("db-01"), "n12"), volume.Unsupported)
	if b.CanFence() || b.CanEvict() {
		t.Error("can fence or evict: got true for a driver that cannot")
	}
	able := backends.New("able", &ableDriver{}, backends.Options{})
	if got, want := able.Capabilities(), (backends.Capabilities{Resize: true, List: true, Fence: true, Evict: true}); got != want {
		t.Errorf("capabilities: got %+v, want %+v", got, want)
	}
}

// observer is told of calls that end, in the context that they were begun with.
type observer func(ctx context.Context, call string, err error, took time.Duration)

type callKey struct{}

func (o observer) Begin(ctx context.Context, call string) context.Context {
	return context.WithValue(ctx, callKey{}, call)
}

func (o observer) End(ctx context.Context, call string, err error, took time.Duration) {
	o(ctx, call, err, took)
}

func TestBackend_Observe_SeesEveryCallOnce(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var seen []string
		driver := &ableDriver{
			fakeDriver: &fakeDriver{call: func(ctx context.Context, key volume.Key) error {
				<-time.After(2 * time.Second)
				if ctx.Value(callKey{}) == nil {
					t.Error("driver: got another context than the call was begun with")
				}
				if key == keyOf("gone") {
					return volume.NotFound
				}
				return nil
			}},
			list: func(context.Context, func(backends.Object) bool) error { return nil },
		}
		b := backends.New("local", driver, backends.Options{Observe: observer(func(ctx context.Context, call string, err error, took time.Duration) {
			seen = append(seen, fmt.Sprintf("%s %q %s", call, volume.ClassOf(err), took))
			if begun := ctx.Value(callKey{}); begun != call {
				t.Errorf("end of %s: got the context of %v, want its own", call, begun)
			}
		})})
		ctx, ref := t.Context(), refOf("db-01")
		wantClass(t, b.Create(ctx, ref, volume.MiB), "")
		wantClass(t, get(t, b, "gone"), volume.NotFound)
		wantClass(t, get(t, b, "UPPER"), volume.InvalidArgument)
		wantClass(t, b.Resize(ctx, ref, volume.GiB), "")
		wantClass(t, b.Fence(ctx, inEpoch(ref, 1)), "")
		wantClass(t, evict(b, ref, "n12"), "")
		wantClass(t, b.List(ctx, nil), "")
		if _, err := b.Health(ctx); err != nil {
			t.Errorf("health: got %v, want no error", err)
		}
		want := []string{
			`create "" 2s`, `get "not_found" 2s`, `get "invalid_argument" 0s`,
			`resize "" 2s`, `fence "" 2s`, `evict "" 2s`, `list "" 0s`, `health "" 2s`,
		}
		if !slices.Equal(seen, want) {
			t.Errorf("observed: got %q, want %q", seen, want)
		}
	})
}
