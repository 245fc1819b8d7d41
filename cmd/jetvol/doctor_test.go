package main

import (
	"encoding/json"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/jetvol/jetvol/doctor"
	"github.com/jetvol/jetvol/events"
	"github.com/jetvol/jetvol/internal/natstest"
)

func TestDoctor_Up_NoErrorNoWarning(t *testing.T) {
	dir := t.TempDir()
	_, url := up(t, "--dir", dir, "--id", "w1")
	t.Setenv("NATS_URL", url)
	end := jetvol(t, "doctor", "--dir", dir)
	for began := time.Now(); !strings.Contains(end.stdout, " 0 warnings, 0 errors") && time.Since(began) < patience; {
		end = jetvol(t, "doctor", "--dir", dir) // on a slow machine a lease runs out and comes back
	}
	end.want(t, exitSucceeded, "w1: alive since ", "backends      ok", " free", "ok, 0 warnings, 0 errors, 1 unknown\n",
		"→ jetvol doctor --monitor http://HOST:8222")
	if first, _, _ := strings.Cut(end.stdout, "\n"); !strings.HasPrefix(first, "sync          unknown") {
		t.Errorf("got %q first, want the gravest", first)
	}
}

func TestDoctor_Error_ExitCodeAndJSON(t *testing.T) {
	server := natstest.Start(t)
	t.Setenv("NATS_URL", server.URL())
	config := events.StreamConfig(1)
	config.MaxAge = time.Hour
	if _, err := server.JetStream(t).CreateStream(t.Context(), config); err != nil {
		t.Fatal(err)
	}
	jetvol(t, "doctor").want(t, exitFailed, "streams       error", "max_age is 1h0m0s, wanted null",
		"→ jetvol provision --update\n", "failed: doctor found ")
	end := jetvol(t, "doctor", "--json")
	end.want(t, exitFailed)
	var report doctor.Report
	if err := json.Unmarshal([]byte(end.stdout), &report); err != nil || strings.Count(end.stdout, "\n") != 1 {
		t.Fatalf("got %q, %v, want one object in one line", end.stdout, err)
	}
	errs := 0
	for _, f := range report.Findings {
		if f.Severity == doctor.Error {
			errs++
		}
	}
	if report.Errors == 0 || errs != report.Errors {
		t.Errorf("got %d errors and a count of %d, want the same", errs, report.Errors)
	}
}

func TestDoctor_NoServer_IsAFinding(t *testing.T) {
	jetvol(t, "-s", deadServer, "doctor").want(t, exitFailed, "connectivity  error", "no server answers there", "0 ok, 0 warnings, 1 error\n")
	jetvol(t, "-s", deadServer, "doctor", "--json").want(t, exitFailed, `"code":"connectivity.unreachable"`)
}

func TestDoctor_Usage(t *testing.T) {
	for _, args := range [][]string{
		{"--role", "king"},
		{"--monitor", "n1:8222"},
		{"--old-command", "0s"},
		{"--dir", "x", "--config", "y"},
		{"--config", "/missing.yaml"},
		{"more"},
	} {
		jetvol(t, append([]string{"-s", deadServer, "doctor"}, args...)...).want(t, exitUsage, "usage: ")
	}
}

// A look must not do what opening the directory does: it removes fences.
func TestDoctor_Dir_LooksAndChangesNothing(t *testing.T) {
	server := natstest.Start(t)
	t.Setenv("NATS_URL", server.URL())
	dir := t.TempDir()
	end := jetvol(t, "doctor", "--dir", dir)
	end.want(t, exitFailed, "backends      error", "local: ", "no such file or directory")
	if err := os.Mkdir(filepath.Join(dir, volumesDir), 0o700); err != nil {
		t.Fatal(err)
	}
	jetvol(t, "doctor", "--dir", dir).want(t, exitFailed, "backends      ok")
	if left, err := os.ReadDir(filepath.Join(dir, volumesDir)); err != nil || len(left) != 0 {
		t.Errorf("got %v, %v, want nothing made", left, err)
	}
}

func TestDoctor_Config_AsksEveryBackend(t *testing.T) {
	server := natstest.Start(t)
	t.Setenv("NATS_URL", server.URL())
	path := filepath.Join(t.TempDir(), "jetvol.yaml")
	text := "default_backend: memory\nbackends:\n  memory: {driver: \"null\"}\n  gone: {driver: local, dir: gone/volumes}\n"
	if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	jetvol(t, "doctor", "--config", path).want(t, exitFailed, "memory: answers here: null", "gone: ", "no such file or directory")
}

func TestDoctor_LimitedUser_RoleRefused(t *testing.T) {
	server := natstest.Start(t, natstest.WithUsers(natstest.User{Name: "alice", Password: "secret", PublishAllow: []string{"volume.command.billing.>"}}))
	t.Setenv("NATS_URL", server.URL())
	t.Setenv("NATS_USER", "alice")
	t.Setenv("NATS_PASSWORD", "secret")
	jetvol(t, "doctor", "-p", "billing", "--role", "publisher").want(t, exitSucceeded, "publisher: this user may do what the role needs", "worker: this user cannot fill the role", "may not ask")
	jetvol(t, "doctor", "--role", "publisher").want(t, exitFailed, "permissions   error    publisher: this user cannot fill the role",
		"volume.command.default.doctor.create")
}
