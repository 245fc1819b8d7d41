package main

import (
	"io"
	"net/http"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/jetvol/jetvol/internal/natstest"
)

// probes returns where a process shows itself, by its ready line.
func probes(t *testing.T, p *process) string {
	t.Helper()
	t.Cleanup(http.DefaultClient.CloseIdleConnections)
	return regexp.MustCompile(`(http://\S+)/metrics`).FindStringSubmatch(p.awaitLine(t, "ready: "))[1]
}

// awaitPage asks until the page has the status and holds all texts.
func awaitPage(t *testing.T, url string, status int, texts ...string) {
	t.Helper()
	late := time.NewTimer(patience)
	defer late.Stop()
	tick := time.NewTicker(20 * time.Millisecond)
	defer tick.Stop()
	for {
		response, err := http.Get(url)
		if err != nil {
			t.Fatal(err)
		}
		body, err := io.ReadAll(response.Body)
		response.Body.Close()
		fits := err == nil && response.StatusCode == status
		for _, text := range texts {
			fits = fits && strings.Contains(string(body), text)
		}
		if fits {
			return
		}
		select {
		case <-tick.C:
		case <-late.C:
			t.Fatalf("%s: got %s (%v) %s, want %d with %q", url, response.Status, err, body, status, texts)
		}
	}
}

func TestProbes_ServerLost_NotReadyButAlive_AndReadyAgain(t *testing.T) {
	server := natstest.Start(t)
	p := begin(t, "worker", "-s", server.URL(), "--id", "w1", "--backend", "null", "--metrics", "127.0.0.1:0", "--log-level", "error")
	base := probes(t, p)
	wantPage(t, base+"/readyz", http.StatusOK, `"ready":true`, `{"name":"worker","ok":true,"detail":"w1, 16 partitions"}`)
	wantPage(t, base+"/healthz", http.StatusOK, `{"alive":true,"checks":[{"name":"worker","ok":true,"detail":"w1"}]}`)
	server.Stop(t)
	awaitPage(t, base+"/readyz", http.StatusServiceUnavailable, `"ready":false`, `{"name":"nats","ok":false`, "lease not renewed")
	wantPage(t, base+"/healthz", http.StatusOK, `"alive":true`)
	server.Restart(t)
	awaitPage(t, base+"/readyz", http.StatusOK, `"ready":true`)
	if err := p.stop(t); err != nil {
		t.Error(err)
	}
}

func TestProbes_Drain_NotReadyButAlive(t *testing.T) {
	p, url := up(t, "--dir", t.TempDir(), "--backend", "null", "--null-latency", "20s", "--drain-timeout", "4s", "--metrics", "127.0.0.1:0")
	base := probes(t, p)
	jetvol(t, "-s", url, "volume", "create", "db-01", "--size", "1MiB", "--no-wait").want(t, exitSucceeded)
	begin(t, "-s", url, "events", "--follow").awaitLine(t, "db-01") // the call has begun
	p.interrupt()
	wantPage(t, base+"/healthz", http.StatusOK, `"alive":true`)
	awaitPage(t, base+"/readyz", http.StatusServiceUnavailable, "draining")
	if err := p.end(t); err == nil || !strings.Contains(err.Error(), "drain") {
		t.Errorf("got %v, want that a call outlasted the drain", err)
	}
}

func TestProbes_Profiles_OnlyWithTheirFlag(t *testing.T) {
	for flag, status := range map[string]int{"--pprof=false": http.StatusNotFound, "--pprof": http.StatusOK} {
		p, _ := up(t, "--dir", t.TempDir(), "--metrics", "127.0.0.1:0", flag)
		awaitPage(t, probes(t, p)+"/debug/pprof/heap", status)
	}
	jetvol(t, "up", "--pprof").want(t, exitUsage, "pprof: want --metrics")
}
