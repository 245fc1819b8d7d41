//go:build ceph

package acceptance

import (
	"bytes"
	"context"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/jetvol/jetvol/commands"
	"github.com/jetvol/jetvol/volume"
)

// node is a qemu-nbd that has an image open, as a machine that runs a volume would: it is
// started by the line that the record tells. What its users do comes through a socket.
type node struct {
	cmd    *exec.Cmd
	disk   []string // how qemu-io opens it
	ended  chan struct{}
	output bytes.Buffer // to be read after ended
}

// startNode runs the line of the attachment and returns when the socket is there.
func startNode(t *testing.T, a volume.Attachment) *node {
	t.Helper()
	dir, err := os.MkdirTemp("", "nbd-") // the path of a socket must be short
	if err != nil {
		t.Fatal(err)
	}
	line := strings.Fields(a.Connection["qemu_nbd"])
	if len(line) == 0 {
		t.Fatalf("attachment %+v: got no qemu_nbd line", a)
	}
	socket := filepath.Join(dir, "s")
	n := &node{disk: []string{"-f", "raw", "nbd+unix:///?socket=" + socket}, ended: make(chan struct{})}
	if a.Mode == volume.ReadOnly {
		n.disk = append(n.disk, "-r")
	}
	n.cmd = exec.Command(line[0], append(line[1:], "--socket", socket, "--persistent", "--shared", "8")...)
	n.cmd.Stdout, n.cmd.Stderr = &n.output, &n.output
	if err := n.cmd.Start(); err != nil {
		t.Fatal(err)
	}
	go func() {
		_ = n.cmd.Wait()
		close(n.ended)
	}()
	t.Cleanup(func() {
		n.kill()
		os.RemoveAll(dir)
	})
	poll(t, "socket of qemu-nbd", func() bool {
		select {
		case <-n.ended:
			t.Fatalf("%q ended: %s", n.cmd.Args, n.output.String())
		default:
		}
		_, err := os.Stat(socket)
		return err == nil
	})
	return n
}

func (n *node) signal(t *testing.T, signal syscall.Signal) {
	t.Helper()
	if err := n.cmd.Process.Signal(signal); err != nil {
		t.Fatal(err)
	}
}

// close ends qemu-nbd in order: it closes the image.
func (n *node) close(t *testing.T) {
	t.Helper()
	n.signal(t, syscall.SIGTERM)
	select {
	case <-n.ended:
	case <-time.After(patience):
		t.Fatalf("qemu-nbd has not ended after %s", patience)
	}
}

func (n *node) kill() {
	_ = n.cmd.Process.Kill() // it may have ended
	<-n.ended
}

// io does something with the disk that the node serves, and returns what qemu-io says.
func (n *node) io(t *testing.T, command string) (string, error) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), patience)
	defer cancel()
	output, err := exec.CommandContext(ctx, "qemu-io", append(n.disk, "-c", command)...).CombinedOutput()
	return string(output), err
}

// does wants qemu-io to succeed.
func (n *node) does(t *testing.T, command string) string {
	t.Helper()
	output, err := n.io(t, command)
	if err != nil || strings.Contains(output, "failed") {
		t.Fatalf("qemu-io %q: %v\n%s", command, err, output)
	}
	return output
}

// refuses wants a write that must reach the disk to fail.
func (n *node) refuses(t *testing.T, command string) {
	t.Helper()
	if output, err := n.io(t, command); err == nil {
		t.Errorf("qemu-io %q of a node that is gone: got\n%s\nwant an error", command, output)
	}
}

func (n *node) size(t *testing.T) string {
	t.Helper()
	output := strings.TrimSpace(n.does(t, "length"))
	if mib, found := strings.CutSuffix(output, " MiB"); found {
		return mib
	}
	return output
}

// tenant is the user of one volume.
type tenant struct {
	server *server
	place  *place
	client *commands.Client
	key    volume.Key
}

func newTenant(t *testing.T, name volume.Name) *tenant {
	t.Helper()
	s, p := startCeph(t)
	return &tenant{server: s, place: p, client: s.client(t), key: volume.Key{Project: "default", Name: name}}
}

func (v *tenant) do(t *testing.T, verb volume.Verb, args volume.Args) commands.Reply {
	t.Helper()
	return do(t, v.client, commands.Request{Key: v.key, Verb: verb, Args: args, Actor: "test"})
}

func (v *tenant) succeeds(t *testing.T, verb volume.Verb, args volume.Args, state volume.State) {
	t.Helper()
	wantReply(t, v.do(t, verb, args), volume.Succeeded, state, "")
}

// attach attaches the volume and returns what its record then says.
func (v *tenant) attach(t *testing.T, node volume.Node, mode volume.Mode) volume.Attachment {
	t.Helper()
	v.succeeds(t, volume.VerbAttach, volume.Args{Node: node, Mode: mode}, volume.StateAttached)
	_, js := v.server.connect(t)
	record, _ := readWitnessesOf(t, js, v.place.driver(t), v.key)
	attachment, found := record.Attachments.Of(node)
	if !found {
		t.Fatalf("record: got attachments %+v, want one of %s", record.Attachments, node)
	}
	return attachment
}

