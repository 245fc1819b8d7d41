//go:build ceph

package acceptance

import (
	"slices"
	"strings"
	"testing"

	"github.com/jetvol/jetvol/backends"
	"github.com/jetvol/jetvol/commands"
	"github.com/jetvol/jetvol/volume"
)

// The image is renamed with its data, and nothing of jetvol is left on it. What somebody has
// open stays a volume.
func TestCeph_Unmanage_ImageStaysUnderItsName(t *testing.T) {
	s, p := startCeph(t)
	client, driver := s.client(t), p.driver(t)
	_, js := s.connect(t)
	key := volume.Key{Project: "default", Name: "db-01"}
	wantReply(t, do(t, client, commands.Request{Key: key, Verb: volume.VerbCreate, Args: volume.Args{Size: 8 * volume.MiB}, Actor: "test"}), volume.Succeeded, volume.StateAvailable, "")
	before := p.written(t, imageOf(key))
	unmanage := commands.Request{Key: key, Verb: volume.VerbUnmanage, Actor: "test"}
	reply := do(t, client, unmanage)
	wantReply(t, reply, volume.Succeeded, volume.StateDeleted, "")
	const image = "released-default.db-01.1"
	if images := p.images(t); reply.Image != image || !slices.Equal(images, []string{image}) {
		t.Fatalf("got image %q, and images %q, want %s", reply.Image, images, image)
	}
	if after := p.content(t, image); after != before {
		t.Error("the image has other data than the volume had")
	}
	if marks := p.cluster.RBD(t, "image-meta", "list", p.image(image)); strings.Contains(marks, "jetvol") {
		t.Errorf("got marks %s, want none", marks)
	}
	record, seen := readWitnessesOf(t, js, driver, key)
	for _, fault := range disagreements(record, seen.events, seen.object) {
		t.Error(fault)
	}
	if err := driver.(backends.Lister).List(t.Context(), func(o backends.Object) bool {
		t.Errorf("a sweep would find %+v", o)
		return true
	}); err != nil {
		t.Error(err)
	}
}
