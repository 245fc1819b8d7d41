//go:build ceph

package ceph

import (
	"bytes"
	"context"
	"strings"
	"testing"

	"github.com/jetvol/jetvol/backends"
	"github.com/jetvol/jetvol/internal/cephtest"
	"github.com/jetvol/jetvol/volume"
)

const mebibyte = int64(volume.MiB)

// halfCloned is a volume with data and a snapshot of it, and in the place of another
// volume what a Clone leaves that was killed before it had set its mark.
func halfCloned(t *testing.T, h *harness, d *driver) (ref, clone backends.Ref) {
	t.Helper()
	ref, clone = created(t, d, "a"), refOf("copy")
	h.WriteContent(t, ref, bytes.Repeat([]byte{1}, 4096), mebibyte)
	_, err := d.CreateSnapshot(t.Context(), ref, "s1")
	ok(t, err, "create snapshot")
	withConn(t, d, func(c *conn) error { return d.makeClone(c, imageName(ref.Key), "s1", imageName(clone.Key)) })
	return ref, clone
}

func TestClone_KilledBeforeItsMark_IsHealed(t *testing.T) {
	t.Parallel()
	heal := map[string]func(ctx context.Context, d *driver, ref, clone backends.Ref) error{
		"clone": func(ctx context.Context, d *driver, ref, clone backends.Ref) error {
			return d.Clone(ctx, ref, "s1", clone, 2*small)
		},
		"create": func(ctx context.Context, d *driver, _, clone backends.Ref) error { return d.Create(ctx, clone, small) },
		"delete": func(ctx context.Context, d *driver, _, clone backends.Ref) error { return d.Delete(ctx, clone) },
	}
	for name, call := range heal {
		t.Run(name, func(t *testing.T) {
			h := &harness{cfg: inNamespace(t)}
			d := open(t, h.cfg)
			ref, clone := halfCloned(t, h, d)
			_, err := d.Get(t.Context(), clone.Key)
			refused(t, err, "get of half a clone", volume.NotFound)
			closeObject := h.Watch(t, clone)
			refused(t, call(t.Context(), d, ref, clone), name+" while it is open", volume.Busy)
			closeObject()
			ok(t, call(t.Context(), d, ref, clone), name)
			want, size := byte(1), 2*small
			switch name {
			case "create":
				want, size = 0, small
			case "delete":
				_, err := d.Get(t.Context(), clone.Key)
				refused(t, err, "get", volume.NotFound)
				ok(t, d.DeleteSnapshot(t.Context(), ref, "s1"), "delete snapshot")
				return
			}
			found, err := d.Get(t.Context(), clone.Key)
			if ok(t, err, "get"); found.ID != clone.ID || found.Size != size {
				t.Errorf("get: got %+v, want %s with size %s", found, clone.ID, size)
			}
			data := make([]byte, 4096)
			h.ReadContent(t, clone, data, mebibyte)
			if !bytes.Equal(data, bytes.Repeat([]byte{want}, 4096)) {
				t.Errorf("content: got %v …, want %v", data[:8], want)
			}
		})
	}
}

// A clone that somebody made by hand under a name of ours, and uses.
func TestClone_StrangersCloneInItsPlace_IsLeftAlone(t *testing.T) {
	t.Parallel()
	h := &harness{cfg: inNamespace(t)}
	d := open(t, h.cfg)
	ref, clone := halfCloned(t, h, d)
	want := bytes.Repeat([]byte{2}, 4096)
	h.WriteContent(t, clone, want, 0)
	_, err := d.Get(t.Context(), clone.Key)
	refused(t, err, "get", volume.FailedPrecondition)
	refused(t, d.Clone(t.Context(), ref, "s1", clone, small), "clone", volume.AlreadyExists)
	refused(t, d.Create(t.Context(), clone, small), "create", volume.AlreadyExists)
	ok(t, d.Delete(t.Context(), clone), "delete")
	got := make([]byte, len(want))
	if h.ReadContent(t, clone, got, 0); !bytes.Equal(got, want) {
		t.Errorf("content: got %v …, want %v", got[:8], want[:8])
	}
}

// The test cluster, like every new one, allows clients before Mimic, for which librbd
// would choose format 1 and want a protected snapshot.
func TestClone_ClusterForOldClients_HasFormatTwo(t *testing.T) {
	t.Parallel()
	h := &harness{cfg: inNamespace(t)}
	d, cluster := open(t, h.cfg), cephtest.Start(t)
	if release := cluster.Ceph(t, "osd", "get-require-min-compat-client"); !strings.Contains(release, "luminous") {
		t.Fatalf("oldest clients: got %q, want luminous: the test proves nothing", release)
	}
	ref, clone := snapshotted(t, d, "a"), refOf("copy")
	ok(t, d.Clone(t.Context(), ref, "s1", clone, small), "clone")
	info := cluster.RBD(t, "info", joinSpec(h.cfg.Pool, h.cfg.Namespace, imageName(clone.Key)))
	if !strings.Contains(info, "clone-child") {
		t.Errorf("info: got no clone-child in\n%s", info)
	}
	if listed, err := d.ListSnapshots(t.Context(), ref); err != nil || listed[0].Protected {
		t.Errorf("snapshots: got %+v, %v, want one that is not protected", listed, err)
	}
}

func TestFlatten_CloneWithSnapshots_FreesThoseToo(t *testing.T) {
	t.Parallel()
	h := &harness{cfg: inNamespace(t)}
	d := open(t, h.cfg)
	ref, clone := halfCloned(t, h, d)
	ok(t, d.Clone(t.Context(), ref, "s1", clone, small), "clone")
	_, err := d.CreateSnapshot(t.Context(), clone, "own")
	ok(t, err, "create snapshot of the clone")
	h.WriteContent(t, clone, bytes.Repeat([]byte{2}, 4096), mebibyte)
	ok(t, d.Flatten(t.Context(), clone), "flatten")
	ok(t, d.DeleteSnapshot(t.Context(), ref, "s1"), "delete snapshot")
	ok(t, d.Delete(t.Context(), ref), "delete of the source")
	ok(t, d.Restore(t.Context(), clone, "own"), "restore of the clone's snapshot")
	got := make([]byte, 4096)
	if h.ReadContent(t, clone, got, mebibyte); !bytes.Equal(got, bytes.Repeat([]byte{1}, 4096)) {
		t.Errorf("content: got %v …, want 1", got[:8])
	}
}

func TestUsage_SnapshotsAndClones_CountWhatIsTheirOwn(t *testing.T) {
	t.Parallel()
	const object = 4 * volume.MiB
	h := &harness{cfg: inNamespace(t)}
	d := open(t, h.cfg)
	ref, clone := halfCloned(t, h, d)
	ok(t, d.Clone(t.Context(), ref, "s1", clone, small), "clone")
	h.WriteContent(t, ref, []byte{3}, 0)               // the object that s1 has
	h.WriteContent(t, ref, []byte{3}, int64(2*object)) // one of its own
	for what, test := range map[string]struct {
		ref  backends.Ref
		want volume.Bytes
	}{
		"volume": {ref, 3 * object},
		"clone":  {clone, 0},
	} {
		usage, err := d.Usage(t.Context(), test.ref)
		if ok(t, err, "usage"); usage != (backends.Usage{Provisioned: small, Used: test.want}) {
			t.Errorf("usage of the %s: got %+v, want %s used", what, usage, test.want)
		}
	}
}