func TestCeph_NodeWrites_DataStaysOverResizeAndNodes(t *testing.T) {
	v := newTenant(t, "data")
	v.succeeds(t, volume.VerbCreate, volume.Args{Size: 64 * volume.MiB}, volume.StateAvailable)
	first := startNode(t, v.attach(t, "node-1", volume.ReadWrite))
	first.does(t, "write -f -P 0x11 1M 4M")
	if got := first.size(t); got != "64" {
		t.Errorf("size: got %s MiB, want 64", got)
	}

	// A detach says who is in its way, and the node goes on undisturbed.
	reply := v.do(t, volume.VerbDetach, volume.Args{Node: "node-1"})
	wantReply(t, reply, volume.Failed, volume.StateAttached, volume.ErrBackendBusy)
	if reply.Failure == nil || !strings.Contains(reply.Failure.Message, "127.0.0.1:0/") {
		t.Errorf("detach of an open volume: got %+v, want the client's address", reply.Failure)
	}
	t.Logf("detach of an open volume: %s, state %s: %s", reply.Outcome, reply.State, reply.Failure.Message)
	first.does(t, "write -f -P 0x22 8M 1M")

	v.succeeds(t, volume.VerbResize, volume.Args{Size: 96 * volume.MiB}, volume.StateAttached)
	info := v.place.cluster.RBD(t, "info", v.place.spec()+"/"+imageOf(v.key))
	if !strings.Contains(info, "size 96 MiB") {
		t.Errorf("rbd info: got\n%s\nwant 96 MiB", info)
	}
	first.does(t, "read -P 0x11 1M 4M")
	first.close(t)
	v.succeeds(t, volume.VerbDetach, volume.Args{Node: "node-1"}, volume.StateAvailable)

	second := startNode(t, v.attach(t, "node-2", volume.ReadOnly))
	third := startNode(t, v.attach(t, "node-3", volume.ReadOnly))
	for _, reader := range []*node{second, third} {
		if got := reader.size(t); got != "96" {
			t.Errorf("size after a resize: got %s MiB, want 96", got)
		}
		reader.does(t, "read -P 0x11 1M 4M")
		reader.does(t, "read -P 0x22 8M 1M")
	}
	second.close(t)
	third.close(t)
	for _, name := range []volume.Node{"node-2", "node-3"} {
		reply := v.do(t, volume.VerbDetach, volume.Args{Node: name})
		if reply.Outcome != volume.Succeeded {
			t.Errorf("detach from %s: got %+v", name, reply)
		}
	}
	v.succeeds(t, volume.VerbDelete, volume.Args{}, volume.StateDeleted)
}

// The benchmark of the rbd tool writes at the attach info, over a connection of its own.
func TestCeph_RBDBench_WritesAtTheAttachInfo(t *testing.T) {
	v := newTenant(t, "bench")
	v.succeeds(t, volume.VerbCreate, volume.Args{Size: 64 * volume.MiB}, volume.StateAvailable)
	info := v.attach(t, "node-1", volume.ReadWrite).Connection
	output, err := exec.Command("rbd", "--conf", info["conf"], "--id", info["user"], "--keyring", info["keyring"],
		"bench", "--io-type", "write", "--io-total", "16M", info["spec"]).CombinedOutput()
	if err != nil {
		t.Fatalf("rbd bench: %v\n%s", err, output)
	}
	used := v.place.cluster.RBD(t, "du", "--format", "json", info["spec"])
	if strings.Contains(used, `"used_size":0`) {
		t.Errorf("rbd du: got %s, want something used", used)
	}
	v.succeeds(t, volume.VerbDetach, volume.Args{}, volume.StateAvailable)
}

// A node that does not answer may still write. After node_gone it cannot, the next node
// has the volume at once, and what the first one had written is there.
func TestCeph_NodeGone_NodeIsFencedAndVolumeFree(t *testing.T) {
	for name, lost := range map[string]struct{ before, after syscall.Signal }{
		"frozen":       {syscall.SIGSTOP, syscall.SIGCONT}, // and comes back
		"disconnected": {},                                 // from jetvol, not from Ceph: it writes all the time
		"killed":       {before: syscall.SIGKILL},          // and leaves RBD's lock and watch behind
	} {
		t.Run(name, func(t *testing.T) {
			v := newTenant(t, volume.Name(name))
			v.succeeds(t, volume.VerbCreate, volume.Args{Size: 64 * volume.MiB}, volume.StateAvailable)
			gone := startNode(t, v.attach(t, "node-1", volume.ReadWrite))
			gone.does(t, "write -f -P 0x11 0 4M")
			if lost.before != 0 {
				gone.signal(t, lost.before)
			}

			began := time.Now()
			v.succeeds(t, volume.VerbNodeGone, volume.Args{Node: "node-1", Reason: "no answer for a minute"}, volume.StateAvailable)
			fenced := time.Since(began)
			next := startNode(t, v.attach(t, "node-2", volume.ReadWrite))
			next.does(t, "write -f -P 0x22 4M 4M")
			t.Logf("node_gone took %s; attached elsewhere and written after %s", fenced, time.Since(began))

			if lost.after != 0 {
				gone.signal(t, lost.after)
			}
			if name != "killed" {
				gone.refuses(t, "write -f -P 0x33 0 4M")
			}
			next.does(t, "read -P 0x11 0 4M")
			next.does(t, "read -P 0x22 4M 4M")
			if len(v.place.cluster.Blocklist(t)) == 0 {
				t.Error("got an empty blocklist, want the node's client in it")
			}
			next.close(t)
			v.succeeds(t, volume.VerbDetach, volume.Args{Node: "node-2"}, volume.StateAvailable)
			v.succeeds(t, volume.VerbDelete, volume.Args{}, volume.StateDeleted)
		})
	}
}
