//go:build ceph

package ceph

import (
	"bufio"
	"context"
	"fmt"
	"io"
	"os/exec"
	"strings"
	"testing"
	"time"

	"github.com/jetvol/jetvol/backends"
	"github.com/jetvol/jetvol/internal/cephtest"
	"github.com/jetvol/jetvol/volume"
)

// node is a qemu-io that has an image open and does what it is told, line by line, as the
// process of a virtual machine on a node would.
type node struct {
	stdin  io.WriteCloser
	output *bufio.Reader
	stop   func() // kills it; it may be called again
}

// openOn starts a node's qemu-io on the drive that an attachment tells.
func openOn(t *testing.T, a volume.Attachment, flags ...string) *node {
	t.Helper()
	drive := a.Connection["qemu"]
	if drive == "" {
		t.Fatalf("attachment %+v: got no qemu drive", a)
	}
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	command := exec.CommandContext(ctx, "qemu-io", append(flags, "-f", "raw", drive)...)
	stdin, err := command.StdinPipe()
	ok(t, err, "stdin of qemu-io")
	stdout, err := command.StdoutPipe()
	ok(t, err, "stdout of qemu-io")
	command.Stderr = command.Stdout
	ok(t, command.Start(), "start qemu-io")
	stop := func() { cancel(); _ = command.Wait() }
	t.Cleanup(stop)
	return &node{stdin: stdin, output: bufio.NewReader(stdout), stop: stop}
}

// does tells qemu-io a command and returns its answer up to the line that has one of the
// ends in it.
func (n *node) does(t *testing.T, command string, ends ...string) string {
	t.Helper()
	fmt.Fprintln(n.stdin, command)
	var answer strings.Builder
	for {
		line, err := n.output.ReadString('\n')
		answer.WriteString(line)
		for _, end := range ends {
			if strings.Contains(line, end) {
				return answer.String()
			}
		}
		if err != nil {
			t.Fatalf("qemu-io %q: got %q and %v, want one of %q", command, answer.String(), err, ends)
		}
	}
}

func (n *node) writes(t *testing.T) {
	t.Helper()
	answer := n.does(t, "write -P 0x5a 0 4k", "bytes at offset", "failed")
	if !strings.Contains(answer, "wrote 4096/4096") {
		t.Fatalf("write: got %q, want it written", answer)
	}
}

func attached(t *testing.T, d *driver, ref backends.Ref, node volume.Node, mode volume.Mode) volume.Attachment {
	t.Helper()
	a, err := d.Attach(t.Context(), ref, node, mode)
	ok(t, err, "attach to "+string(node))
	return a
}

func TestDetach_WhileNodeHasItOpen_IsBusyNamingTheClient(t *testing.T) {
	t.Parallel()
	d := open(t, inNamespace(t))
	ref := created(t, d, "a")
	a := attached(t, d, ref, "n1", volume.ReadWrite)
	n1 := openOn(t, a)
	n1.writes(t)
	err := d.Detach(t.Context(), ref, "n1")
	refused(t, err, "detach while it is written", volume.Busy)
	if err == nil || !strings.Contains(err.Error(), "127.0.0.1:0/") {
		t.Errorf("error text: got %v, want the client's address in it", err)
	}
	found, err := d.Get(t.Context(), ref.Key)
	if ok(t, err, "get"); len(found.Attachments) != 1 {
		t.Errorf("after a refused detach: got %+v, want it held", found)
	}

	n1.does(t, "quit", "") // closes the image in order
	soon(t, "detach after the node has closed it", func() error { return d.Detach(t.Context(), ref, "n1") })
	ok(t, d.Delete(t.Context(), ref), "delete")
}

// A detach is repeated when the worker that made it has died, and the others read on.
func TestDetach_RepeatedBesideOtherReader_IsSuccess(t *testing.T) {
	t.Parallel()
	d := open(t, inNamespace(t))
	ref := created(t, d, "shared")
	attached(t, d, ref, "node-1", volume.ReadOnly)
	attached(t, d, ref, "node-2", volume.ReadOnly)
	for range 2 {
		ok(t, d.Detach(t.Context(), ref, "node-1"), "detach node-1")
	}
	ok(t, d.Detach(t.Context(), ref, "node-2"), "detach node-2")
	ok(t, d.Detach(t.Context(), ref, "node-2"), "detach node-2 again")
	attached(t, d, ref, "node-3", volume.ReadWrite)
	refused(t, d.Detach(t.Context(), ref, "node-1"), "detach node-1 while node-3 writes", volume.FailedPrecondition)
	ok(t, d.Detach(t.Context(), ref, "node-3"), "detach node-3")
	ok(t, d.Detach(t.Context(), ref, "node-1"), "detach node-1 from nobody's volume")
}

