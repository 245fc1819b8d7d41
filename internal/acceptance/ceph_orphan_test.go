//go:build ceph

package acceptance

import (
	"slices"
	"strings"
	"testing"

	"github.com/nats-io/nats.go/jetstream"

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
	var want []string
	for _, record := range records(t, js) {
		if record.Exists() {
			want = append(want, imageOf(record.Key))
		}
	}
	slices.Sort(want)
	if got := p.images(t); !slices.Equal(got, want) {
		t.Errorf("images: got %q, want those of the records, %q", got, want)
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
		t.Errorf("objects: got %d names and %d headers of images, want %d each", ids, headers, len(want))
	}
}

// objects returns the names of all objects of the place, of which images are made.
func (p *place) objects(t *testing.T) []string {
	t.Helper()
	return strings.Fields(p.cluster.Rados(t, "--pool", p.Pool, "--namespace", p.Namespace, "ls"))
}
