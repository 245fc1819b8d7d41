package main

import (
	"context"
	"errors"
	"io"
	"net/http"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/nats-io/nats.go/jetstream"

	"github.com/jetvol/jetvol/events"
	"github.com/jetvol/jetvol/internal/embednats"
	"github.com/jetvol/jetvol/volume"
)

func TestUp_Start_PrintsOneReadyLineAndThreeCommands(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "new", "data")
	p, url := up(t, "--dir", dir, "--id", "w1", "--metrics", "127.0.0.1:0", "--sync-always")
	p.awaitLine(t, "nats -s")
	if err := p.stop(t); err != nil {
		t.Fatal(err)
	}
	want := regexp.MustCompile(`^jetvol ready: ` + url + ` \(dir ` + dir + `, worker w1, metrics http://127\.0\.0\.1:\d+/metrics\)
  jetvol -s ` + url + ` volume create db-01 --size 64MiB
  nats -s ` + url + ` sub 'volume\.event\.>'
  nats -s ` + url + ` pub volume\.command\.default\.db-02\.create '\{"size":"64MiB"\}'
jetvol stopped: drained
$`)
	if got := p.stdout.String(); !want.MatchString(got) {
		t.Errorf("got:\n%s\nwant:\n%s", got, want)
	}
	if log := p.stderr.String(); log != "" {
		t.Errorf("log: got %q, want nothing below a warning", log)
	}
}

func TestAt_DefaultAddress_LeftOut(t *testing.T) {
	if got := at("nats", "nats://127.0.0.1:4222"); got != "nats" {
		t.Errorf("got %q, want %q", got, "nats")
	}
}

func TestUp_Demo_TakesANewVolumeEachTime(t *testing.T) {
	dir := t.TempDir()
	for _, name := range []string{"demo-1", "demo-2"} {
		end := jetvol(t, "up", "--dir", dir, "--listen", "127.0.0.1:0", "--exit-after-demo")
		end.want(t, exitSucceeded,
			"volume create "+name+" --size 64MiB\n", "volume attach "+name+" --node node-1\n",
			"  create        pending → creating   generation 1\n",
			"  deleted      deleting → deleted    generation 10\n",
			"\ndemo: "+name+" created, attached, detached, resized, deleted: 5 commands, 10 events, all as expected\njetvol stopped: drained\n")
	}
}

func TestUp_DemoAlone_StaysUp(t *testing.T) {
	p, url := up(t, "--dir", t.TempDir(), "--demo")
	p.awaitLine(t, "demo: demo-1")
	jetvol(t, "-s", url, "volume", "get", "demo-1", "--include-deleted").want(t, exitSucceeded, "deleted")
	if err := p.stop(t); err != nil {
		t.Errorf("got %v, want nil", err)
	}
}

func TestUp_DemoMeetsFailure_ExitCodeSaysSo(t *testing.T) {
	dir := t.TempDir()
	plantLink(t, dir, "demo-1")
	end := jetvol(t, "up", "--dir", dir, "--listen", "127.0.0.1:0", "--exit-after-demo")
	end.want(t, exitFailed, "demo: default.demo-1: create: got error, creating → creating_failed")
	if strings.Contains(end.stdout, "as expected") {
		t.Errorf("got %s, want no success", end.stdout)
	}
}

// plantLink puts a symbolic link where the local backend would make the volume's file,
// which it refuses: a failure that is not tried again.
func plantLink(t *testing.T, dir, name string) {
	t.Helper()
	if err := os.MkdirAll(filepath.Join(dir, volumesDir), 0o750); err != nil {
		t.Fatal(err)
	}
	if err := os.Symlink("/etc/hostname", filepath.Join(dir, volumesDir, "default."+name+".img")); err != nil {
		t.Fatal(err)
	}
}

func TestUp_Metrics_TellCommandsAndReadiness(t *testing.T) {
	p, url := up(t, "--dir", t.TempDir(), "--metrics", "127.0.0.1:0")
	metrics := regexp.MustCompile(`metrics (\S+)/metrics`).FindStringSubmatch(p.awaitLine(t, "jetvol ready"))[1]
	jetvol(t, "-s", url, "volume", "create", "db-01", "--size", "1MiB").want(t, exitSucceeded)
	t.Cleanup(http.DefaultClient.CloseIdleConnections)
	for path, want := range map[string]string{
		"/metrics": `jetvol_commands_total{code="",outcome="succeeded",verb="create"} 1`,
		"/readyz":  `{"name":"backend local","ok":true,"detail":"local `,
		"/healthz": "ok",
	} {
		request, err := http.NewRequestWithContext(t.Context(), http.MethodGet, metrics+path, nil)
		if err != nil {
			t.Fatal(err)
		}
		response, err := http.DefaultClient.Do(request)
		if err != nil {
			t.Fatal(err)
		}
		body, err := io.ReadAll(response.Body)
		response.Body.Close()
		if err != nil || response.StatusCode != http.StatusOK || !strings.Contains(string(body), want) {
			t.Errorf("%s: got %s (%v) %s, want it to hold %q", path, response.Status, err, body, want)
		}
	}
}

