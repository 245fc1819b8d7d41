package acceptance

import (
	"path/filepath"
	"regexp"
	"strings"
	"syscall"
	"testing"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"

	"github.com/jetvol/jetvol/internal/natstest"
)

// dataDir is where the documents let jetvol keep its data, within the working directory.
const dataDir = "jetvol-data"

// server is a running `jetvol up`.
type server struct {
	url     string
	workDir string
	program *program
}

var readyLine = regexp.MustCompile(`(?m)^jetvol ready: (nats://\S+) `)

// startServer starts jetvol on a free port in a new directory. When the test ends it is
// stopped.
func startServer(t testing.TB, flags ...string) *server {
	t.Helper()
	dependOnSources(t)
	s := &server{workDir: t.TempDir()}
	s.start(t, flags...)
	return s
}

// start starts jetvol, also again after stop, with what it has stored.
func (s *server) start(t testing.TB, flags ...string) {
	t.Helper()
	// A sweep would come at a random moment. Those that are wanted are asked for by scan.
	command := append([]string{"exec jetvol up --dir " + dataDir + " --listen 127.0.0.1:0 --reconcile-interval 0"}, flags...)
	s.program = startProgram(t, s, "", strings.Join(command, " "))
	t.Cleanup(func() { s.stop(t) }) // before startProgram's own, which kills
	printed := s.program.until(readyLine.MatchString)
	ready := readyLine.FindStringSubmatch(printed)
	if ready == nil {
		t.Fatalf("jetvol up printed\n%s\nwant a ready line", printed)
	}
	s.url = ready[1]
}

// stop ends the server by SIGTERM; it has to have drained. It may have been stopped before.
func (s *server) stop(t testing.TB) {
	t.Helper()
	if s.program == nil {
		return
	}
	if err := s.program.cmd.Process.Signal(syscall.SIGTERM); err != nil {
		t.Errorf("stop jetvol: %v\n%s", err, s.program.printed())
	}
	printed, err := s.program.end()
	if err != nil || !strings.Contains(printed, "jetvol stopped: drained") {
		t.Errorf("jetvol ended with %v and printed\n%s\nwant nil and jetvol stopped: drained", err, printed)
	}
	s.program = nil
}

// file returns the path of a volume's data.
func (s *server) file(key string) string {
	return filepath.Join(s.workDir, dataDir, "volumes", key+".img")
}

// connect returns a connection of the test's own.
func (s *server) connect(t testing.TB) (*nats.Conn, jetstream.JetStream) {
	t.Helper()
	return natstest.Dial(t, s.url)
}

// shell runs a command as a user would and returns what it prints.
func (s *server) shell(t testing.TB, command string) string {
	t.Helper()
	printed, err := startProgram(t, s, s.url, command).end()
	if err != nil {
		t.Fatalf("$ %s: %v\n%s", command, err, printed)
	}
	return printed
}
