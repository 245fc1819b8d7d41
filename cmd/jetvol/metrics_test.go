package main

import (
	"context"
	"fmt"
	"maps"
	"os"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/nats-io/nats.go/jetstream"
	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/testutil/promlint"
	dto "github.com/prometheus/client_model/go"
	"github.com/rs/zerolog"

	"github.com/jetvol/jetvol/commands"
	"github.com/jetvol/jetvol/drift"
	"github.com/jetvol/jetvol/internal/natstest"
	"github.com/jetvol/jetvol/internal/provision"
	"github.com/jetvol/jetvol/volume"
)

const metricsDocument = "../../docs/monitoring/metrics.md"

const metricsHead = `# Metrics

What a worker shows on ` + "`/metrics`" + `, written by ` + "`go test ./cmd/jetvol -run TestMetrics -update`" + `.
There is more from the Go runtime (` + "`go_…`" + `) and the process (` + "`process_…`" + `). No label ever
holds a volume's name: the number of series does not grow with that of the volumes.

| metric | type | labels | |
|---|---|---|---|
`

// working runs a worker that has carried out commands, and returns it.
func working(t *testing.T) *service {
	t.Helper()
	server := natstest.Start(t)
	conn := server.Connect(t)
	js, err := jetstream.New(conn)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := provision.Apply(t.Context(), js, provision.Options{}); err != nil {
		t.Fatal(err)
	}
	f := &workerFlags{
		id: "worker-1", dir: t.TempDir(), backend: "local", concurrency: 4, drainTimeout: patience, metrics: "127.0.0.1:0",
		sweep: sweepFlags{interval: drift.DefaultInterval, rate: drift.DefaultRate},
	}
	if err := f.validate(); err != nil {
		t.Fatal(err)
	}
	s, err := newService(t.Context(), conn, f, zerolog.Nop())
	if err != nil {
		t.Fatal(err)
	}
	ready, ended := make(chan struct{}), make(chan error, 1)
	ctx, stop := context.WithCancel(context.WithoutCancel(t.Context()))
	go func() {
		ended <- s.run(ctx, func(context.Context) (bool, error) { close(ready); return true, nil })
	}()
	t.Cleanup(func() {
		stop()
		if err := <-ended; err != nil {
			t.Error(err)
		}
		if err := s.close(); err != nil {
			t.Error(err)
		}
	})
	<-ready
	client, err := commands.New(conn)
	if err != nil {
		t.Fatal(err)
	}
	defer client.Close()
	key := volume.Key{Project: "default", Name: "db-01"}
	// A command is counted after its reply, and before its volume's next command.
	for _, request := range []commands.Request{
		{Key: key, Verb: volume.VerbCreate, Args: volume.Args{Size: volume.MiB}}, {Key: key, Verb: volume.VerbDelete},
	} {
		if _, err := client.Do(t.Context(), request); err != nil {
			t.Fatal(err)
		}
	}
	return s
}

// families returns all metrics of a worker, by name, and fails the test if one that is
// registered has no value.
func families(t *testing.T) map[string]*dto.MetricFamily {
	t.Helper()
	registry := working(t).registry
	gathered, err := registry.Gather()
	if err != nil {
		t.Fatal(err)
	}
	byName := map[string]*dto.MetricFamily{}
	for _, family := range gathered {
		byName[family.GetName()] = family
	}
	for name := range registered(registry) {
		if byName[name] == nil {
			t.Errorf("metric %s: registered, and without a value after a command: no table and no alert would know it", name)
		}
	}
	return byName
}

// registered returns the names of jetvol's own metrics. The library tells them as text only.
func registered(registry *prometheus.Registry) map[string]bool {
	descriptions := make(chan *prometheus.Desc)
	go func() {
		registry.Describe(descriptions)
		close(descriptions)
	}()
	names := map[string]bool{}
	for description := range descriptions {
		if name := fullName.FindStringSubmatch(description.String()); len(name) > 1 {
			names[name[1]] = true
		}
	}
	return names
}

var fullName = regexp.MustCompile(`fqName: "(jetvol_[^"]+)"`)

func labelsOf(family *dto.MetricFamily) []string {
	var labels []string
	for _, metric := range family.GetMetric() {
		for _, pair := range metric.GetLabel() {
			if !slices.Contains(labels, pair.GetName()) {
				labels = append(labels, pair.GetName())
			}
		}
	}
	return labels
}

func TestMetrics_OfAWorker_AsPromlintDocumentAndPrivacyWantThem(t *testing.T) {
	all := families(t)
	var own []*dto.MetricFamily
	table := metricsHead
	for _, name := range slices.Sorted(maps.Keys(all)) {
		family := all[name]
		if !strings.HasPrefix(name, "jetvol_") {
			continue
		}
		own = append(own, family)
		labels := labelsOf(family)
		for _, metric := range family.GetMetric() {
			for _, pair := range metric.GetLabel() {
				if strings.Contains(pair.GetValue(), "db-01") {
					t.Errorf("metric %s: label %s names a volume", name, pair.GetName())
				}
			}
		}
		text := ""
		if len(labels) > 0 {
			text = "`" + strings.Join(labels, "`, `") + "`"
		}
		kind := strings.ToLower(family.GetType().String())
		table += fmt.Sprintf("| %#q | %s | %s | %s |\n", name, kind, text, family.GetHelp())
	}
	problems, err := promlint.NewWithMetricFamilies(own).Lint()
	if err != nil {
		t.Fatal(err)
	}
	for _, problem := range problems {
		t.Errorf("promlint: %s: %s", problem.Metric, problem.Text)
	}
	wantDocument(t, metricsDocument, table)
	published := 0.0
	for _, metric := range all["jetvol_events_published_total"].GetMetric() {
		published += metric.GetCounter().GetValue()
	}
	if published != 4 { // create, ready, delete, deleted
		t.Errorf("events published: got %v, want 4", published)
	}
}

// wantDocument compares a written document with what it has to be, and with -update
// writes it.
func wantDocument(t *testing.T, path, want string) {
	t.Helper()
	if *update {
		if err := os.WriteFile(path, []byte(want), 0o600); err != nil {
			t.Fatal(err)
		}
		return
	}
	got, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	if string(got) != want {
		t.Errorf("%s is not what there is (-update rewrites it), want\n%s", path, want)
	}
}
