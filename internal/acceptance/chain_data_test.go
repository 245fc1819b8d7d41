package acceptance

import (
	"bytes"
	"crypto/sha256"
	"slices"
	"testing"

	"github.com/jetvol/jetvol/commands"
	"github.com/jetvol/jetvol/volume"
)

// tale is a story about contents: what is done to volumes is done to plain bytes too, and
// after each step all of both are compared.
type tale struct {
	*stage
	say speaker
	// want is the content of each volume, and of each snapshot as `volume@snapshot`.
	want  map[string][]byte
	disks map[volume.Name]disk
	// sparing leaves it to the test to say when to compare.
	sparing bool
}

func newTale(s *stage, say speaker) *tale {
	return &tale{stage: s, say: say, want: map[string][]byte{}, disks: map[volume.Name]disk{}}
}

func (d *tale) tell(t *testing.T, name volume.Name, verb volume.Verb, cli, payload string) commands.Reply {
	t.Helper()
	d.names[name] = true
	return d.say(t, d.stage, line{cli, name, verb, payload})
}

// does wants a command to succeed; then says what has become of the contents.
func (d *tale) does(t *testing.T, name volume.Name, verb volume.Verb, cli, payload string, then func()) {
	t.Helper()
	reply := d.tell(t, name, verb, cli, payload)
	if reply.Outcome != volume.Succeeded {
		t.Fatalf("$ jetvol %s: got %s, %+v", cli, reply.Outcome, reply.Failure)
	}
	then()
	d.step(t, cli)
}

// refuses wants a command to be rejected with the code, and to tell what is in the way.
func (d *tale) refuses(t *testing.T, name volume.Name, verb volume.Verb, cli, payload string, code volume.Code, by ...volume.Blocker) {
	t.Helper()
	reply := d.tell(t, name, verb, cli, payload)
	if reply.Outcome != volume.Rejected || reply.Failure == nil || reply.Failure.Code != code || reply.Failure.Class != volume.FailedPrecondition {
		t.Fatalf("$ jetvol %s: got %s, %+v, want rejected by %s", cli, reply.Outcome, reply.Failure, code)
	}
	if !slices.Equal(reply.Failure.BlockedBy, by) {
		t.Errorf("$ jetvol %s: got blocked by %v, want %v", cli, reply.Failure.BlockedBy, by)
	}
	d.step(t, cli)
}

func (d *tale) attach(t *testing.T, name volume.Name, mode volume.Mode) {
	t.Helper()
	reply := d.do(t, name, volume.VerbAttach, volume.Args{Node: "node-1", Mode: mode})
	wantReply(t, reply, volume.Succeeded, volume.StateAttached, "")
	record, _ := readWitnessesOf(t, d.js, d.driver(t), d.key(name))
	attachment, found := record.Attachments.Of("node-1")
	if !found {
		t.Fatalf("record: got attachments %+v", record.Attachments)
	}
	d.disks[name] = d.medium.use(t, attachment)
}

func (d *tale) detach(t *testing.T, name volume.Name) {
	t.Helper()
	d.disks[name].close(t)
	delete(d.disks, name)
	wantReply(t, d.do(t, name, volume.VerbDetach, volume.Args{}), volume.Succeeded, volume.StateAvailable, "")
}

// write writes the byte to a volume that is attached, where it says.
func (d *tale) write(t *testing.T, name volume.Name, at, length int64, with byte) {
	t.Helper()
	d.disks[name].fill(t, at, length, with)
	changed := slices.Clone(d.want[string(name)])
	copy(changed[at:], slices.Repeat([]byte{with}, int(length)))
	d.want[string(name)] = changed
	d.step(t, "write to "+string(name))
}

// becomes says that the content of one is now that of another, and as long.
func (d *tale) becomes(name, of string, size int) func() {
	return func() {
		content := make([]byte, size)
		copy(content, d.want[of])
		d.want[name] = content
	}
}

func (d *tale) vanishes(name string) func() { return func() { delete(d.want, name) } }

func (d *tale) step(t *testing.T, after string) {
	t.Helper()
	if !d.sparing {
		d.compare(t, after)
	}
}

// compare compares all contents by their checksums, and what the witnesses say.
func (d *tale) compare(t *testing.T, after string) {
	t.Helper()
	for name, want := range d.want {
		volumeName, snapshot, _ := bytes.Cut([]byte(name), []byte("@"))
		got := d.medium.content(t, d.key(volume.Name(volumeName)), volume.SnapshotName(snapshot))
		if sum, wanted := sha256.Sum256(got), sha256.Sum256(want); sum != wanted {
			t.Fatalf("after %s: %s has %d bytes of checksum %.4x, want %d of %.4x; the first that differs is at %d",
				after, name, len(got), sum, len(want), wanted, differsAt(got, want))
		}
	}
	d.agree(t)
	if t.Failed() {
		t.Fatalf("after %s", after)
	}
}

func differsAt(a, b []byte) int {
	for i := range min(len(a), len(b)) {
		if a[i] != b[i] {
			return i
		}
	}
	return min(len(a), len(b))
}

// Sizes of the tale, in bytes. No write ends where a block or an object of the backend does.
const (
	kib      = 1 << 10
	mib      = 1 << 20
	taleSize = 8 * mib
	deepSize = 12 * mib
)

