package main

import (
	"encoding/json"
	"fmt"
	"regexp"
	"strings"
	"testing"

	"github.com/jetvol/jetvol/internal/natstest"
	"github.com/jetvol/jetvol/kv"
	"github.com/jetvol/jetvol/query"
	"github.com/jetvol/jetvol/volume"
)

// stock is a server with 30 volumes: vol-00 to vol-19 in default, other-00 to other-09 in
// billing. Every third is attached, every fifth deleted, every second has a label.
func stock(t *testing.T) *natstest.Server {
	t.Helper()
	server := natstest.Start(t)
	jetvol(t, "-s", server.URL(), "provision").want(t, exitSucceeded)
	records := kv.NewVolumes(server.JetStream(t))
	for i := range 30 {
		key := volume.Key{Project: "default", Name: volume.Name(fmt.Sprintf("vol-%02d", i))}
		if i >= 20 {
			key = volume.Key{Project: "billing", Name: volume.Name(fmt.Sprintf("other-%02d", i-20))}
		}
		record := volume.Record{SchemaVersion: volume.SchemaVersion, Key: key, ID: volume.NewID(key, 1), State: volume.StateAvailable}
		if i%3 == 0 {
			record.State = volume.StateAttached
		}
		if i%5 == 0 {
			record.State = volume.StateDeleted
		}
		if i%2 == 0 {
			record.Labels = volume.Labels{"team": "data", "note": "a,b"}
		}
		if _, err := records.Create(t.Context(), key.String(), record); err != nil {
			t.Fatal(err)
		}
	}
	return server
}

// listed returns the names in a list's output of JSON lines.
func listed(t *testing.T, out string) []string {
	t.Helper()
	var names []string
	for line := range strings.Lines(out) {
		var record query.Stored
		if err := json.Unmarshal([]byte(line), &record); err != nil || record.Revision == 0 {
			t.Fatalf("line %q: %v", line, err)
		}
		names = append(names, string(record.Name))
	}
	return names
}

// noWorker is what is said where no worker runs.
const noWorker = "no worker answers: reading the buckets directly\n"

func TestList_Filters_SelectAndPageWithoutLoss(t *testing.T) {
	t.Setenv("NATS_URL", stock(t).URL())
	for _, test := range []struct {
		name string
		args []string
		want int
	}{
		{"project", nil, 16},
		{"another project", []string{"-p", "billing"}, 8},
		{"unused project", []string{"-p", "nobody"}, 0},
		{"all projects", []string{"-A"}, 24},
		{"deleted too", []string{"--include-deleted"}, 20},
		{"deleted only", []string{"--state", "deleted"}, 4},
		{"state", []string{"--state", "attached"}, 5},
		{"two states", []string{"--state", "attached", "--state", "deleted"}, 9},
		{"label", []string{"--label", "team=data"}, 8},
		{"two labels", []string{"--label", "team=data", "--label", "note=a,b"}, 8},
		{"labels that contradict", []string{"--label", "team=data", "--label", "note=a"}, 0},
		{"prefix", []string{"--prefix", "vol-1"}, 8},
		{"filter", []string{"--filter", "state==attached,labels.team"}, 3},
		{"two filters", []string{"--filter", "state==attached", "--filter", "name==vol-01"}, 6},
		{"all together", []string{"--prefix", "vol-1", "--state", "attached", "--label", "team=data"}, 2},
	} {
		t.Run(test.name, func(t *testing.T) {
			args := append([]string{"volume", "list", "--json"}, test.args...)
			whole := jetvol(t, append(args, "--limit", "0")...)
			names := listed(t, whole.stdout)
			if len(names) != test.want || whole.stderr != noWorker {
				t.Errorf("whole: got %d volumes, %q, want %d", len(names), whole.stderr, test.want)
			}
			for _, limit := range []int{1, 3, 7, 100} {
				if got := paged(t, args, limit); strings.Join(got, " ") != strings.Join(names, " ") {
					t.Errorf("pages of %d: got %v, want %v", limit, got, names)
				}
			}
		})
	}
}

var nextPage = regexp.MustCompile(`(?m)^next: --after (\d+)$`)

// paged reads a list page by page and checks that no page but an only one is empty.
func paged(t *testing.T, args []string, limit int) []string {
	t.Helper()
	var names []string
	after := "0"
	for {
		page := jetvol(t, append(args, "--limit", fmt.Sprint(limit), "--after", after)...)
		page.want(t, exitSucceeded)
		found := listed(t, page.stdout)
		if len(found) == 0 && after != "0" {
			t.Errorf("page of %d after %s: got nothing, though more was promised", limit, after)
		}
		names = append(names, found...)
		next := nextPage.FindStringSubmatch(page.stderr)
		if next == nil {
			return names
		}
		if len(found) != limit {
			t.Errorf("page of %d after %s: got %d volumes and more to come", limit, after, len(found))
		}
		after = next[1]
	}
}

func TestList_Table_EndsWithTheCursor(t *testing.T) {
	t.Setenv("NATS_URL", stock(t).URL())
	end := jetvol(t, "volume", "list", "--limit", "2")
	if !regexp.MustCompile(`^VOLUME +STATE .*\ndefault\.vol-01 +available .*\ndefault\.vol-02 .*\nnext: --after 3\n$`).MatchString(end.stdout) {
		t.Errorf("got %q, want two volumes and a cursor", end.stdout)
	}
}

func TestList_UnreadableRecord_OthersShownAndFailureTold(t *testing.T) {
	server := stock(t)
	js := server.JetStream(t)
	if _, err := js.Publish(t.Context(), "$KV.volumes.default.broken", []byte("not a record")); err != nil {
		t.Fatal(err)
	}
	t.Setenv("NATS_URL", server.URL())
	end := jetvol(t, "volume", "list", "--json", "--limit", "0")
	end.want(t, exitFailed, "default.broken", "corrupt")
	if got := len(listed(t, end.stdout)); got != 16 {
		t.Errorf("got %d volumes, want 16", got)
	}
	jetvol(t, "volume", "get", "broken").want(t, exitFailed, "corrupt")
}
