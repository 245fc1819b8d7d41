package telemetry_test

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"io"
	"net/http"
	"strings"
	"testing"
	"time"

	"go.uber.org/goleak"

	"github.com/jetvol/jetvol/internal/telemetry"
	"github.com/jetvol/jetvol/volume"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

func start(t *testing.T, o telemetry.Options) *telemetry.Server {
	t.Helper()
	if o.Listen == "" {
		o.Listen = "127.0.0.1:0"
	}
	if o.Gatherer == nil {
		o.Gatherer = telemetry.NewRegistry()
	}
	server, err := telemetry.Start(o)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		http.DefaultClient.CloseIdleConnections()
		ctx, cancel := context.WithTimeout(context.Background(), 5*time.Second)
		defer cancel()
		if err := server.Shutdown(ctx); err != nil {
			t.Error(err)
		}
	})
	return server
}

func get(t *testing.T, method, url string) (int, string) {
	t.Helper()
	request, err := http.NewRequestWithContext(t.Context(), method, url, nil)
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
	return response.StatusCode, string(body)
}

func TestServer_Paths_AnswerAsDocumented(t *testing.T) {
	registry := telemetry.NewRegistry()
	observer := telemetry.NewBackendCalls(registry, nil).Observer("local")
	for _, err := range []error{nil, volume.Busy} {
		observer.End(observer.Begin(t.Context(), "create"), "create", err, time.Second)
	}
	observer.Begin(t.Context(), "attach")
	failing := errors.New("no connection")
	telemetry.ObserveBackend(registry, "local", func(context.Context) error { return nil })
	telemetry.ObserveBackend(registry, "ceph", func(context.Context) error { return failing })
	checks := map[string][]telemetry.Check{
		"holding": {{Name: "nats", Run: func(context.Context) (string, error) { return "connected", nil }}},
		"failing": {
			{Name: "nats", Run: func(context.Context) (string, error) { return "", failing }},
			{Name: "worker", Run: func(context.Context) (string, error) { return "", nil }},
		},
		"one of a group":  group(nil, failing),
		"none of a group": group(failing, failing),
	}
	for _, test := range []struct {
		name, method, path, checks string
		status                     int
		body                       string
	}{
		{"metrics of backends", "GET", "/metrics", "holding", 200, `jetvol_backend_call_duration_seconds_count{backend="local",call="create",class="ok"} 1`},
		{"metrics of failures", "GET", "/metrics", "holding", 200, `jetvol_backend_call_duration_seconds_count{backend="local",call="create",class="busy"} 1`},
		{"metrics of calls", "GET", "/metrics", "holding", 200, `jetvol_backend_calls_in_flight{backend="local"} 1`},
		{"metrics of one that answers", "GET", "/metrics", "holding", 200, `jetvol_backend_up{backend="local"} 1`},
		{"metrics of one that does not", "GET", "/metrics", "holding", 200, `jetvol_backend_up{backend="ceph"} 0`},
		{"metrics of the runtime", "GET", "/metrics", "holding", 200, "go_goroutines"},
		{"alive though not ready", "GET", "/healthz", "failing", 200, `{"alive":true,"checks":[{"name":"worker","ok":true,"detail":"w1"}]}` + "\n"},
		{"ready", "GET", "/readyz", "holding", 200, `{"ready":true,"checks":[{"name":"nats","ok":true,"detail":"connected"}]}` + "\n"},
		{"not ready", "GET", "/readyz", "failing", 503, `{"ready":false,"checks":[{"name":"nats","ok":false,"error":"no connection"},{"name":"worker","ok":true}]}` + "\n"},
		{"ready with one of a group", "GET", "/readyz", "one of a group", 200, `{"ready":true,"degraded":true,"checks":[{"name":"a","ok":true},{"name":"b","ok":false,"error":"no connection"}]}` + "\n"},
		{"not ready with none", "GET", "/readyz", "none of a group", 503, `{"ready":false,"checks":[{"name":"a","ok":false,"error":"no connection"},{"name":"b","ok":false,"error":"no connection"}]}` + "\n"},
		{"nothing can be changed", "POST", "/readyz", "holding", 405, ""},
		{"no profiles unless asked for", "GET", "/debug/pprof/", "holding", 404, ""},
	} {
		t.Run(test.name, func(t *testing.T) {
			alive := []telemetry.Check{{Name: "worker", Run: func(context.Context) (string, error) { return "w1", nil }}}
			server := start(t, telemetry.Options{Gatherer: registry, Checks: checks[test.checks], Alive: alive})
			status, body := get(t, test.method, server.URL()+test.path)
			if status != test.status {
				t.Errorf("status: got %d, want %d", status, test.status)
			}
			if !strings.Contains(body, test.body) {
				t.Errorf("body: got %q, want it to hold %q", body, test.body)
			}
		})
	}
}

