package doctor_test

import (
	"context"
	"flag"
	"fmt"
	"os"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/nats-io/nats-server/v2/server"
	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"
	"go.uber.org/goleak"

	"github.com/jetvol/jetvol/backends"
	"github.com/jetvol/jetvol/backends/null"
	"github.com/jetvol/jetvol/doctor"
	"github.com/jetvol/jetvol/internal/natstest"
	"github.com/jetvol/jetvol/internal/provision"
	"github.com/jetvol/jetvol/worker"
)

// patience is how long a test waits for what must come, and askPause stands between two
// looks.
const (
	patience = time.Minute
	askPause = 50 * time.Millisecond
)

// seen are the codes of all findings that were caused in this run.
var seen struct {
	sync.Mutex
	codes map[string]bool
}

// TestMain fails a full run in which a kind of finding was not caused: such a check might
// never find anything.
func TestMain(m *testing.M) {
	flag.Parse()
	seen.codes = map[string]bool{}
	goleak.VerifyTestMain(m, goleak.Cleanup(func(code int) {
		some := flag.Lookup("test.run").Value.String() + flag.Lookup("test.skip").Value.String()
		if missing := notCaused(); code == 0 && some == "" && len(missing) > 0 {
			fmt.Fprintf(os.Stderr, "never caused: %s\n", strings.Join(missing, ", "))
			code = 1
		}
		os.Exit(code)
	}))
}

func notCaused() []string {
	var missing []string
	for _, c := range doctor.Checks() {
		for _, k := range c.Kinds {
			if !seen.codes[k.Code] {
				missing = append(missing, k.Code)
			}
		}
	}
	return missing
}

// clinic is a server with jetvol's streams.
type clinic struct {
	*testing.T
	ctx  context.Context
	conn *nats.Conn
	js   jetstream.JetStream
}

// start provisions a server of the test's own.
func start(t *testing.T) *clinic {
	t.Helper()
	c := admit(t, natstest.Start(t).Connect(t))
	c.provision(1)
	return c
}

// admit makes a clinic of a connection.
func admit(t *testing.T, conn *nats.Conn) *clinic {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), patience)
	t.Cleanup(cancel)
	js, err := jetstream.New(conn)
	if err != nil {
		t.Fatal(err)
	}
	return &clinic{T: t, ctx: ctx, conn: conn, js: js}
}

func (c *clinic) provision(replicas int) {
	c.Helper()
	_, err := provision.Apply(c.ctx, c.js, provision.Options{Replicas: replicas, Update: true})
	c.must(err)
}

func (c *clinic) must(err error) {
	c.Helper()
	if err != nil {
		c.Fatal(err)
	}
}

// work runs a worker until the test ends.
func (c *clinic) work(id string) {
	c.Helper()
	w, err := worker.New(c.ctx, c.conn, worker.Config{
		ID: id, DefaultBackend: "null", LeaseTTL: patience, // however slow the machine is
		Backends: map[string]*backends.Backend{"null": backends.New("null", null.New(null.Options{}), backends.Options{})},
	})
	c.must(err)
	ctx, stop := context.WithCancel(context.WithoutCancel(c.ctx))
	done := make(chan error, 1)
	go func() { done <- w.Run(ctx) }()
	c.Cleanup(func() {
		stop()
		if err := <-done; err != nil {
			c.Error(err)
		}
	})
	select {
	case <-w.Ready():
	case <-c.ctx.Done():
		c.Fatal("worker is not ready")
	}
}

// findings are what doctor reports.
type findings struct {
	t *testing.T
	doctor.Report
}

// examine examines over a connection of its own, as the CLI does.
func (c *clinic) examine(options doctor.Options) findings {
	c.Helper()
	conn, err := nats.Connect(strings.Join(c.conn.Servers(), ","), append(credentials(c.conn), nats.ErrorHandler(quiet))...)
	c.must(err)
	defer conn.Close()
	return look(c.T, conn, options)
}

