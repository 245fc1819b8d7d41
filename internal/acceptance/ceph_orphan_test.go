//go:build ceph

package acceptance

import (
	"fmt"
	"slices"
	"strings"
	"testing"

	"github.com/nats-io/nats.go/jetstream"

	"github.com/jetvol/jetvol/internal/cephtest"
	"github.com/jetvol/jetvol/kv"
	"github.com/jetvol/jetvol/volume"
)

// records returns the records of all volumes.
func records(t *testing.T, js jetstream.JetStream) []volume.Record {
	t.Helper()
	page, next, err := kv.NewVolumes(js).List(t.Context(), kv.ListOptions{Limit: kv.MaxPageSize})
	if err != nil || next != 0 {
		t.Fatalf("list records: %v, next page at %d", err, next)
	}
	var all []volume.Record
	for _, entry := range page {
		all = append(all, entry.Value)
	}
	return all
}

// wantNoOrphans wants an image for each volume that exists and none besides, halves of
// images included.
func (p *place) wantNoOrphans(t *testing.T, js jetstream.JetStream) {
	t.Helper()
	for _, orphan := range p.orphans(t, records(t, js)) {
		t.Error(orphan)
	}
}

// orphans compares what is in the place with the records.
func (p *place) orphans(t *testing.T, records []volume.Record) (faults []string) {
	t.Helper()
	var want []string
	for _, record := range records {
		if record.Exists() {
			want = append(want, imageOf(record.Key))
		}
	}
	slices.Sort(want)
	if got := p.images(t); !slices.Equal(got, want) {
		faults = append(faults, fmt.Sprintf("images %q, want those of the records, %q", got, want))
	}
	ids, headers := 0, 0
	for _, object := range p.objects(t) {
		switch {
		case strings.HasPrefix(object, "rbd_id."):
			ids++
		case strings.HasPrefix(object, "rbd_header."):
			headers++
		}
	}
	if ids != len(want) || headers != len(want) {
		faults = append(faults, fmt.Sprintf("%d names and %d headers of images, want %d each", ids, headers, len(want)))
	}
	return faults
}

// objects returns the names of all objects of the place, of which images are made.
func (p *place) objects(t *testing.T) []string {
	t.Helper()
	return strings.Fields(p.cluster.Rados(t, "--pool", p.Pool, "--namespace", p.Namespace, "ls"))
}

// The comparison finds what it is there for.
func TestCeph_Orphans_Planted_AreFound(t *testing.T) {
	p := newPlace(t, cephtest.Start(t))
	image := func(key volume.Key) string { return p.image(imageOf(key)) }
	kept, lost := volume.Key{Project: "p", Name: "kept"}, volume.Key{Project: "p", Name: "lost"}
	p.cluster.RBD(t, "create", "--size", "1M", image(kept))
	record := func(key volume.Key) volume.Record {
		return volume.Record{Key: key, ID: volume.NewID(key, 1), State: volume.StateAvailable}
	}
	known := []volume.Record{record(kept)}
	if got := p.orphans(t, known); len(got) != 0 {
		t.Errorf("got %q, want no orphan", got)
	}
	if got := p.orphans(t, nil); len(got) != 2 {
		t.Errorf("image without a record: got %q, want it found in both ways", got)
	}
	if got := p.orphans(t, append(known, record(lost))); len(got) != 2 {
		t.Errorf("record without an image: got %q, want it found in both ways", got)
	}
	// The half of an image: a header that no name leads to.
	p.cluster.Rados(t, "--pool", p.Pool, "--namespace", p.Namespace, "create", "rbd_header.0123456789ab")
	if got := p.orphans(t, known); len(got) != 1 {
		t.Errorf("header without a name: got %q, want it found", got)
	}
}
