package backends_test

import (
	"context"
	"fmt"
	"slices"
	"testing"
	"testing/synctest"
	"time"

	"github.com/jetvol/jetvol/backends"
	"github.com/jetvol/jetvol/backends/null"
	"github.com/jetvol/jetvol/volume"
)

// What was fenced before an error would otherwise be told to nobody.
func TestEvict_DriverFailsHalfWay_TellsWhatWasFenced(t *testing.T) {
	driver := &ableDriver{
		fakeDriver: &fakeDriver{call: func(context.Context, volume.Key) error { return volume.Busy }},
		evicted:    backends.Eviction{Clients: []string{"127.0.0.1:0/3948123"}},
	}
	b := backends.New("ceph", driver, backends.Options{})
	eviction, err := b.Evict(t.Context(), refOf("db-01"), "n12")
	wantClass(t, err, volume.Busy)
	if !slices.Equal(eviction.Clients, driver.evicted.Clients) {
		t.Errorf("clients: got %q, want %q", eviction.Clients, driver.evicted.Clients)
	}
	if got, want := err.Error(), "evict volume default.db-01 from node n12: backend ceph: busy"; got != want {
		t.Errorf("text: got %q, want %q", got, want)
	}
}

// heldDriver keeps its calls until they are released by the name of their method.
type heldDriver struct {
	*ableDriver
	resizing, evicting chan struct{} // closed to release
	begun              chan string
}

func newHeldDriver() *heldDriver {
	done := func(context.Context, volume.Key) error { return nil }
	return &heldDriver{
		ableDriver: &ableDriver{fakeDriver: &fakeDriver{call: done}},
		resizing:   make(chan struct{}), evicting: make(chan struct{}),
		begun: make(chan string, 10),
	}
}

func (d *heldDriver) Resize(context.Context, backends.Ref, volume.Bytes) error {
	d.begun <- "resize"
	<-d.resizing
	return nil
}

func (d *heldDriver) Attach(context.Context, backends.Ref, volume.Node, volume.Mode) (volume.Attachment, error) {
	d.begun <- "attach"
	return volume.Attachment{}, nil
}

func (d *heldDriver) Evict(context.Context, backends.Ref, volume.Node) (backends.Eviction, error) {
	d.begun <- "evict"
	<-d.evicting
	return backends.Eviction{}, nil
}

// A resize may wait for the very node that is to be evicted.
func TestEvict_WhileAnotherCallRuns_DoesNotWait(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		driver := newHeldDriver()
		b := backends.New("ceph", driver, backends.Options{})
		resized := make(chan error, 1)
		go func() { resized <- b.Resize(t.Context(), refOf("db-01"), volume.GiB) }()
		synctest.Wait()
		close(driver.evicting)
		began := time.Now()
		wantClass(t, evict(b, refOf("db-01"), "n12"), "")
		if took := time.Since(began); took != 0 {
			t.Errorf("evict: got it after %s, want it at once", took)
		}
		close(driver.resizing)
		wantClass(t, <-resized, "")
		wantBegun(t, driver, "resize", "evict")
	})
}

// An eviction that was given up and goes on might shut out the node that is attached next.
func TestEvict_Abandoned_KeepsLaterCallsAndEvictionsWaiting(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		driver := newHeldDriver()
		b := backends.New("ceph", driver, backends.Options{})
		attach := func() error {
			_, err := b.Attach(t.Context(), refOf("db-01"), "n13", volume.ReadWrite)
			return err
		}
		wantClass(t, evict(b, refOf("db-01"), "n12"), volume.Unavailable)
		wantClass(t, evict(b, refOf("db-01"), "n12"), volume.Unavailable)
		wantClass(t, attach(), volume.Unavailable)
		wantBegun(t, driver, "evict")

		close(driver.evicting)
		synctest.Wait()
		wantClass(t, attach(), "")
		wantClass(t, evict(b, refOf("db-01"), "n12"), "")
		wantBegun(t, driver, "attach", "evict")
	})
}

// wantBegun wants these calls to have reached the driver since the last look.
func wantBegun(t *testing.T, driver *heldDriver, want ...string) {
	t.Helper()
	var got []string
	for range len(driver.begun) {
		got = append(got, <-driver.begun)
	}
	if !slices.Equal(got, want) {
		t.Errorf("driver calls: got %q, want %q", got, want)
	}
}

func ExampleBackend_Evict() {
	ctx := context.Background()
	backend := backends.New("memory", null.New(null.Options{}), backends.Options{})
	defer backend.Close()

	key := volume.Key{Project: "default", Name: "db-01"}
	ref := backends.Ref{Key: key, ID: volume.NewID(key, 1)}
	_ = backend.Create(ctx, ref, 10*volume.GiB)
	_, _ = backend.Attach(ctx, ref, "n12", volume.ReadWrite)

	eviction, err := backend.Evict(ctx, ref, "n12")
	fmt.Println(len(eviction.Clients), err)
	attachment, err := backend.Attach(ctx, ref, "n13", volume.ReadWrite)
	fmt.Println(attachment.Node, err)
	// Output:
	// 0 <nil>
	// n13 <nil>
}
