package acceptance

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"

	"github.com/jetvol/jetvol/backends"
	"github.com/jetvol/jetvol/backends/local"
	"github.com/jetvol/jetvol/commands"
	"github.com/jetvol/jetvol/internal/natstest"
	"github.com/jetvol/jetvol/volume"
)

// project is that of all volumes of a stage.
const project volume.Project = "default"

// medium is where a stage's volumes are, seen past jetvol.
type medium interface {
	// open returns a driver of another process.
	open(ctx context.Context) (backends.Driver, error)
	// use opens an attached volume as its node would.
	use(t *testing.T, a volume.Attachment) disk
	// content returns all bytes of a volume, or of a snapshot of it.
	content(t *testing.T, key volume.Key, snapshot volume.SnapshotName) []byte
	// all returns the names of everything that is kept.
	all(t *testing.T) []string
}

// disk is an attached volume in use.
type disk interface {
	// fill writes the byte so often, durably.
	fill(t *testing.T, at, length int64, with byte)
	close(t *testing.T)
}

// stage is a running jetvol with the volumes of a test about chains.
type stage struct {
	server *server
	medium medium
	client *commands.Client
	conn   *nats.Conn
	js     jetstream.JetStream
	names  map[volume.Name]bool // every name that a command was sent to
	// lags says that a reader may be behind what is committed, for a moment.
	lags bool
}

func newStage(t *testing.T, s *server, m medium) *stage {
	t.Helper()
	conn, js := s.connect(t)
	return &stage{server: s, medium: m, client: s.client(t), conn: conn, js: js, names: map[volume.Name]bool{}}
}

// localStage is `jetvol up`.
func localStage(t *testing.T) *stage {
	t.Helper()
	s := startServer(t)
	return newStage(t, s, files(filepath.Dir(s.file(""))))
}

// replicatedStage is `jetvol worker` over three servers.
func replicatedStage(t *testing.T) *stage {
	t.Helper()
	dependOnSources(t)
	s := &server{url: strings.Join(natstest.StartCluster(t, 3).URLs(), ","), workDir: t.TempDir()}
	startWorker(t, s, "--replicas 3 --dir "+dataDir)
	stage := newStage(t, s, files(filepath.Dir(s.file(""))))
	stage.lags = true
	return stage
}

// startWorker starts `jetvol worker` and returns when it is ready.
func startWorker(t *testing.T, s *server, flags string) *program {
	t.Helper()
	worker := startProgram(t, s, s.url, "exec jetvol worker --log-level error "+flags)
	const ready = "jetvol worker ready:"
	printed := worker.until(func(printed string) bool { return strings.Contains(printed, ready) })
	if !strings.Contains(printed, ready) {
		t.Fatalf("jetvol worker printed\n%s\nwant %q", printed, ready)
	}
	return worker
}

func (s *stage) key(name volume.Name) volume.Key { return volume.Key{Project: project, Name: name} }

// do sends a command as a service would.
func (s *stage) do(t *testing.T, name volume.Name, verb volume.Verb, args volume.Args) commands.Reply {
	t.Helper()
	s.names[name] = true
	return do(t, s.client, commands.Request{Key: s.key(name), Verb: verb, Args: args, Actor: "test"})
}

// agree wants all witnesses of all volumes to say the same.
func (s *stage) agree(t *testing.T) {
	t.Helper()
	faults := s.faults(t)
	for late := time.After(patience); s.lags && len(faults) > 0; {
		select {
		case <-late:
			s.lags = false
		case <-time.After(100 * time.Millisecond):
		}
		faults = s.faults(t)
	}
	for _, fault := range faults {
		t.Error(fault)
	}
}

func (s *stage) faults(t *testing.T) []string {
	t.Helper()
	seen := s.look(t)
	faults := seen.disagreements()
	driver, err := s.medium.open(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	defer driver.Close()
	for name := range seen.records {
		record, witnesses := readWitnessesOf(t, s.js, driver, s.key(name))
		for _, fault := range disagreements(record, witnesses.events, witnesses.object) {
			faults = append(faults, string(name)+": "+fault)
		}
	}
	return faults
}

// nothingLeft wants no trace but the events, which end with the volumes' deletion.
func (s *stage) nothingLeft(t *testing.T) {
	t.Helper()
	s.agree(t)
	seen := s.look(t)
	if len(seen.records)+len(seen.entries)+len(seen.objects) > 0 {
		t.Errorf("got records %v, entries %v, objects %v, want none", seen.records, seen.entries, seen.objects)
	}
	if all := s.medium.all(t); len(all) > 0 {
		t.Errorf("got %q at the backend, want nothing", all)
	}
	// Also no link of the index: the raw bucket. Fences stay, for who is shut out may come late.
	bucket, err := s.js.KeyValue(t.Context(), "snapshots")
	if err != nil {
		t.Fatal(err)
	}
	keys, err := bucket.Keys(t.Context())
	if err != nil && !errors.Is(err, jetstream.ErrNoKeysFound) {
		t.Fatal(err)
	}
	keys = slices.DeleteFunc(keys, func(key string) bool { return strings.Split(key, ".")[1] == "f" })
	if len(keys) > 0 {
		t.Errorf("bucket snapshots: got keys %q, want none but fences", keys)
	}
	for _, record := range s.records(t) {
		_, witnesses := readWitnessesOf(t, s.js, s.driver(t), record.Key)
		if last := lastTransition(witnesses.events); last != volume.StateDeleted && last != volume.StatePending {
			t.Errorf("volume %s: events end in %q, want %s, or none", record.Key, last, volume.StateDeleted)
		}
	}
}

func (s *stage) driver(t *testing.T) backends.Driver {
	t.Helper()
	driver, err := s.medium.open(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = driver.Close() })
	return driver
}

