//go:build ceph

package acceptance

import (
	"testing"

	"github.com/jetvol/jetvol/volume"
)

// cephSituations are those of the sections that speak of nodes which have an image open.
var cephSituations = map[string]situation{
	"Image has watchers": watchedImage,
	"Dead node":          deadNode,
}

func TestCeph_Operations_EveryPain_CommandsHelpAsShown(t *testing.T) {
	if len(cephSituations) != len(cephSections) {
		t.Fatalf("got %d situations, want %d", len(cephSituations), len(cephSections))
	}
	byHeading := map[string]section{}
	for _, s := range sections(readDocument(t, operations)) {
		byHeading[s.heading] = s
	}
	for _, heading := range cephSections {
		t.Run(heading, func(t *testing.T) { runSection(t, byHeading[heading], cephSituations[heading]) })
	}
}

// watchedImage has a node with the image open, which closes it before the second block.
func watchedImage(t *testing.T) (*server, []func(*testing.T)) {
	v := newTenant(t, "db-01")
	v.succeeds(t, volume.VerbCreate, volume.Args{Size: 8 * volume.MiB}, volume.StateAvailable)
	open := startNode(t, v.attach(t, "node-1", volume.ReadWrite))
	open.does(t, "write -f -P 0x11 1M 1M")
	return v.server, []func(*testing.T){func(*testing.T) {}, open.close}
}

// deadNode has a node that goes on writing, although nobody reaches it.
func deadNode(t *testing.T) (*server, []func(*testing.T)) {
	v := newTenant(t, "db-02")
	v.succeeds(t, volume.VerbCreate, volume.Args{Size: 8 * volume.MiB}, volume.StateAvailable)
	unreached := startNode(t, v.attach(t, "node-1", volume.ReadWrite))
	unreached.does(t, "write -f -P 0x11 1M 1M")
	t.Cleanup(func() { unreached.refuses(t, "write -f -P 0x22 1M 1M") })
	return v.server, nil
}
