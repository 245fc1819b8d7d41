//go:build ceph

package ceph

import (
	"bufio"
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"os"
	"os/exec"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/ceph/go-ceph/rbd"

	"github.com/jetvol/jetvol/backends"
	"github.com/jetvol/jetvol/internal/cephtest"
	"github.com/jetvol/jetvol/volume"
)

const (
	objectSize   = 4 * volume.MiB
	flattened    = 256 * volume.MiB
	killedRounds = 3 // of each kind
)

// source is a volume with something in each object, and a snapshot s1 of it.
func source(t *testing.T, d *driver, size volume.Bytes) backends.Ref {
	t.Helper()
	ref := refOf("base")
	ok(t, d.Create(t.Context(), ref, size), "create")
	random := rand.NewChaCha8([32]byte{1})
	withImage(t, d, imageName(ref.Key), func(image *rbd.Image) error {
		data := make([]byte, 64*volume.KiB)
		for at := volume.Bytes(0); at < size; at += objectSize {
			_, _ = random.Read(data)
			if _, err := image.WriteAt(data, int64(at)); err != nil {
				return err
			}
		}
		return image.Flush()
	})
	_, err := d.CreateSnapshot(t.Context(), ref, "s1")
	ok(t, err, "create snapshot")
	return ref
}

// checksum is that of a snapshot, or of the volume itself for none.
func checksum(t *testing.T, d *driver, ref backends.Ref, name volume.SnapshotName) string {
	t.Helper()
	sum := sha256.New()
	withConn(t, d, func(c *conn) error {
		id, err := c.named(imageName(ref.Key))
		if err != nil {
			return err
		}
		return c.lookAt(id, string(name), func(image *rbd.Image) error {
			size, err := image.GetSize()
			data := make([]byte, objectSize)
			for at := uint64(0); err == nil && at < size; at += uint64(objectSize) {
				_, err = image.ReadAt(data, int64(at))
				_, _ = sum.Write(data)
			}
			return err
		})
	})
	return fmt.Sprintf("%x", sum.Sum(nil))
}

// wantFlattened checks that the clone has the source's content, in its snapshot "own" too,
// no parent, and object maps that are there and true.
func wantFlattened(t *testing.T, d *driver, clone backends.Ref, want string) {
	t.Helper()
	for _, name := range []volume.SnapshotName{rbd.NoSnapshot, "own"} {
		if got := checksum(t, d, clone, name); got != want {
			t.Errorf("content of %s@%s: got %s, want the source's %s", clone.Key, name, got, want)
		}
	}
	spec := joinSpec(d.cfg.Pool, d.cfg.Namespace, imageName(clone.Key))
	for _, one := range []string{spec, spec + "@own"} {
		cephtest.Start(t).RBD(t, "object-map", "check", one) // marks a map that is wrong
	}
	withConn(t, d, func(c *conn) error {
		h, err := d.own(c, clone)
		if err != nil {
			return err
		}
		if has, err := c.hasParent(h.id); has || err != nil {
			t.Errorf("%s: got a parent or %v, want neither", clone.Key, err)
		}
		if h.features&mapFeatures != mapFeatures {
			t.Errorf("%s: got features %#x, want the maps among them", clone.Key, h.features)
		}
		numbers, err := c.numbers(h.id)
		for _, number := range numbers {
			if flags, err := c.flags(h.id, number); flags != 0 || err != nil {
				t.Errorf("%s: got flags %#x of %d and %v, want valid maps", clone.Key, flags, number, err)
			}
		}
		return err
	})
}

// flattenChild flattens a volume and tells each step of the progress.
func flattenChild(args []string) error {
	d, err := openChild(args[0])
	if err != nil {
		return err
	}
	ctx := backends.WithProgress(context.Background(), func(p volume.Progress) {
		if p.Total > 0 {
			fmt.Fprintf(os.Stdout, "%d%% complete\n", 100*p.Done/p.Total)
		}
	})
	return d.Flatten(ctx, refOf(volume.Name(args[1])))
}

// killAtAThird kills a process that tells of its progress in percent.
func killAtAThird(t *testing.T, process *exec.Cmd, output io.Reader) {
	t.Helper()
	defer func() { _ = process.Wait() }()
	defer process.Process.Kill() // it may have ended
	words := bufio.NewScanner(output)
	words.Split(bufio.ScanWords)
	for words.Scan() {
		var percent int
		if n, _ := fmt.Sscanf(words.Text(), "%d%%", &percent); n == 1 && percent >= 30 {
			return
		}
	}
	t.Errorf("flatten: ended before it was killed: %v", words.Err())
}

// killRBD kills the tool, which flattens with an object map: so does whoever flattens by
// hand, and what it leaves is what a client leaves that dies in a write.
func killRBD(t *testing.T, cfg Config, clone backends.Ref) {
	t.Helper()
	process := exec.CommandContext(t.Context(), "rbd", "--conf", cfg.Conf, "--keyring", cfg.Keyring, "--id", cfg.User,
		"flatten", joinSpec(cfg.Pool, cfg.Namespace, imageName(clone.Key)))
	output, err := process.StderrPipe()
	ok(t, err, "output of rbd")
	ok(t, process.Start(), "start rbd")
	killAtAThird(t, process, output)
}

