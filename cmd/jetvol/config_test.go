package main

import (
	"io"
	"net/http"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"github.com/jetvol/jetvol/internal/natstest"
)

// configFile writes a configuration file to a new directory.
func configFile(t *testing.T, text string) (dir, file string) {
	t.Helper()
	dir = t.TempDir()
	file = filepath.Join(dir, "jetvol.yaml")
	if err := os.WriteFile(file, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	return dir, file
}

const twoDirectories = `
default_backend: disk-a
backends:
  disk-a: {driver: local, dir: a}
  disk-b: {driver: local, dir: b, timeout: 10s}
`

func TestUp_ConfigOfSeveralBackends_EachServesItsVolumes(t *testing.T) {
	dir, file := configFile(t, twoDirectories)
	p, url := up(t, "--dir", filepath.Join(dir, "data"), "--config", file, "--metrics", "127.0.0.1:0")
	jetvol(t, "-s", url, "volume", "create", "v1", "--size", "1MiB").want(t, exitSucceeded)
	jetvol(t, "-s", url, "volume", "create", "v2", "--size", "1MiB", "--backend", "disk-b").want(t, exitSucceeded)
	jetvol(t, "-s", url, "volume", "create", "v3", "--size", "1MiB", "--backend", "local").want(t, exitRejected,
		`rejected: unknown_backend: backend "local" is not configured, there is disk-a, disk-b`)
	for _, path := range []string{"a/default.v1.img", "b/default.v2.img"} {
		if _, err := os.Stat(filepath.Join(dir, path)); err != nil {
			t.Errorf("got %v, want an image", err)
		}
	}
	base := regexp.MustCompile(`metrics (\S+)/metrics`).FindStringSubmatch(p.awaitLine(t, "jetvol ready"))[1]
	wantPage(t, base+"/metrics", http.StatusOK,
		`jetvol_backend_up{backend="disk-a"} 1`, `jetvol_backend_up{backend="disk-b"} 1`,
		`jetvol_backend_call_duration_seconds_count{backend="disk-b",call="create",class="ok"} 1`)
	wantPage(t, base+"/readyz", http.StatusOK, `{"name":"backend disk-a","ok":true`, `{"name":"backend disk-b","ok":true`)
}

func wantPage(t *testing.T, url string, status int, texts ...string) {
	t.Helper()
	t.Cleanup(http.DefaultClient.CloseIdleConnections)
	request, err := http.NewRequestWithContext(t.Context(), http.MethodGet, url, nil)
	if err != nil {
		t.Fatal(err)
	}
	response, err := http.DefaultClient.Do(request)
	if err != nil {
		t.Fatal(err)
	}
	defer response.Body.Close()
	body, err := io.ReadAll(response.Body)
	if err != nil {
		t.Fatal(err)
	}
	if response.StatusCode != status {
		t.Errorf("%s: got %s, want %d", url, response.Status, status)
	}
	for _, text := range texts {
		if !strings.Contains(string(body), text) {
			t.Errorf("%s: got %s, want it to hold %q", url, body, text)
		}
	}
}

// The file that stands where the directory of disk-b should be keeps it from being opened.
func TestWorker_OneBackendBroken_ServesTheOthers(t *testing.T) {
	server := natstest.Start(t)
	dir, file := configFile(t, twoDirectories)
	if err := os.WriteFile(filepath.Join(dir, "b"), nil, 0o600); err != nil {
		t.Fatal(err)
	}
	p := begin(t, "worker", "-s", server.URL(), "--config", file, "--id", "w1", "--metrics", "127.0.0.1:0")
	line := p.awaitLine(t, "jetvol worker ready: ")
	if want := "(backends disk-a (default), disk-b, worker w1, metrics "; !strings.Contains(line, want) {
		t.Errorf("got %q, want it to hold %q", line, want)
	}
	jetvol(t, "-s", server.URL(), "volume", "create", "v1", "--size", "1MiB").want(t, exitSucceeded, "available")
	jetvol(t, "-s", server.URL(), "volume", "create", "v2", "--size", "1MiB", "--backend", "disk-b").want(t, exitFailed,
		"backend_unavailable", "not opened when the worker started", "disk-b")
	base := regexp.MustCompile(`metrics (\S+)/metrics`).FindStringSubmatch(line)[1]
	wantPage(t, base+"/metrics", http.StatusOK, `jetvol_backend_up{backend="disk-a"} 1`, `jetvol_backend_up{backend="disk-b"} 0`)
	wantPage(t, base+"/readyz", http.StatusOK, `"degraded":true`, `{"name":"backend disk-b","ok":false,`)
	if log := p.stderr.String(); !strings.Contains(log, `"backend":"disk-b"`) || !strings.Contains(log, "backend not opened") {
		t.Errorf("log: got %s, want the broken backend", log)
	}
	jetvol(t, "config", "check", file).want(t, exitUnavailable, "disk-a (default): driver local", ", ok, can ", "fence, import, list, ", "disk-b: driver local, broken")
}

func TestWorker_AllBackendsBroken_Fails(t *testing.T) {
	server := natstest.Start(t)
	_, file := configFile(t, "backends: {a: {driver: local, dir: none/a}}")
	jetvol(t, "worker", "-s", server.URL(), "--config", file).want(t, exitUnavailable, "open backend a", "none")
	jetvol(t, "config", "check", file).want(t, exitUnavailable, "a (default): driver local, broken")
}

func TestConfigCheck_ReadOnly_OpensNothing(t *testing.T) {
	dir, file := configFile(t, twoDirectories)
	jetvol(t, "config", "check", file, "--read-only").want(t, exitSucceeded, "disk-a (default): driver local, not asked")
	if _, err := os.Stat(filepath.Join(dir, "a")); !os.IsNotExist(err) {
		t.Errorf("got %v, want no directory", err)
	}
}

func TestComplete_ConfigFile_OffersYAML(t *testing.T) {
	for _, args := range [][]string{{"worker", "--config", ""}, {"up", "--config", ""}, {"config", "check", ""}} {
		jetvol(t, append([]string{"__complete"}, args...)...).want(t, exitSucceeded, "yaml\nyml\n:8\n")
	}
}