func TestUp_NeededThingTaken_SaysWhatToDo(t *testing.T) {
	dir := t.TempDir()
	p, url := up(t, "--dir", dir, "--metrics", "127.0.0.1:0")
	address := strings.TrimPrefix(url, "nats://")
	metrics := regexp.MustCompile(`http://(\S+)/metrics`).FindStringSubmatch(p.awaitLine(t, "jetvol ready"))[1]
	file := filepath.Join(t.TempDir(), "file")
	if err := os.WriteFile(file, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	for name, test := range map[string]struct {
		args  []string
		texts []string
	}{
		"port":         {[]string{"--dir", t.TempDir(), "--listen", address}, []string{address, "in use", "--listen"}},
		"directory":    {[]string{"--dir", dir, "--listen", "127.0.0.1:0"}, []string{dir, "in use", "--dir"}},
		"metrics port": {[]string{"--dir", t.TempDir(), "--listen", "127.0.0.1:0", "--metrics", metrics}, []string{metrics, "in use", "--metrics"}},
		"no directory": {[]string{"--dir", file, "--listen", "127.0.0.1:0"}, []string{file, "not a directory", "--dir"}},
	} {
		t.Run(name, func(t *testing.T) {
			jetvol(t, append([]string{"up"}, test.args...)...).want(t, exitFailed, test.texts...)
		})
	}
	jetvol(t, "-s", url, "volume", "list").want(t, exitSucceeded) // the first one is unharmed
}

// withStream makes a data directory in which a stream exists already.
func withStream(t *testing.T, change func(*jetstream.StreamConfig)) string {
	t.Helper()
	dir := t.TempDir()
	server, err := embednats.Start(embednats.Options{Dir: filepath.Join(dir, natsDir), Listen: "127.0.0.1:0"})
	if err != nil {
		t.Fatal(err)
	}
	defer func() {
		if err := server.Shutdown(t.Context()); err != nil {
			t.Error(err)
		}
	}()
	conn, err := server.Connect()
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	js, err := jetstream.New(conn)
	if err != nil {
		t.Fatal(err)
	}
	config := events.StreamConfig(1)
	change(&config)
	if _, err := js.CreateStream(t.Context(), config); err != nil {
		t.Fatal(err)
	}
	return dir
}

func TestUp_StreamDiffersFatally_EndsUntilUpdated(t *testing.T) {
	dir := withStream(t, func(c *jetstream.StreamConfig) { c.MaxAge = time.Hour })
	args := []string{"up", "--dir", dir, "--listen", "127.0.0.1:0"}
	jetvol(t, args...).want(t, exitFailed,
		"stream VOLUME_EVENTS: max_age is 1h0m0s", "`jetvol provision --update`", "`jetvol up --update --dir "+dir+"`")
	jetvol(t, append(args, "--update", "--exit-after-demo")...).want(t, exitSucceeded, "all as expected")
	jetvol(t, append(args, "--exit-after-demo")...).want(t, exitSucceeded, "all as expected")
}

func TestUp_StreamDiffersHarmlessly_SaysSoAndWorks(t *testing.T) {
	dir := withStream(t, func(c *jetstream.StreamConfig) { c.MaxBytes = 1 << 30 })
	end := jetvol(t, "up", "--dir", dir, "--listen", "127.0.0.1:0", "--exit-after-demo")
	end.want(t, exitSucceeded, "all as expected")
	if want := "differs: stream VOLUME_EVENTS: max_bytes is 1073741824, wanted -1\n"; end.stderr != want {
		t.Errorf("stderr: got %q, want %q", end.stderr, want)
	}
}

func TestUp_InterruptedUnderLoad_DrainsWithoutLosingTheCommand(t *testing.T) {
	dir := t.TempDir()
	p, url := up(t, "--dir", dir, "--backend", "null", "--null-latency", "300ms")
	client := begin(t, "-s", url, "volume", "create", "db-01", "--size", "1MiB")
	client.awaitLine(t, "creating")
	if err := p.stop(t); err != nil {
		t.Fatalf("drain: got %v, want nil", err)
	}
	p.awaitLine(t, "jetvol stopped: drained")
	_ = client.stop(t) // it may have got its answer or not
	_, url = up(t, "--dir", dir, "--backend", "null")
	jetvol(t, "-s", url, "volume", "get", "db-01").want(t, exitSucceeded, "available", "generation  2")
}

func TestUp_BackendOutlastsDrain_SaysSo(t *testing.T) {
	p, url := up(t, "--dir", t.TempDir(), "--backend", "null", "--null-latency", "20s", "--drain-timeout", "10ms")
	client := begin(t, "-s", url, "volume", "create", "db-01", "--size", "1MiB")
	client.awaitLine(t, "creating")
	err := p.stop(t)
	if !errors.Is(err, volume.Aborted) || exitCode(err) != exitFailed {
		t.Errorf("got %v, want an aborted drain", err)
	}
}

func TestUp_InterruptedBeforeReady_EndsQuietly(t *testing.T) {
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	end := jetvolContext(ctx, "up", "--dir", t.TempDir(), "--listen", "127.0.0.1:0")
	if strings.Contains(end.stdout, "ready") {
		t.Errorf("got %q, want no ready line", end.stdout)
	}
}
