//go:build ceph

package acceptance

import (
	"fmt"
	"strings"
	"testing"

	"github.com/jetvol/jetvol/backends"
	"github.com/jetvol/jetvol/volume"
)

// TestCeph_Drift_EveryKind_FoundAndRepaired changes images by the rbd tool and by another
// client of the cluster.
func TestCeph_Drift_EveryKind_FoundAndRepaired(t *testing.T) {
	s, p := startCeph(t)
	ref := func(name volume.Name, generation uint64) backends.Ref {
		key := volume.Key{Project: "default", Name: name}
		return backends.Ref{Key: key, ID: volume.NewID(key, generation)}
	}
	image := func(name volume.Name) string { return p.image(imageOf(ref(name, 1).Key)) }
	for _, name := range []string{"fine", "ghost", "size", "node"} {
		s.shell(t, "jetvol volume create "+name+" --size 4MiB")
	}
	p.cluster.RBD(t, "rm", "--no-progress", image("ghost"))
	p.cluster.RBD(t, "resize", "--no-progress", "--size", "8M", image("size"))
	other := p.driver(t)
	if _, err := other.Attach(t.Context(), ref("node", 1), "n9", volume.ReadWrite); err != nil {
		t.Fatal(err)
	}
	if err := other.Create(t.Context(), ref("orphan", 7), 4*volume.MiB); err != nil {
		t.Fatal(err)
	}

	scan := "jetvol drift scan --config " + p.file(t) + " --repair --yes; echo exit code $?"
	want := func(printed string, lines ...string) {
		t.Helper()
		fields := strings.Join(strings.Fields(printed), " ")
		for _, line := range lines {
			if !strings.Contains(fields, line) {
				t.Errorf("got\n%s\nwant %q", printed, line)
			}
		}
	}
	want(s.shell(t, scan), "default.ghost ghost ceph 4MiB -", "default.size size ceph 4MiB 8MiB", "default.node node ceph - n9",
		"default.orphan orphan ceph - 4MiB", "4 volumes, 4 objects, 0 skipped, 3 commands published", "exit code 1")
	for _, name := range []string{"ghost", "size", "node"} { // behind the commands of the scan
		s.shell(t, "jetvol volume reconcile --dry-run "+name)
	}
	want(s.shell(t, scan), "4 volumes, 4 objects, 0 skipped, 0 commands published", "exit code 1")

	for name, side := range map[string]string{"ghost": "backend", "size": "backend", "node": "record", "orphan": "backend"} {
		s.shell(t, fmt.Sprintf("jetvol drift repair %s --believe %s --yes", name, side))
	}
	want(s.shell(t, "jetvol volume get node"), "state available")
	want(s.shell(t, "jetvol volume get size"), "size 8MiB")
	want(s.shell(t, "jetvol volume get orphan"), "id default.orphan.7", "state available", "size 4MiB")
	printed := s.shell(t, scan)
	if want(printed, "0 skipped", "exit code 0"); strings.Contains(printed, "default.") {
		t.Errorf("after the repairs: got\n%s\nwant nothing found", printed)
	}
	if printed := s.shell(t, "jetvol drift list"); strings.Contains(printed, "default.") {
		t.Errorf("after the repairs: got\n%s\nwant nothing listed", printed)
	}
}