func lastTransition(history []volume.Transition) volume.State {
	state := volume.StatePending
	for _, event := range history {
		state = event.To
	}
	return state
}

// files is the directory of the local backend.
type files string

func (f files) open(context.Context) (backends.Driver, error) {
	return local.Open(local.Options{Dir: string(f)})
}

func (f files) use(t *testing.T, a volume.Attachment) disk {
	t.Helper()
	flag := os.O_RDWR
	if a.Mode == volume.ReadOnly {
		flag = os.O_RDONLY
	}
	file, err := os.OpenFile(a.Connection["path"], flag, 0)
	if err != nil {
		t.Fatal(err)
	}
	return &fileDisk{file}
}

// fileDisk is a volume of the local backend.
type fileDisk struct{ *os.File }

func (f *fileDisk) fill(t *testing.T, at, length int64, with byte) {
	t.Helper()
	if _, err := f.WriteAt(slices.Repeat([]byte{with}, int(length)), at); err != nil {
		t.Fatal(err)
	}
}

func (f *fileDisk) close(t *testing.T) {
	t.Helper()
	if err := f.Close(); err != nil {
		t.Error(err)
	}
}

func (f files) content(t *testing.T, key volume.Key, snapshot volume.SnapshotName) []byte {
	t.Helper()
	name := key.String()
	if snapshot != "" {
		name += "@" + string(snapshot)
	}
	data, err := os.ReadFile(filepath.Join(string(f), name+".img"))
	if err != nil {
		t.Fatal(err)
	}
	return data
}

func (f files) all(t *testing.T) (names []string) {
	t.Helper()
	entries, err := os.ReadDir(string(f))
	if err != nil {
		t.Fatal(err)
	}
	for _, entry := range entries {
		if entry.Name() != local.FencesDir {
			names = append(names, entry.Name())
		}
	}
	return names
}

// A speaker sends one command in the manner of one kind of user, and returns the answer.
type speaker func(t *testing.T, s *stage, l line) commands.Reply

// line is a command as it is typed.
type line struct {
	cli     string // behind `jetvol`
	volume  volume.Name
	verb    volume.Verb
	payload string // of the nats CLI
}

// byCLI is somebody with the jetvol CLI.
func byCLI(t *testing.T, s *stage, l line) commands.Reply {
	t.Helper()
	printed, _ := startProgram(t, s.server, s.server.url, "jetvol "+l.cli+" --json").end() // a refusal has an exit code
	text, _, _ := strings.Cut(printed, "\n")
	reply, err := commands.DecodeReply([]byte(text))
	if err != nil {
		t.Fatalf("$ jetvol %s: %v\n%s", l.cli, err, printed)
	}
	return reply
}

// byNATS is somebody with the nats CLI and no jetvol.
func byNATS(t *testing.T, s *stage, l line) commands.Reply {
	t.Helper()
	inbox := s.conn.NewInbox()
	answers, err := s.conn.SubscribeSync(inbox)
	if err != nil {
		t.Fatal(err)
	}
	defer answers.Unsubscribe()
	if err := s.conn.Flush(); err != nil {
		t.Fatal(err)
	}
	printed := s.server.shell(t, fmt.Sprintf("nats req --raw -H Jetvol-Reply:%s volume.command.%s.%s.%s '%s'", inbox, project, l.volume, l.verb, l.payload))
	if !strings.Contains(printed, `"stream":"`+commands.StreamName+`"`) {
		t.Fatalf("nats req of %s: got %s, want it stored", l.verb, printed)
	}
	answer, err := answers.NextMsg(patience)
	if err != nil {
		t.Fatalf("answer to %s of %s: %v", l.verb, l.volume, err)
	}
	reply, err := commands.DecodeReply(answer.Data)
	if err != nil {
		t.Fatal(err)
	}
	return reply
}
