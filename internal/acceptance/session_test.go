package acceptance

import (
	"strings"
	"testing"
	"time"

	"github.com/jetvol/jetvol/commands"
)

// documentURL stands in documents for the server's address.
const documentURL = "nats://127.0.0.1:4222"

// subscribe starts a command that subscribes to something and returns when the server has
// taken the subscription.
func (s *server) subscribe(t *testing.T, command string) *program {
	t.Helper()
	gate := newGate(t, s.url)
	p := startProgram(t, s, gate.url, command)
	select {
	case <-gate.subscribed:
	case <-p.done:
		t.Fatalf("$ %s: ended without a subscription\n%s", command, p.printed())
	case <-time.After(patience):
		t.Fatalf("$ %s: no subscription after %s", command, patience)
	}
	return p
}

// session runs the console blocks of one document against one server.
type session struct {
	server     *server
	document   string
	background *program // the one that wait and kill speak of; nil if there is none
}

// run runs one console block.
func (s *session) run(t *testing.T, b block) {
	t.Helper()
	all, err := steps(b)
	if err != nil {
		t.Fatalf("%s: %v", s.document, err)
	}
	// Readers are slower than the dedupe window; there is no other sign of its end.
	<-time.After(commands.DedupeWindow)
	for _, step := range all {
		for i, line := range step.want {
			step.want[i] = strings.ReplaceAll(line, documentURL, s.server.url)
		}
		s.step(t, step)
	}
	if s.background != nil {
		t.Fatalf("%s:%d: the block ends without wait or kill %%1", s.document, b.line)
	}
}

func (s *session) step(t *testing.T, step step) {
	t.Helper()
	command, inBackground := strings.CutSuffix(step.command, " &")
	var printed string
	var err error
	switch {
	case inBackground:
		s.start(t, step, command)
		return
	case step.command == "wait":
		printed, err = s.take(t, step).end()
	case step.command == "kill %1":
		job := s.take(t, step)
		printed = job.until(func(printed string) bool { ok, _ := matches(step.want, printed); return ok })
		job.kill()
	default:
		printed, err = startProgram(t, s.server, s.server.url, terminal(step.command)).end()
	}
	if err != nil {
		t.Fatalf("%s:%d: $ %s: %v\n%s", s.document, step.line, step.command, err, printed)
	}
	if ok, line := matches(step.want, printed); !ok {
		t.Fatalf("%s:%d: $ %s printed\n%s\nwant\n%s\nno match for %q",
			s.document, step.line, step.command, printed, strings.Join(step.want, "\n"), line)
	}
}

func (s *session) start(t *testing.T, step step, command string) {
	t.Helper()
	if s.background != nil || len(step.want) > 0 {
		t.Fatalf("%s:%d: want one command in the background, with its output below wait or kill %%1", s.document, step.line)
	}
	s.background = s.server.subscribe(t, command)
}

// take returns the program in the background, which is the session's no more.
func (s *session) take(t *testing.T, step step) *program {
	t.Helper()
	if s.background == nil {
		t.Fatalf("%s:%d: $ %s: nothing runs in the background", s.document, step.line, step.command)
	}
	job := s.background
	s.background = nil
	return job
}

// terminal gives those commands a terminal that do not work without one.
func terminal(command string) string {
	if !strings.HasPrefix(command, "nats stream view ") {
		return command
	}
	return "script -qec '" + strings.ReplaceAll(command, "'", `'\''`) + "' /dev/null"
}
