package acceptance

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/nats-io/nats.go/jetstream"

	"github.com/jetvol/jetvol/internal/natstest"
)

const operations = "docs/operations.md"

// situation makes what a section of the document is about. The functions that it returns
// are run before the first block, the second and so on.
type situation func(t *testing.T) (*server, []func(t *testing.T))

// situations are those of the sections, by their headings.
var situations = map[string]situation{
	"Volume stuck attaching": stuckAttaching,
	"Who holds it":           heldVolume,
	"Orphans after a crash":  orphan,
	"Quota wrong":            wrongLedger,
	"Poison command":         plainServer,
	"Lost quorum":            lostQuorum,
	"Disk full":              diskFull,
	"Worker will not start":  workerWillNotStart,

	"Take an existing image in": existingImage,
}

// cephSections need a Ceph cluster: they are run with the build tag ceph.
var cephSections = []string{"Image has watchers", "Dead node"}

// section is a part of a document below a heading of the second level.
type section struct {
	heading string
	blocks  []block
}

func sections(document string) (found []section) {
	all := marked(document, "console")
	lines := strings.Split(document, "\n")
	for i, line := range lines {
		if heading, ok := strings.CutPrefix(line, "## "); ok {
			found = append(found, section{heading: heading})
		}
		for _, b := range all {
			if b.line == i+1 && len(found) > 0 {
				found[len(found)-1].blocks = append(found[len(found)-1].blocks, b)
			}
		}
	}
	return found
}

// runSection makes the situation and runs what the document says to do in it.
func runSection(t *testing.T, s section, prepare situation) {
	t.Helper()
	server, before := prepare(t)
	run := &session{server: server, document: operations}
	if len(s.blocks) < len(before) {
		t.Fatalf("%s: got %d blocks, want at least %d", s.heading, len(s.blocks), len(before))
	}
	for i, b := range s.blocks {
		if i < len(before) {
			before[i](t)
		}
		run.run(t, b)
	}
}

func TestOperations_EveryPain_CommandsHelpAsShown(t *testing.T) {
	seen := 0
	for _, s := range sections(readDocument(t, operations)) {
		prepare, found := situations[s.heading]
		if !found {
			continue
		}
		seen++
		t.Run(s.heading, func(t *testing.T) {
			t.Parallel()
			runSection(t, s, prepare)
		})
	}
	if seen != len(situations) {
		t.Errorf("got %d of %d sections", seen, len(situations))
	}
}

// Every section is run here or with Ceph.
func TestOperations_EverySection_HasASituation(t *testing.T) {
	ceph := map[string]bool{}
	for _, heading := range cephSections {
		ceph[heading] = true
	}
	pains := 0
	for _, s := range sections(readDocument(t, operations)) {
		if len(s.blocks) > 0 && situations[s.heading] == nil && !ceph[s.heading] {
			t.Errorf("section %q has blocks that nobody runs", s.heading)
		}
		if len(s.blocks) > 0 {
			pains++
		}
	}
	if want := len(situations) + len(cephSections); pains != want {
		t.Errorf("got %d sections with commands, want %d", pains, want)
	}
}

func plainServer(t *testing.T) (*server, []func(*testing.T)) { return startServer(t), nil }

// stuckAttaching has a backend that takes its time.
func stuckAttaching(t *testing.T) (*server, []func(*testing.T)) {
	s := startServer(t, "--backend", "null", "--null-latency", "4s")
	s.shell(t, "jetvol volume create db-01 --size 1MiB")
	s.shell(t, `nats pub volume.command.default.db-01.attach '{"node":"node-1"}'`)
	s.shell(t, awaiting("nats kv get volumes default.db-01 --raw", `'"state":"attaching"'`))
	return s, nil
}

// existingImage has a file in the backend's directory that jetvol never made.
func existingImage(t *testing.T) (*server, []func(*testing.T)) {
	s := startServer(t)
	s.shell(t, "truncate -s 1M "+filepath.Join(dataDir, "volumes", "web-disk"))
	return s, nil
}

// wrongLedger has a ledger that somebody has edited: it counts a volume that there is not.
func wrongLedger(t *testing.T) (*server, []func(*testing.T)) {
	s := startServer(t)
	s.shell(t, "jetvol volume create db-01 --size 1MiB && jetvol quota set default --volumes 2")
	s.shell(t, `nats kv get quotas default --raw | sed 's/"volumes":1,/"volumes":2,/' | nats kv put quotas default`)
	return s, nil
}

