package acceptance

import (
	"bytes"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"

	"github.com/nats-io/jsm.go/natscontext"
	"github.com/nats-io/nats.go"
	"github.com/rs/zerolog"
	"golang.org/x/crypto/bcrypt"

	"github.com/jetvol/jetvol/internal/embednats"
	"github.com/jetvol/jetvol/internal/natstest"
)

// exampleConfig is the file that operators copy.
const exampleConfig = "docs/nats/jetvol.conf"

// roles are the users of the example.
var roles = []string{"provisioner", "worker", "operator", "publisher", "auditor"}

// guarded is a server that runs by the example, with a context of the nats CLI for each
// of its users.
type guarded struct {
	*server
	nats *natstest.Server
	log  *serverLines
}

// startGuarded starts a server by a text in the form of the example.
func startGuarded(t *testing.T, config string) *guarded {
	t.Helper()
	home := t.TempDir()
	t.Setenv("XDG_CONFIG_HOME", home)
	for _, role := range roles {
		hash, err := bcrypt.GenerateFromPassword([]byte(passwordOf(role)), bcrypt.MinCost)
		if err != nil {
			t.Fatal(err)
		}
		t.Setenv("JETVOL_"+strings.ToUpper(role), string(hash))
	}
	file := filepath.Join(home, "nats.conf")
	if err := os.WriteFile(file, []byte(config), 0o600); err != nil {
		t.Fatal(err)
	}
	lines := &serverLines{}
	nats := natstest.Start(t, natstest.WithConfigFile(file), func(o *embednats.Options) {
		o.Logger = zerolog.New(lines).Level(zerolog.WarnLevel)
	})
	for _, role := range roles {
		options := []natscontext.Option{
			natscontext.WithServerURL(nats.URL()), natscontext.WithUser(role),
			natscontext.WithPassword(passwordOf(role)), natscontext.WithInboxPrefix("_INBOX." + role),
		}
		if role == "auditor" {
			options = append(options, natscontext.WithJSAPIPrefix("JETVOL.API"))
		}
		saveContext(t, role, options...)
	}
	return &guarded{server: &server{url: nats.URL(), workDir: home}, nats: nats, log: lines}
}

func passwordOf(role string) string { return role + "-has-a-long-password" }

// saveContext saves a context of the nats CLI where the programs of this test look.
func saveContext(t *testing.T, name string, options ...natscontext.Option) {
	t.Helper()
	made, err := natscontext.New(name, false, options...)
	if err != nil {
		t.Fatal(err)
	}
	if err := made.Save(name); err != nil {
		t.Fatal(err)
	}
}

// as returns a connection of one of the users.
func (g *guarded) as(t *testing.T, role string) *nats.Conn {
	t.Helper()
	return g.nats.Connect(t, nats.UserInfo(role, passwordOf(role)), nats.CustomInboxPrefix("_INBOX."+role),
		nats.ErrorHandler(func(*nats.Conn, *nats.Subscription, error) {})) // LastError tells
}

// provision makes the streams, as the provisioner.
func (g *guarded) provision(t *testing.T) {
	t.Helper()
	g.shell(t, "jetvol --context provisioner provision")
}

// startWorker starts a worker, as the user worker, and returns when it is ready.
func (g *guarded) startWorker(t *testing.T, id string) *program {
	t.Helper()
	p := startProgram(t, g.server, g.url, "exec jetvol --context worker worker --no-provision --id "+id+" --dir "+dataDir)
	ready := func(printed string) bool { return strings.Contains(printed, "jetvol worker ready") }
	if printed := p.until(ready); !ready(printed) {
		t.Fatalf("worker %s printed\n%s\nwant a ready line", id, printed)
	}
	return p
}

// serverLines holds what the server logs.
type serverLines struct {
	mu   sync.Mutex // guards text
	text bytes.Buffer
}

func (l *serverLines) Write(line []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.text.Write(line)
}

// violations returns the lines about what a user may not do.
func (l *serverLines) violations() []string {
	l.mu.Lock()
	defer l.mu.Unlock()
	var found []string
	for line := range strings.SplitSeq(l.text.String(), "\n") {
		if strings.Contains(line, "Violation") {
			found = append(found, line)
		}
	}
	return found
}
