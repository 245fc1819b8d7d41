//go:build ceph

package ceph

import (
	"bytes"
	"errors"
	"syscall"
	"testing"

	"github.com/jetvol/jetvol/backends"
	"github.com/jetvol/jetvol/volume"
)

// A client that writes has librbd's lock, and does all the steps itself when it is asked.
func TestFlatten_WhileANodeWrites_CopiesAndKeepsItsWrites(t *testing.T) {
	t.Parallel()
	d := open(t, inNamespace(t))
	base, clone := source(t, d, small), refOf("copy")
	ok(t, d.Clone(t.Context(), base, "s1", clone, small), "clone")
	n1 := openOn(t, attached(t, d, clone, "n1", volume.ReadWrite))
	n1.writes(t)
	flat := make(chan error, 1)
	go func() { flat <- d.Flatten(t.Context(), clone) }()
	writes := 0
	for done := false; !done; writes++ {
		select {
		case err := <-flat:
			ok(t, err, "flatten while a node writes")
			done = true
		default:
		}
		n1.writes(t)
	}
	t.Logf("%d writes during the flatten", writes)
	n1.does(t, "quit", "")
	ok(t, d.DeleteSnapshot(t.Context(), base, "s1"), "delete of the source's snapshot")
	h := &harness{cfg: d.cfg}
	want, got := make([]byte, small), make([]byte, small)
	h.ReadContent(t, base, want, 0)
	copy(want, bytes.Repeat([]byte{0x5a}, 4096))
	if h.ReadContent(t, clone, got, 0); !bytes.Equal(got, want) {
		t.Error("content: got another one than the source's with the node's writes")
	}
	withConn(t, d, func(c *conn) error {
		id := imageID(t, d, clone)
		if flags, err := c.flags(id, head); flags != 0 || err != nil {
			t.Errorf("flags: got %#x and %v, want a valid map", flags, err)
		}
		return nil
	})
}

// A client with librbd's lock that does not answer would go on with its map.
func TestFlatten_OwnerOfTheLockDoesNotAnswer_IsRefusedAndCopiesNothing(t *testing.T) {
	t.Parallel()
	h := &harness{cfg: inNamespace(t)}
	d := open(t, h.cfg)
	base, clone := source(t, d, small), refOf("copy")
	ok(t, d.Clone(t.Context(), base, "s1", clone, small), "clone")
	n1 := startProcess(t, attached(t, d, clone, "n1", volume.ReadWrite))
	n1.writes(t)
	n1.signal(t, syscall.SIGSTOP)
	closeObject := h.Watch(t, clone)
	err := d.Flatten(t.Context(), clone)
	refused(t, err, "flatten", volume.Busy)
	var blocked *backends.BlockedError
	if !errors.As(err, &blocked) || blocked.By[0].Kind != backends.BlockedByWatcher {
		t.Errorf("flatten: got %v, want it to name who has the volume open", err)
	}
	children, err := d.Children(t.Context(), base, "s1")
	if ok(t, err, "children"); len(children) != 1 {
		t.Errorf("children after a refused flatten: got %v, want the clone", children)
	}
	closeObject()
	soon(t, "flatten again", func() error { return d.Flatten(t.Context(), clone) })
}
