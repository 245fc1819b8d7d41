//go:build ceph && ceph_preview

package ceph

import (
	"context"
	"errors"
	"testing"

	"github.com/jetvol/jetvol/backends"
	"github.com/jetvol/jetvol/volume"
)

func TestFlatten_TellsProgressAndEndsWithItsContext(t *testing.T) {
	t.Parallel()
	const size = 256 * volume.MiB
	h := &harness{cfg: inNamespace(t)}
	d := open(t, h.cfg)
	ref, clone := backends.Ref{Key: volume.Key{Project: "test", Name: "big"}, ID: "test.big.1"}, backends.Ref{Key: volume.Key{Project: "test", Name: "copy"}, ID: "test.copy.1"}
	ok(t, d.Create(t.Context(), ref, size), "create")
	for at := volume.Bytes(0); at < size; at += 4 * volume.MiB {
		h.WriteContent(t, ref, []byte{1}, int64(at))
	}
	_, err := d.CreateSnapshot(t.Context(), ref, "s1")
	ok(t, err, "create snapshot")
	ok(t, d.Clone(t.Context(), ref, "s1", clone, size), "clone")

	ctx, stop := context.WithCancel(t.Context())
	told := make(chan volume.Progress, 1)
	watched := backends.WithProgress(ctx, func(p volume.Progress) {
		select {
		case told <- p:
			stop() // at the first word
		default:
		}
	})
	if err := d.Flatten(watched, clone); !errors.Is(err, context.Canceled) {
		t.Errorf("flatten that is ended: got %v, want %v", err, context.Canceled)
	}
	if p := <-told; p.Total != uint64(size/(4*volume.MiB)) || p.Done > p.Total {
		t.Errorf("progress: got %+v, want it to count the objects", p)
	}
	children, err := d.Children(t.Context(), ref, "s1")
	if ok(t, err, "children"); len(children) != 1 {
		t.Errorf("children after half a flatten: got %v, want the clone", children)
	}
	ok(t, d.Flatten(t.Context(), clone), "flatten again")
	ok(t, d.DeleteSnapshot(t.Context(), ref, "s1"), "delete snapshot")
}

// Whose flatten is killed.
var flattenKillers = map[string]func(*testing.T, Config, backends.Ref){"rbd": killRBD, "driver": killDriver}

func killDriver(t *testing.T, cfg Config, clone backends.Ref) {
	t.Helper()
	process := startChild(t, cfg, "flatten", string(clone.Key.Name))
	killAtAThird(t, process.Cmd, process.stdout)
}
