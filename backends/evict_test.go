package backends_test

import (
	"context"
	"fmt"
	"slices"
	"testing"

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