// group returns two checks of one group.
func group(a, b error) []telemetry.Check {
	return []telemetry.Check{
		{Name: "a", Group: "backends", Run: func(context.Context) (string, error) { return "", a }},
		{Name: "b", Group: "backends", Run: func(context.Context) (string, error) { return "", b }},
	}
}

func TestServer_CheckThatHangs_TakesNoTimeFromOthers(t *testing.T) {
	server := start(t, telemetry.Options{Checks: []telemetry.Check{
		{Name: "slow", Group: "backends", Run: func(ctx context.Context) (string, error) {
			<-ctx.Done()
			return "", ctx.Err()
		}},
		{Name: "quick", Group: "backends", Run: func(ctx context.Context) (string, error) { return "", ctx.Err() }},
	}})
	status, body := get(t, "GET", server.URL()+"/readyz")
	if status != http.StatusOK || !strings.Contains(body, `{"name":"quick","ok":true}`) {
		t.Errorf("got %d %s, want the quick check to hold", status, body)
	}
}

func TestServer_NotAlive_503WithTheCheckThatFails(t *testing.T) {
	server := start(t, telemetry.Options{Alive: []telemetry.Check{
		{Name: "worker", Run: func(ctx context.Context) (string, error) {
			<-ctx.Done() // as one that waits for a lock that nobody gives back
			return "", ctx.Err()
		}},
	}})
	status, body := get(t, "GET", server.URL()+"/healthz")
	if want := `{"alive":false,"checks":[{"name":"worker","ok":false,`; status != http.StatusServiceUnavailable || !strings.HasPrefix(body, want) {
		t.Errorf("got %d %s, want 503 %s", status, body, want)
	}
}

func TestServer_Profiles_OnlyIfAskedFor(t *testing.T) {
	server := start(t, telemetry.Options{Profiles: true})
	for _, path := range []string{"", "goroutine?debug=1", "heap", "cmdline", "symbol"} {
		if status, _ := get(t, "GET", server.URL()+"/debug/pprof/"+path); status != http.StatusOK {
			t.Errorf("/debug/pprof/%s: got %d, want 200", path, status)
		}
	}
}

func TestStart_AddressInUse_Busy(t *testing.T) {
	first := start(t, telemetry.Options{})
	address := strings.TrimPrefix(first.URL(), "http://")
	_, err := telemetry.Start(telemetry.Options{Listen: address, Gatherer: telemetry.NewRegistry()})
	if !errors.Is(err, volume.Busy) || !strings.Contains(err.Error(), address) {
		t.Errorf("got %v, want a busy error that names %s", err, address)
	}
}

func TestStart_NoAddress_Error(t *testing.T) {
	if _, err := telemetry.Start(telemetry.Options{Listen: "nonsense", Gatherer: telemetry.NewRegistry()}); err == nil {
		t.Error("got nil, want an error")
	}
}

func TestNewLogger_NoTerminal_WritesJSONOfTheLevel(t *testing.T) {
	for _, test := range []struct {
		level string
		lines int
	}{{"debug", 3}, {"info", 2}, {"warn", 1}, {"error", 0}, {"", 2}, {"nonsense", 2}} {
		t.Run(test.level, func(t *testing.T) {
			var out bytes.Buffer
			log := telemetry.NewLogger(&out, test.level)
			log.Debug().Msg("one")
			log.Info().Msg("two")
			log.Warn().Str("volume", "default.db-01").Msg("three")
			lines := strings.Split(strings.TrimSuffix(out.String(), "\n"), "\n")
			if out.Len() == 0 {
				lines = nil
			}
			if len(lines) != test.lines {
				t.Fatalf("got %d lines, want %d: %s", len(lines), test.lines, out.String())
			}
			for _, line := range lines {
				if !json.Valid([]byte(line)) {
					t.Errorf("got %q, want JSON", line)
				}
			}
		})
	}
}