// quiet keeps refusals, which are expected, out of the test's output.
func quiet(*nats.Conn, *nats.Subscription, error) {}

func credentials(conn *nats.Conn) []nats.Option {
	if conn.Opts.User == "" {
		return nil
	}
	return []nats.Option{nats.UserInfo(conn.Opts.User, conn.Opts.Password)}
}

func look(t *testing.T, conn *nats.Conn, options doctor.Options) findings {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), patience)
	defer cancel()
	report := doctor.Examine(ctx, conn, options)
	return record(t, report)
}

func record(t *testing.T, report doctor.Report) findings {
	t.Helper()
	seen.Lock()
	defer seen.Unlock()
	for _, f := range report.Findings {
		seen.codes[f.Code] = true
		if f.Text == "" || f.Check == "" || !strings.HasPrefix(f.Code, f.Check+".") {
			t.Errorf("got %+v, want a check, its code and a text", f)
		}
	}
	return findings{t, report}
}

// find returns the findings of a code.
func (r findings) find(code string) []doctor.Finding {
	var found []doctor.Finding
	for _, f := range r.Findings {
		if f.Code == code {
			found = append(found, f)
		}
	}
	return found
}

// want returns the first finding of the code whose object, found, text or remedy holds
// each of the texts, and fails the test if there is none.
func (r findings) want(code string, texts ...string) doctor.Finding {
	r.t.Helper()
	for _, f := range r.find(code) {
		all := strings.Join([]string{f.Object, f.Found, f.Wanted, f.Text, f.Remedy}, "\n")
		if !slices.ContainsFunc(texts, func(text string) bool { return !strings.Contains(all, text) }) {
			return f
		}
	}
	r.t.Errorf("got no %s with %q in\n%s", code, texts, r.text())
	return doctor.Finding{}
}

// none fails the test if there is a finding of one of the codes.
func (r findings) none(codes ...string) {
	r.t.Helper()
	for _, code := range codes {
		if found := r.find(code); len(found) > 0 {
			r.t.Errorf("got %+v, want no %s", found, code)
		}
	}
}

func (r findings) text() string {
	var text strings.Builder
	for _, f := range r.Findings {
		fmt.Fprintf(&text, "%-8s %s %s: %s (found %s, wanted %s)\n", f.Severity, f.Code, f.Object, f.Text, f.Found, f.Wanted)
	}
	return text.String()
}

// await examines until the code is found.
func (c *clinic) await(options doctor.Options, code string) findings {
	c.Helper()
	pause := time.NewTicker(askPause)
	defer pause.Stop()
	for {
		report := c.examine(options)
		if len(report.find(code)) > 0 {
			return report
		}
		select {
		case <-pause.C:
		case <-c.ctx.Done():
			c.Fatalf("waited for %s, got\n%s", code, report.text())
		}
	}
}

// configured runs a server with a configuration file, beside a port and a directory of its
// own, and returns it.
func configured(t *testing.T, config string) *server.Server {
	t.Helper()
	path := t.TempDir() + "/nats.conf"
	if err := os.WriteFile(path, []byte(config), 0o600); err != nil {
		t.Fatal(err)
	}
	options, err := server.ProcessConfigFile(path)
	if err != nil {
		t.Fatal(err)
	}
	options.Host, options.Port, options.NoSigs, options.NoLog = "127.0.0.1", server.RANDOM_PORT, true, true
	options.JetStream, options.StoreDir = true, t.TempDir()
	s, err := server.NewServer(options)
	if err != nil {
		t.Fatal(err)
	}
	s.Start()
	t.Cleanup(func() {
		s.Shutdown()
		s.WaitForShutdown()
	})
	if !s.ReadyForConnections(patience) {
		t.Fatal("test server does not come up")
	}
	return s
}

func connect(t *testing.T, url string, options ...nats.Option) *nats.Conn {
	t.Helper()
	conn, err := nats.Connect(url, append(options, nats.ErrorHandler(quiet))...)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(conn.Close)
	return conn
}