// run tells the tale: writes to a parent, its clone, and a clone of that, around snapshots,
// a restore and a flatten, with everything that is in the way of a deletion.
func (d *tale) run(t *testing.T) {
	t.Helper()
	d.does(t, "base", "create", "volume create base --size 8MiB", `{"size":"8MiB"}`, d.becomes("base", "", taleSize))
	d.attach(t, "base", volume.ReadWrite)
	d.write(t, "base", 0, 4*mib, 0x11)
	d.does(t, "base", "snapshot", "snapshot create base s1", `{"snapshot":"s1"}`, d.becomes("base@s1", "base", taleSize))
	d.write(t, "base", mib+4*kib, mib, 0x22)
	d.does(t, "copy", "create", "volume create copy --from base@s1", `{"source":"base@s1"}`, d.becomes("copy", "base@s1", taleSize))
	d.attach(t, "copy", volume.ReadWrite)
	d.write(t, "copy", 2*mib, 3*mib+8*kib, 0x33)
	d.write(t, "base", 6*mib, mib, 0x44)
	d.does(t, "copy", "snapshot", "snapshot create copy s2", `{"snapshot":"s2"}`, d.becomes("copy@s2", "copy", taleSize))
	d.write(t, "copy", 512*kib, mib, 0x55)
	d.does(t, "deep", "create", "volume create deep --from copy@s2 --size 12MiB", `{"source":"copy@s2","size":"12MiB"}`, d.becomes("deep", "copy@s2", deepSize))
	d.does(t, "look", "create", "volume create look --from copy@s2 --read-only", `{"source":"copy@s2","read_only":true}`, d.becomes("look", "copy@s2", taleSize))
	d.attach(t, "look", volume.ReadOnly)
	d.attach(t, "deep", volume.ReadWrite)
	d.write(t, "deep", 7*mib+4*kib, 2*mib, 0x66) // over the end of its source
	d.restore(t)
	d.refuse(t)
	d.flatten(t)
	d.end(t)
}

func (d *tale) restore(t *testing.T) {
	t.Helper()
	d.refuses(t, "base", "restore", "snapshot restore base@s1", `{"snapshot":"s1"}`, volume.ErrInvalidTransition,
		volume.Blocker{Kind: volume.BlockedByNode, Name: "node-1"})
	d.detach(t, "base")
	d.does(t, "base", "restore", "snapshot restore base@s1", `{"snapshot":"s1"}`, d.becomes("base", "base@s1", taleSize))
	d.attach(t, "base", volume.ReadWrite)
	d.write(t, "base", 3*mib, 2*mib, 0x77)
}

func (d *tale) refuse(t *testing.T) {
	t.Helper()
	child := func(name string) volume.Blocker { return volume.Blocker{Kind: volume.BlockedByChild, Name: name} }
	d.refuses(t, "base", "delete_snapshot", "snapshot delete base@s1", `{"snapshot":"s1"}`, volume.ErrSnapshotInUse, child("copy"), child("copy@s2"))
	d.refuses(t, "copy", "delete_snapshot", "snapshot delete copy@s2", `{"snapshot":"s2"}`, volume.ErrSnapshotInUse, child("deep"), child("look"))
	d.refuses(t, "look", "snapshot", "snapshot create look no", `{"snapshot":"no"}`, volume.ErrReadOnlyVolume)
	d.detach(t, "base")
	d.refuses(t, "base", "delete", "volume delete base", `{}`, volume.ErrHasSnapshots, volume.Blocker{Kind: volume.BlockedBySnapshot, Name: "s1"})
}

// flatten cuts the chain in its middle, while the volume is in use: nothing is seen of it in
// what stands below, and its source is free.
func (d *tale) flatten(t *testing.T) {
	t.Helper()
	unchanged := func() {}
	d.does(t, "copy", "flatten", "volume flatten copy", `{}`, unchanged)
	d.does(t, "base", "delete_snapshot", "snapshot delete base@s1", `{"snapshot":"s1"}`, d.vanishes("base@s1"))
	d.write(t, "copy", 0, 4*kib, 0x88)
	d.does(t, "base", "delete", "volume delete base", `{}`, d.vanishes("base"))
	d.does(t, "deep", "flatten", "volume flatten deep", `{}`, unchanged)
	d.write(t, "deep", 11*mib, mib, 0x99)
}

func (d *tale) end(t *testing.T) {
	t.Helper()
	for _, name := range []volume.Name{"look", "deep"} {
		d.detach(t, name)
		d.does(t, name, "delete", "volume delete "+string(name), `{}`, d.vanishes(string(name)))
	}
	d.does(t, "copy", "delete_snapshot", "snapshot delete copy@s2", `{"snapshot":"s2"}`, d.vanishes("copy@s2"))
	d.detach(t, "copy")
	d.does(t, "copy", "delete", "volume delete copy", `{}`, d.vanishes("copy"))
	d.nothingLeft(t)
}

// Parent, snapshot, clone, clone of the clone, view and restored volume have the content
// that they should have after every step, whoever asks and however.
func TestChain_InterleavedWrites_ContentsAreOfTheirTime(t *testing.T) {
	for name, say := range map[string]speaker{"jetvol CLI": byCLI, "nats CLI": byNATS} {
		t.Run(name, func(t *testing.T) { newTale(localStage(t), say).run(t) })
	}
}

func TestChain_ThreeServers_ContentsAreOfTheirTime(t *testing.T) {
	newTale(replicatedStage(t), byNATS).run(t)
}

// The comparison of contents finds one byte.
func TestDiffersAt(t *testing.T) {
	for _, test := range []struct {
		a, b string
		want int
	}{{"abc", "abd", 2}, {"abc", "abc", 3}, {"ab", "abc", 2}, {"", "a", 0}} {
		if got := differsAt([]byte(test.a), []byte(test.b)); got != test.want {
			t.Errorf("%q, %q: got %d, want %d", test.a, test.b, got, test.want)
		}
	}
}
