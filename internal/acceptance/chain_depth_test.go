package acceptance

import (
	"fmt"
	"strings"
	"testing"

	"github.com/jetvol/jetvol/volume"
)

// chainLength is how many clones of clones stand on the first volume.
const chainLength = 8

func nth(i int) volume.Name { return volume.Name(fmt.Sprintf("c%d", i)) }

// grow makes a chain: each volume is a clone of a snapshot of the one before, and has a
// piece of its own in its content.
func (d *tale) grow(t *testing.T) {
	t.Helper()
	for i := range chainLength + 1 {
		name := nth(i)
		if i == 0 {
			d.does(t, name, "create", "volume create c0 --size 1MiB", `{"size":"1MiB"}`, d.becomes("c0", "", mib))
		} else {
			source := string(nth(i-1)) + "@s"
			d.does(t, name, "create", fmt.Sprintf("volume create %s --from %s", name, source), `{"source":"`+source+`"}`, d.becomes(string(name), source, mib))
		}
		d.attach(t, name, volume.ReadWrite)
		d.write(t, name, int64(i)*64*kib, 64*kib, byte(i+1))
		d.detach(t, name)
		if i < chainLength {
			d.does(t, name, "snapshot", fmt.Sprintf("snapshot create %s s", name), `{"snapshot":"s"}`, d.becomes(string(name)+"@s", string(name), mib))
		}
	}
}

// tree is what `jetvol snapshot tree` prints of the chain.
func tree() string {
	lines := []string{string(project), "└── c0@s"}
	for i := 1; i <= chainLength; i++ {
		indent := strings.Repeat(" ", 4*i)
		if i == chainLength {
			lines = append(lines, fmt.Sprintf("%s└── %s  clone", indent, nth(i)))
			continue
		}
		lines = append(lines, fmt.Sprintf("%s├── %s  clone", indent, nth(i)), fmt.Sprintf("%s└── %s@s", indent, nth(i)))
	}
	return strings.Join(lines, "\n") + "\n"
}

// shrink deletes the chain from its leaf. What is further up is refused, and says by what.
func (d *tale) shrink(t *testing.T) {
	t.Helper()
	for i := chainLength; i >= 0; i-- {
		name := string(nth(i))
		if i < chainLength {
			snapshot := name + "@s"
			d.does(t, nth(i), "delete_snapshot", "snapshot delete "+snapshot, `{"snapshot":"s"}`, d.vanishes(snapshot))
		}
		d.blocked(t, i-1)
		d.does(t, nth(i), "delete", "volume delete "+name, `{}`, d.vanishes(name))
		d.compare(t, "the end of "+name)
	}
	d.nothingLeft(t)
}

// blocked tries to delete a volume of the chain, and its snapshot, while the one below has no
// snapshot any more but is there.
func (d *tale) blocked(t *testing.T, i int) {
	t.Helper()
	if i < 0 {
		return
	}
	name, below := string(nth(i)), string(nth(i+1))
	d.refuses(t, nth(i), "delete", "volume delete "+name, `{}`, volume.ErrHasSnapshots,
		volume.Blocker{Kind: volume.BlockedBySnapshot, Name: "s"})
	d.refuses(t, nth(i), "delete_snapshot", "snapshot delete "+name+"@s", `{"snapshot":"s"}`, volume.ErrSnapshotInUse,
		volume.Blocker{Kind: volume.BlockedByChild, Name: below})
}

// live is the life of a chain from its root to its leaf and back.
func (d *tale) live(t *testing.T) {
	t.Helper()
	d.grow(t)
	d.compare(t, "growth")
	if got, want := d.server.shell(t, "jetvol snapshot tree"), tree(); got != want {
		t.Errorf("jetvol snapshot tree printed\n%s\nwant\n%s", got, want)
	}
	d.refuses(t, "c0", "delete_snapshot", "snapshot delete c0@s", `{"snapshot":"s"}`, volume.ErrSnapshotInUse,
		volume.Blocker{Kind: volume.BlockedByChild, Name: "c1"}, volume.Blocker{Kind: volume.BlockedByChild, Name: "c1@s"})
	d.shrink(t)
}

func TestChain_EightClonesOfClones_GrownShownAndDeleted(t *testing.T) {
	newTale(localStage(t), byCLI).live(t)
}

func TestChain_ThreeServers_EightClonesOfClones(t *testing.T) {
	d := newTale(replicatedStage(t), byNATS)
	d.sparing = true
	d.live(t)
}
