package acceptance

import (
	"flag"
	"fmt"
	"os"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/nats-io/nats.go/jetstream"

	"github.com/jetvol/jetvol/internal/natstest"
	"github.com/jetvol/jetvol/internal/preload"
	"github.com/jetvol/jetvol/internal/provision"
	"github.com/jetvol/jetvol/query"
	"github.com/jetvol/jetvol/volume"
)

// scaleRecords is how many records TestQuery_ManyRecords stores; make scale-query has it
// store a million.
var scaleRecords = flag.Int("scale-records", 3000, "records for TestQuery_ManyRecords")

const (
	scaleRounds = 15  // of each measurement, of which the middle one counts
	scaleFew    = 2   // rounds where so little is stored that only what is read matters
	scaleGets   = 300 // volumes read one by one
	scalePage   = 1000
)

// TestQuery_ManyRecords runs a worker before and after many records are stored, and prints
// what it takes to start, to hold, to read one and to read a page. It fails if what is
// read is wrong; how fast it is is for readers of the log.
func TestQuery_ManyRecords(t *testing.T) {
	dependOnSources(t)
	server := natstest.Start(t)
	js := server.JetStream(t)
	if _, err := provision.Apply(t.Context(), js, provision.Options{}); err != nil {
		t.Fatal(err)
	}
	m := &manyRecords{t: t, url: server.URL(), js: js, client: query.New(js.Conn())}
	m.report("empty", 0)
	store := *scaleRecords
	began := time.Now()
	m.fill(store)
	t.Logf("%d records stored in %s", store, time.Since(began).Round(time.Second))
	m.report("full", store)
}

// manyRecords is a server with a bucket that is filled.
type manyRecords struct {
	t      *testing.T
	url    string
	js     jetstream.JetStream
	client *query.Client
}

// fill stores n records as workers write them. A third are written twice, so that the
// sequences have gaps. One in a thousand is of another project.
func (m *manyRecords) fill(n int) {
	m.t.Helper()
	w, err := preload.NewWriter(m.t.Context(), m.js)
	if err != nil {
		m.t.Fatal(err)
	}
	put := func(i int) {
		if err := w.Record(m.t.Context(), m.record(i)); err != nil {
			m.t.Fatal(err)
		}
	}
	for i := range n {
		put(i)
	}
	for i := 0; i < n; i += 3 {
		put(i)
	}
	if err := w.Flush(m.t.Context()); err != nil {
		m.t.Fatal(err)
	}
}

func scaleKey(i int) volume.Key {
	key := volume.Key{Project: "default", Name: volume.Name(fmt.Sprintf("v-%07d", i))}
	if i%1000 == 999 {
		key.Project = "small"
	}
	return key
}

// record is that of a volume of which the events have aged out.
func (m *manyRecords) record(i int) volume.Record {
	m.t.Helper()
	now := time.Now().UTC()
	v, err := preload.Created(volume.Command{
		ID: "c-1", Key: scaleKey(i), Verb: volume.VerbCreate, Actor: "alice",
		Args: volume.Args{Size: volume.GiB, Backend: "null", Labels: volume.Labels{"team": "t" + strconv.Itoa(i%10)}},
	}, volume.Owner{Worker: "w1", Instance: "I", Epoch: 1, Since: now})
	if err != nil {
		m.t.Fatal(err)
	}
	return v.Record
}

var workerReady = regexp.MustCompile(`(?m)^jetvol worker ready: `)

// report starts a worker, measures, and ends it.
func (m *manyRecords) report(what string, stored int) {
	m.t.Helper()
	s := &server{workDir: m.t.TempDir(), url: m.url}
	began := time.Now()
	s.program = startProgram(m.t, s, m.url, "exec jetvol worker --backend null --id "+what)
	if printed := s.program.until(workerReady.MatchString); !workerReady.MatchString(printed) {
		m.t.Fatalf("the worker printed\n%s", printed)
	}
	m.t.Logf("%s: worker ready after %s, %s", what, time.Since(began).Round(time.Millisecond), residence(m.t, s.program.cmd.Process.Pid))
	if stored > 0 {
		m.measureReads(stored)
		m.t.Logf("%s: after reading, %s", what, residence(m.t, s.program.cmd.Process.Pid))
	}
	if err := s.program.cmd.Process.Signal(syscall.SIGTERM); err != nil {
		m.t.Error(err)
	}
	if printed, err := s.program.end(); err != nil {
		m.t.Errorf("the worker ended with %v\n%s", err, printed)
	}
}

func (m *manyRecords) measureReads(stored int) {
	m.t.Helper()
	var gets []time.Duration
	for i := range scaleGets {
		key := scaleKey(i * (stored / scaleGets))
		began := time.Now()
		got, err := m.client.Get(m.t.Context(), query.GetRequest{Project: key.Project, Volume: key.Name})
		if err != nil || got.Volume.Key != key {
			m.t.Fatalf("get %s: got %s, %v", key, got.Volume.Key, err)
		}
		gets = append(gets, time.Since(began))
	}
	m.t.Logf("get: %s", spread(gets))
	sequences := uint64(stored) + uint64(stored)/3
	for _, project := range []volume.Project{"", "default", "small"} {
		for _, place := range []struct {
			name  string
			after uint64
		}{{"start", 0}, {"middle", sequences / 2}, {"end", sequences - 2*scalePage}} {
			m.measurePage(project, place.name, place.after)
		}
	}
}

func (m *manyRecords) measurePage(project volume.Project, place string, after uint64) {
	m.t.Helper()
	var took []time.Duration
	found, rounds := 0, scaleRounds
	if *scaleRecords <= 10*scalePage {
		rounds = scaleFew
	}
	for range rounds {
		began := time.Now()
		page, err := m.client.List(m.t.Context(), query.ListRequest{Project: project, After: after, Limit: scalePage})
		if err != nil {
			m.t.Fatal(err)
		}
		if found = len(page.Volumes); found != scalePage && project != "small" && *scaleRecords > 10*scalePage {
			m.t.Errorf("page at the %s: got %d volumes, want %d", place, found, scalePage)
		}
		took = append(took, time.Since(began))
	}
	m.t.Logf("page of %d at the %-6s project %-9q %4d volumes: %s", scalePage, place, project, found, spread(took))
}

// spread is the middle, the least and the greatest of some durations.
func spread(took []time.Duration) string {
	slices.Sort(took)
	return fmt.Sprintf("median %s, %s to %s", took[len(took)/2].Round(10*time.Microsecond),
		took[0].Round(10*time.Microsecond), took[len(took)-1].Round(10*time.Microsecond))
}

// residence is the memory of a process.
func residence(t *testing.T, pid int) string {
	t.Helper()
	data, err := os.ReadFile(fmt.Sprintf("/proc/%d/status", pid))
	if err != nil {
		return "memory not known: " + err.Error()
	}
	for line := range strings.Lines(string(data)) {
		if value, found := strings.CutPrefix(line, "VmRSS:"); found {
			return "RSS " + strings.TrimSpace(value)
		}
	}
	return "memory not known"
}
