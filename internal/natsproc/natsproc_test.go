package natsproc_test

import (
	"bufio"
	"context"
	"errors"
	"net"
	"os"
	"os/exec"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"

	"github.com/jetvol/jetvol/internal/embednats"
	"github.com/jetvol/jetvol/internal/natsproc"
)

// limit bounds every wait of these tests.
const limit = 60 * time.Second

// parentOf makes the test binary a program that starts a server in this directory, pauses
// it and waits to be killed; see TestMain.
const parentOf = "JETVOL_TEST_PARENT_OF"

func TestMain(m *testing.M) {
	if code, served := natsproc.Main(); served {
		os.Exit(code)
	}
	if dir := os.Getenv(parentOf); dir != "" {
		parent(dir)
	}
	os.Exit(m.Run())
}

// parent tells the server's address, and pauses the server once it was told to.
func parent(dir string) {
	p, err := natsproc.Start(context.Background(), natsproc.Options{Dir: dir})
	if err != nil {
		panic(err)
	}
	told := bufio.NewReader(os.Stdin)
	for _, do := range []func() error{func() error { return nil }, p.Pause} {
		if err := do(); err != nil {
			panic(err)
		}
		if _, err := os.Stdout.WriteString(p.URL() + "\n"); err != nil {
			panic(err)
		}
		if _, err := told.ReadString('\n'); err != nil {
			panic(err)
		}
	}
}

func testContext(t *testing.T) context.Context {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), limit)
	t.Cleanup(cancel)
	return ctx
}

func start(t *testing.T) *natsproc.Process {
	t.Helper()
	p, err := natsproc.Start(testContext(t), natsproc.Options{Dir: t.TempDir(), Log: t.Output()})
	must(t, err)
	t.Cleanup(func() { must(t, p.Kill()) })
	return p
}