func heldVolume(t *testing.T) (*server, []func(*testing.T)) {
	s := startServer(t)
	s.shell(t, "jetvol volume create db-01 --size 1MiB && jetvol volume attach db-01 --node node-1")
	return s, nil
}

// orphan has a volume whose record is gone, as after a restore of an old copy of the
// streams.
func orphan(t *testing.T) (*server, []func(*testing.T)) {
	s := startServer(t)
	s.shell(t, "jetvol volume create kept --size 1MiB && jetvol volume create lost --size 1MiB")
	kept := t.TempDir()
	for _, file := range filesOf(t, s, "default.lost") {
		copyFile(t, file, filepath.Join(kept, filepath.Base(file)))
	}
	s.stop(t)
	fresh := startServer(t)
	fresh.shell(t, "jetvol volume create kept --size 1MiB")
	copied, err := filepath.Glob(filepath.Join(kept, "*"))
	if err != nil {
		t.Fatal(err)
	}
	for _, file := range copied {
		copyFile(t, file, filepath.Join(fresh.workDir, dataDir, "volumes", filepath.Base(file)))
	}
	return fresh, nil
}

// filesOf returns the files that the backend local keeps of a volume.
func filesOf(t *testing.T, s *server, key string) []string {
	t.Helper()
	files, err := filepath.Glob(filepath.Join(s.workDir, dataDir, "volumes", key+".*"))
	if err != nil || len(files) == 0 {
		t.Fatalf("files of %s: got %q, %v", key, files, err)
	}
	return files
}

func copyFile(t *testing.T, from, to string) {
	t.Helper()
	data, err := os.ReadFile(from)
	if err != nil {
		t.Fatal(err)
	}
	writeSecret(t, to, data)
}

// lostQuorum has three servers, of which two stop before the first block and start again
// before the second.
func lostQuorum(t *testing.T) (*server, []func(*testing.T)) {
	dependOnSources(t)
	cluster := natstest.StartCluster(t, 3)
	s := &server{url: strings.Join(cluster.URLs(), ","), workDir: t.TempDir()}
	s.shell(t, "jetvol provision --replicas 3")
	worker := startProgram(t, s, s.url, "exec jetvol worker --dir "+dataDir)
	worker.until(func(printed string) bool { return strings.Contains(printed, "jetvol worker ready") })
	s.shell(t, "jetvol volume create db-01 --size 1MiB")
	stop := func(t *testing.T) {
		cluster.AwaitCurrent(t)
		cluster.Stop(t, 1)
		cluster.Stop(t, 2)
	}
	restart := func(t *testing.T) {
		cluster.Restart(t, 1)
		cluster.Restart(t, 2)
		cluster.AwaitCurrent(t)
	}
	return s, []func(*testing.T){stop, restart}
}

// diskFull has a server that may store little, and a stream of somebody else's that has
// taken all of it.
func diskFull(t *testing.T) (*server, []func(*testing.T)) {
	dependOnSources(t)
	file := writeSecret(t, filepath.Join(t.TempDir(), "nats.conf"), []byte("jetstream { max_file_store: 4MB }\n"))
	s := &server{url: natstest.Start(t, natstest.WithConfigFile(file)).URL(), workDir: t.TempDir()}
	worker := startProgram(t, s, s.url, "exec jetvol worker --dir "+dataDir)
	worker.until(func(printed string) bool { return strings.Contains(printed, "jetvol worker ready") })
	s.shell(t, "jetvol volume create db-01 --size 1MiB")
	_, js := s.connect(t)
	if _, err := js.CreateStream(t.Context(), jetstream.StreamConfig{Name: "LOGS", Subjects: []string{"logs"}}); err != nil {
		t.Fatal(err)
	}
	for size := 1 << 16; size > 0; {
		if _, err := js.Publish(t.Context(), "logs", make([]byte, size)); err != nil {
			size /= 4
		}
	}
	return s, nil
}

// workerWillNotStart has a server with a stream that somebody has changed.
func workerWillNotStart(t *testing.T) (*server, []func(*testing.T)) {
	dependOnSources(t)
	s := &server{url: natstest.Start(t).URL(), workDir: t.TempDir()}
	change := func(t *testing.T) { // after the first block has made the streams
		s.shell(t, "nats stream edit VOLUME_COMMANDS --max-age 1h --force")
	}
	hold := func(t *testing.T) {
		p := startProgram(t, s, s.url, "exec jetvol worker --id w1 --dir "+dataDir)
		p.until(func(printed string) bool { return strings.Contains(printed, "jetvol worker ready") })
	}
	return s, []func(*testing.T){func(*testing.T) {}, change, hold}
}