// Blocks were lost: see the comment in flatten.go.
func TestFlatten_KilledAndBegunAgain_LosesNothing(t *testing.T) {
	t.Parallel()
	d := open(t, inNamespace(t))
	base := source(t, d, flattened)
	want := checksum(t, d, base, "s1")
	var clones []backends.Ref
	for kind, kill := range flattenKillers {
		for round := range killedRounds {
			clone := refOf(volume.Name(fmt.Sprintf("%s-%d", kind, round)))
			ok(t, d.Clone(t.Context(), base, "s1", clone, flattened), "clone")
			_, err := d.CreateSnapshot(t.Context(), clone, "own")
			ok(t, err, "create snapshot of the clone")
			kill(t, d.cfg, clone)
			clones = append(clones, clone)
		}
	}
	var all sync.WaitGroup
	for _, clone := range clones { // at once: each waits until the watch of the killed one ends
		all.Go(func() {
			began := time.Now()
			soon(t, "flatten again", func() error { return d.Flatten(t.Context(), clone) })
			t.Logf("%s: flattened again after %s", clone.Key, time.Since(began).Round(time.Millisecond))
		})
	}
	all.Wait()
	for _, clone := range clones {
		wantFlattened(t, d, clone, want)
	}
	ok(t, d.DeleteSnapshot(t.Context(), base, "s1"), "delete of the source's snapshot")
}

// stepsOfAFlatten are where a kill may leave an image, each made by going so far.
var stepsOfAFlatten = []struct {
	name string
	do   func(t *testing.T, d *driver, c *conn, clone backends.Ref, id string) error
}{
	{"maps distrusted", func(_ *testing.T, _ *driver, c *conn, _ backends.Ref, id string) error {
		return c.distrust(id)
	}},
	{"object map of the snapshot gone", func(t *testing.T, d *driver, c *conn, clone backends.Ref, id string) error {
		return c.io.Delete(fmt.Sprintf("%s%s.%016x", objectMapObject, id, snapshotNumber(t, d, clone, "own")))
	}},
	{"maps disabled", func(_ *testing.T, d *driver, c *conn, clone backends.Ref, _ string) error {
		h, err := d.own(c, clone)
		if err != nil {
			return err
		}
		return c.disableMaps(h)
	}},
	{"flattened", func(_ *testing.T, _ *driver, c *conn, _ backends.Ref, id string) error {
		return c.edit(id, (*rbd.Image).Flatten)
	}},
	{"maps enabled", func(_ *testing.T, _ *driver, c *conn, _ backends.Ref, id string) error {
		return c.edit(id, func(image *rbd.Image) error { return image.UpdateFeatures(mapFeatures, true) })
	}},
	{"maps enabled and not written", func(t *testing.T, d *driver, c *conn, clone backends.Ref, id string) error {
		own := fmt.Sprintf("%s%s.%016x", objectMapObject, id, snapshotNumber(t, d, clone, "own"))
		return errors.Join(c.io.Delete(own), c.io.Delete(objectMapObject+id))
	}},
	{"map of the snapshot rebuilt", func(t *testing.T, d *driver, c *conn, clone backends.Ref, id string) error {
		return rebuildMap(c.io, id, snapshotNumber(t, d, clone, "own"))
	}},
}

func TestFlatten_KilledBetweenItsSteps_IsFinished(t *testing.T) {
	t.Parallel()
	for last := range stepsOfAFlatten {
		t.Run(strings.ReplaceAll(stepsOfAFlatten[last].name, " ", "-"), func(t *testing.T) {
			d := open(t, inNamespace(t))
			base, clone := source(t, d, small), refOf("copy")
			want := checksum(t, d, base, "s1")
			ok(t, d.Clone(t.Context(), base, "s1", clone, small), "clone")
			_, err := d.CreateSnapshot(t.Context(), clone, "own")
			ok(t, err, "create snapshot of the clone")
			id, number := imageID(t, d, clone), snapshotNumber(t, d, clone, "own")
			for _, step := range stepsOfAFlatten[:last+1] {
				withConn(t, d, func(c *conn) error { return step.do(t, d, c, clone, id) })
			}
			_, err = d.CreateSnapshot(t.Context(), clone, "own")
			ok(t, err, "create snapshot repeated, which is there")
			ok(t, d.Flatten(t.Context(), clone), "flatten again")
			wantFlattened(t, d, clone, want)
			if now := snapshotNumber(t, d, clone, "own"); now != number {
				t.Errorf("snapshot: got another one, %d, want %d", now, number)
			}
			ok(t, d.DeleteSnapshot(t.Context(), base, "s1"), "delete of the source's snapshot")
		})
	}
}