func must(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

func connect(t *testing.T, url string) jetstream.JetStream {
	t.Helper()
	conn, err := nats.Connect(url, nats.MaxReconnects(-1), nats.ReconnectWait(20*time.Millisecond))
	must(t, err)
	t.Cleanup(conn.Close)
	js, err := jetstream.New(conn, jetstream.WithDefaultTimeout(time.Second))
	must(t, err)
	return js
}

// publish publishes until it is acknowledged.
func publish(t *testing.T, js jetstream.JetStream, subject string) {
	t.Helper()
	ctx := testContext(t)
	for {
		attempt, cancel := context.WithTimeout(ctx, time.Second)
		_, err := js.Publish(attempt, subject, nil)
		cancel()
		if err == nil {
			return
		}
		if ctx.Err() != nil {
			t.Fatal(err)
		}
	}
}

func TestProcess_KilledAndStarted_KeepsStreamAndAddress(t *testing.T) {
	p := start(t)
	js := connect(t, p.URL())
	_, err := js.CreateStream(testContext(t), jetstream.StreamConfig{Name: "KEPT", Subjects: []string{"kept"}})
	must(t, err)
	for round, end := range []func() error{p.Kill, p.Stop, p.Kill} {
		publish(t, js, "kept")
		before := p.Pid()
		must(t, end())
		must(t, end()) // nothing left to do
		if err := syscall.Kill(before, 0); !errors.Is(err, syscall.ESRCH) {
			t.Errorf("round %d: process %d is still there: %v", round, before, err)
		}
		if p.Pid() != 0 {
			t.Errorf("round %d: got pid %d of a process that ended", round, p.Pid())
		}
		must(t, p.Start(testContext(t)))
		must(t, p.Start(testContext(t))) // runs already
		if p.Pid() == 0 || p.Pid() == before {
			t.Errorf("round %d: got pid %d, want another than %d", round, p.Pid(), before)
		}
	}
	publish(t, js, "kept")
	kept, err := js.Stream(testContext(t), "KEPT")
	must(t, err)
	if got := kept.CachedInfo().State.Msgs; got != 4 {
		t.Errorf("got %d messages, want 4", got)
	}
}

func TestProcess_Paused_SaysNothingUntilResumed(t *testing.T) {
	p := start(t)
	js := connect(t, p.URL())
	must(t, p.Pause())
	answers := func() error {
		short, cancel := context.WithTimeout(t.Context(), 200*time.Millisecond)
		defer cancel()
		_, err := js.AccountInfo(short)
		return err
	}
	for ctx := testContext(t); answers() == nil; { // a signal takes a moment to arrive
		must(t, ctx.Err())
	}
	if err := answers(); !errors.Is(err, context.DeadlineExceeded) {
		t.Errorf("while paused: got %v, want no answer", err)
	}
	must(t, p.Resume())
	if _, err := js.AccountInfo(testContext(t)); err != nil {
		t.Errorf("after it was resumed: %v", err)
	}
	must(t, p.Pause())
	must(t, p.Stop()) // in order, so it was resumed first
	if err := p.Pause(); err == nil {
		t.Error("paused a server that does not run")
	}
}

func TestProcess_Start_AddressTaken_IsTold(t *testing.T) {
	p := start(t)
	must(t, p.Stop())
	listener, err := net.Listen("tcp", strings.TrimPrefix(p.URL(), "nats://"))
	must(t, err)
	if err := p.Start(testContext(t)); !errors.Is(err, embednats.ErrAddressInUse) {
		t.Errorf("got %v, want address in use", err)
	}
	must(t, listener.Close())
	must(t, p.Start(testContext(t)))
}

func TestProcess_Start_ContextEnded_LeavesNothing(t *testing.T) {
	p := start(t)
	must(t, p.Kill())
	ended, cancel := context.WithCancelCause(t.Context())
	cause := errors.New("enough")
	cancel(cause)
	// Both ways may be ready at once, so a nil error is right too.
	if err := p.Start(ended); err == nil {
		return
	} else if !errors.Is(err, cause) || p.Pid() != 0 {
		t.Errorf("got %v with process %d left, want %v and none", err, p.Pid(), cause)
	}
}

// A paused server cannot see that its standard input has ended.
func TestProcess_ParentKilled_EndsThoughPaused(t *testing.T) {
	program := exec.Command(os.Args[0])
	program.Env = append(os.Environ(), parentOf+"="+t.TempDir())
	program.Stderr = t.Output()
	stdin, err := program.StdinPipe()
	must(t, err)
	stdout, err := program.StdoutPipe()
	must(t, err)
	must(t, program.Start())
	killed := false
	defer func() {
		if !killed {
			_ = program.Process.Kill() // the test has failed before
		}
		_ = program.Wait() // it was killed
	}()
	lines := bufio.NewReader(stdout)
	url, err := lines.ReadString('\n')
	must(t, err)
	disconnected := make(chan struct{})
	conn, err := nats.Connect(strings.TrimSpace(url), nats.NoReconnect(),
		nats.ClosedHandler(func(*nats.Conn) { close(disconnected) }))
	must(t, err)
	defer conn.Close()
	_, err = stdin.Write([]byte("pause\n"))
	must(t, err)
	_, err = lines.ReadString('\n')
	must(t, err)
	must(t, program.Process.Kill())
	killed = true
	select {
	case <-disconnected: // by the kernel
	case <-testContext(t).Done():
		t.Error("the server outlives its parent")
	}
}

func TestCluster_LeaderKilled_AnotherLeadsAndNothingIsLost(t *testing.T) {
	ctx := testContext(t)
	cluster, err := natsproc.StartCluster(ctx, 3, natsproc.Options{Dir: t.TempDir(), Log: t.Output()})
	must(t, err)
	t.Cleanup(func() { must(t, cluster.Kill()) })
	js := connect(t, cluster.URL())
	must(t, embednats.AwaitReplicas(ctx, js, cluster.Size()))
	_, err = js.CreateStream(ctx, jetstream.StreamConfig{Name: "KEPT", Subjects: []string{"kept"}, Replicas: 3})
	must(t, err)
	publish(t, js, "kept")
	first, err := cluster.LeaderOf(ctx, js, "KEPT")
	must(t, err)

	must(t, first.Kill())
	publish(t, js, "kept")
	second, err := cluster.LeaderOf(ctx, js, "KEPT")
	must(t, err)
	if second == nil || second == first {
		t.Errorf("got leader %v after %s was killed", second, first.Name())
	}
	must(t, cluster.Start(ctx))
	must(t, embednats.AwaitCurrent(ctx, js))
	kept, err := js.Stream(ctx, "KEPT")
	must(t, err)
	// The publish that the leader died under may be stored twice.
	if got := kept.CachedInfo(); got.State.Msgs < 2 || len(got.Cluster.Replicas) != 2 {
		t.Errorf("got %d messages and replicas %v, want at least 2 and both", got.State.Msgs, got.Cluster.Replicas)
	}
	must(t, cluster.Stop())
}
