//go:build ceph

package acceptance

import (
	"context"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"testing"

	"github.com/jetvol/jetvol/backends"
	"github.com/jetvol/jetvol/backends/ceph"
	"github.com/jetvol/jetvol/volume"
)

// images is a namespace of a pool. Volumes are written by qemu, and read by the rbd tool.
type images struct{ *place }

func (i images) open(ctx context.Context) (backends.Driver, error) { return ceph.Open(ctx, i.Config) }

func (i images) use(t *testing.T, a volume.Attachment) disk {
	t.Helper()
	return nodeDisk{startNode(t, a)}
}

// nodeDisk is a volume as a node serves it.
type nodeDisk struct{ *node }

func (n nodeDisk) fill(t *testing.T, at, length int64, with byte) {
	t.Helper()
	n.does(t, fmt.Sprintf("write -f -P %d %d %d", with, at, length))
}

func (i images) content(t *testing.T, key volume.Key, snapshot volume.SnapshotName) []byte {
	t.Helper()
	image := i.spec() + "/" + imageOf(key)
	if snapshot != "" {
		image += "@" + string(snapshot)
	}
	path := filepath.Join(t.TempDir(), "content")
	i.cluster.RBD(t, "export", "--no-progress", image, path)
	data, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	if err := os.Remove(path); err != nil {
		t.Fatal(err)
	}
	return data
}

// all also tells of headers that no name leads to, and of what is in the trash.
func (i images) all(t *testing.T) []string {
	t.Helper()
	return append(i.images(t), i.orphans(t, nil)...)
}

func cephStage(t *testing.T) *stage {
	t.Helper()
	s, p := startCeph(t)
	return newStage(t, s, images{p})
}

// On RBD all that local promises holds with images that share their blocks.
func TestCeph_Chain_InterleavedWrites_ContentsAreOfTheirTime(t *testing.T) {
	for name, say := range map[string]speaker{"jetvol CLI": byCLI, "nats CLI": byNATS} {
		t.Run(name, func(t *testing.T) { newTale(cephStage(t), say).run(t) })
	}
}

func TestCeph_Chain_EightClonesOfClones_GrownShownAndDeleted(t *testing.T) {
	d := newTale(cephStage(t), byCLI)
	d.sparing = true
	d.live(t)
}

// A node that has a view sees the snapshot, and its writes do not arrive.
func TestCeph_View_NodeReadsAndCannotWrite(t *testing.T) {
	s := cephStage(t)
	d := newTale(s, byCLI)
	d.does(t, "base", "create", "volume create base --size 8MiB", `{}`, d.becomes("base", "", taleSize))
	d.attach(t, "base", volume.ReadWrite)
	d.write(t, "base", mib, 4*mib, 0x5a)
	d.does(t, "base", "snapshot", "snapshot create base s1", `{}`, d.becomes("base@s1", "base", taleSize))
	d.write(t, "base", 0, taleSize, 0x7b)
	d.does(t, "look", "create", "volume create look --from base@s1 --read-only", `{}`, d.becomes("look", "base@s1", taleSize))
	wantReply(t, s.do(t, "look", volume.VerbAttach, volume.Args{Node: "node-2"}), volume.Rejected, volume.StateAvailable, volume.ErrReadOnlyVolume)
	d.attach(t, "look", volume.ReadOnly)
	reader := d.disks["look"].(nodeDisk)
	reader.does(t, "read -P 0 0 1M")
	reader.does(t, "read -P 0x5a 1M 4M")
	reader.does(t, "read -P 0 5M 3M")
	if out, err := exec.Command("qemu-io", "-f", "raw", reader.disk[2], "-c", "write -f -P 1 0 4k").CombinedOutput(); err == nil {
		t.Errorf("write to a view: got\n%s\nwant an error", out)
	}
	d.compare(t, "a write to the view")
}
