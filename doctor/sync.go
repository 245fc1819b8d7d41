package doctor

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"strings"
	"time"
)

// defaultSync is the server's sync_interval if nobody says.
const defaultSync = 2 * time.Minute

// maxVarz bounds what is read of a monitoring port's answer.
const maxVarz = 1 << 20

// varz is what is read of a server's /varz.
type varz struct {
	Name      string `json:"server_name"`
	JetStream struct {
		Config *struct {
			MaxStore     int64         `json:"max_storage"`
			SyncInterval time.Duration `json:"sync_interval"` // in nanoseconds
			SyncAlways   bool          `json:"sync_always"`
		} `json:"config"`
		Stats *struct {
			Store         uint64 `json:"storage"`
			ReservedStore uint64 `json:"reserved_storage"`
		} `json:"stats"`
	} `json:"jetstream"`
}

func checkSync(ctx context.Context, e *examination) []Finding {
	if len(e.Monitor) == 0 {
		return []Finding{note("sync.unknown", Finding{
			Text: fmt.Sprintf("not shown over a client's connection. By default a server writes to disk every %s: a power cut may lose "+
				"the acknowledged writes of that time on one server, kill -9 loses none", defaultSync),
		})}
	}
	var findings []Finding
	for _, monitor := range e.Monitor {
		monitor = strings.TrimRight(strings.TrimSuffix(strings.TrimRight(monitor, "/"), "/varz"), "/")
		shown, err := e.varz(ctx, monitor)
		if err != nil {
			findings = append(findings, note("sync.unreachable", Finding{Object: monitor, Text: err.Error()}))
			continue
		}
		findings = append(findings, e.syncFinding(shown), storageFinding(shown))
	}
	return findings
}

func (e *examination) varz(ctx context.Context, monitor string) (varz, error) {
	ctx, cancel := context.WithTimeout(ctx, e.Timeout)
	defer cancel()
	var shown varz
	request, err := http.NewRequestWithContext(ctx, http.MethodGet, monitor+"/varz", http.NoBody)
	if err != nil {
		return shown, err
	}
	answer, err := e.HTTP.Do(request)
	if err != nil {
		return shown, err
	}
	defer func() { _ = answer.Body.Close() }()
	if answer.StatusCode != http.StatusOK {
		return shown, fmt.Errorf("%s/varz: %s", monitor, answer.Status)
	}
	if err := json.NewDecoder(io.LimitReader(answer.Body, maxVarz)).Decode(&shown); err != nil {
		return shown, fmt.Errorf("%s/varz: %w", monitor, err)
	}
	if shown.JetStream.Config == nil || shown.JetStream.Stats == nil {
		return shown, fmt.Errorf("%s/varz: JetStream is not enabled on this server", monitor)
	}
	return shown, nil
}

func (e *examination) syncFinding(shown varz) Finding {
	config := shown.JetStream.Config
	if config.SyncAlways {
		return note("sync.always", Finding{Object: shown.Name, Found: "always", Text: "every write is on disk before it is acknowledged"})
	}
	f := Finding{Object: shown.Name, Found: config.SyncInterval.String(), Wanted: "always"}
	if config.SyncInterval > defaultSync {
		f.Wanted = "at most " + defaultSync.String()
		f.Text = fmt.Sprintf("writes reach the disk every %s only: a power cut may lose the acknowledged ones of that time", config.SyncInterval)
		return note("sync.interval_long", f)
	}
	if e.replicated() {
		f.Text = fmt.Sprintf("writes reach the disk every %s: a power cut of most servers at once may lose the acknowledged ones of that time", config.SyncInterval)
		return note("sync.interval_replicated", f)
	}
	f.Text = fmt.Sprintf("writes reach the disk every %s: a power cut may lose the acknowledged ones of that time, kill -9 loses none", config.SyncInterval)
	return note("sync.interval", f)
}

// replicated reports whether every stream lies on several servers.
func (e *examination) replicated() bool {
	for _, answer := range e.streams {
		if answer.err != nil || answer.value.Config.Replicas <= 1 {
			return false
		}
	}
	return len(e.streams) > 0
}

func storageFinding(shown varz) Finding {
	used := toInt(max(shown.JetStream.Stats.Store, shown.JetStream.Stats.ReservedStore))
	most := shown.JetStream.Config.MaxStore
	f := Finding{
		Object: shown.Name, Found: size(used),
		Text: fmt.Sprintf("JetStream uses %s of %s on disk", size(used), size(most)),
	}
	if isNearFull(used, most) {
		f.Wanted = fmt.Sprintf("less than %d %% of %s", nearFull, size(most))
		return note("sync.storage_near_full", f)
	}
	return note("sync.storage", f)
}