func TestDelete_WhileSomebodyHasItOpen_IsBusyNamingTheClient(t *testing.T) {
	t.Parallel()
	d := open(t, inNamespace(t))
	ref := created(t, d, "a")
	drive := attached(t, d, ref, "n1", volume.ReadWrite)
	ok(t, d.Detach(t.Context(), ref, "n1"), "detach")
	n1 := openOn(t, drive) // without a reservation
	n1.writes(t)
	err := d.Delete(t.Context(), ref)
	refused(t, err, "delete while it is open", volume.Busy)
	if err == nil || !strings.Contains(err.Error(), "127.0.0.1:0/") {
		t.Errorf("error text: got %v, want the client's address in it", err)
	}
	n1.does(t, "quit", "")
	soon(t, "delete after it was closed", func() error { return d.Delete(t.Context(), ref) })
}

func TestDelete_SnapshotAndChild_AreRefusedByName(t *testing.T) {
	t.Parallel()
	cluster, cfg := cephtest.Start(t), inNamespace(t)
	d := open(t, cfg)
	ref := created(t, d, "a")
	spec := cfg.Pool + "/" + cfg.Namespace + "/" + imageName(ref.Key)
	child := cfg.Pool + "/" + cfg.Namespace + "/child"
	cluster.RBD(t, "snap", "create", spec+"@before")
	cluster.RBD(t, "snap", "protect", spec+"@before")
	cluster.RBD(t, "clone", spec+"@before", child)
	for _, want := range []string{"child", "before"} {
		err := d.Delete(t.Context(), ref)
		refused(t, err, "delete", volume.FailedPrecondition)
		if err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("error text: got %v, want %q in it", err, want)
		}
		if want == "child" {
			cluster.RBD(t, "rm", child)
		}
	}
	cluster.RBD(t, "snap", "unprotect", spec+"@before")
	cluster.RBD(t, "snap", "rm", spec+"@before")
	ok(t, d.Delete(t.Context(), ref), "delete")
}

func TestEvict_NodeThatWrites_IsFencedAndVolumeFreeAtOnce(t *testing.T) {
	d := open(t, inNamespace(t))
	ref := created(t, d, "a")
	n1 := openOn(t, attached(t, d, ref, "n1", volume.ReadWrite), "-t", "none")
	n1.writes(t)

	began := time.Now()
	done, err := d.Evict(t.Context(), ref, "n1")
	ok(t, err, "evict")
	if len(done.Clients) != 1 || !strings.HasPrefix(done.Clients[0], "127.0.0.1:0/") {
		t.Errorf("evicted clients: got %q, want one address", done.Clients)
	}
	n2 := openOn(t, attached(t, d, ref, "n2", volume.ReadWrite))
	n2.does(t, "write -P 0x77 0 4k", "wrote 4096/4096")
	if took := time.Since(began); took > 10*time.Second {
		t.Errorf("evict, attach elsewhere and write: took %s, want seconds", took)
	}
	if answer := n1.does(t, "write -P 0x11 0 4k", "bytes at offset", "failed"); strings.Contains(answer, "wrote") {
		t.Errorf("write of the evicted node: got %q, want it to fail", answer)
	}
	n2.does(t, "read -P 0x77 0 4k", "read 4096/4096")
	again, err := d.Evict(t.Context(), ref, "n1")
	if ok(t, err, "evict again"); len(again.Clients) != 0 {
		t.Errorf("evict of a node that holds nothing any more: fenced %q, which are another's", again.Clients)
	}
	n2.writes(t)
}

func TestEvict_NodeThatDied_LeavesNoLock(t *testing.T) {
	d := open(t, inNamespace(t))
	ref := created(t, d, "a")
	n1 := openOn(t, attached(t, d, ref, "n1", volume.ReadWrite))
	n1.writes(t)
	n1.stop() // kill -9: its watch and its lock stay
	done, err := d.Evict(t.Context(), ref, "n1")
	if ok(t, err, "evict"); len(done.Clients) != 1 {
		t.Errorf("evicted clients: got %q, want the dead one", done.Clients)
	}
	began := time.Now()
	ok(t, d.Delete(t.Context(), ref), "delete")
	if took := time.Since(began); took > 10*time.Second {
		t.Errorf("delete after an eviction: took %s, want it not to wait for the watch's end", took)
	}
}

func TestResize_WhileNodeHasItOpen_GrowsIt(t *testing.T) {
	t.Parallel()
	d := open(t, inNamespace(t))
	ref := created(t, d, "a")
	n1 := openOn(t, attached(t, d, ref, "n1", volume.ReadWrite))
	n1.writes(t)
	ok(t, d.Resize(t.Context(), ref, 2*small), "resize")
	n1.writes(t)
	found, err := d.Get(t.Context(), ref.Key)
	if ok(t, err, "get"); found.Size != 2*small {
		t.Errorf("size: got %s, want %s", found.Size, 2*small)
	}
}
