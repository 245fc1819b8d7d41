package main

import (
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"os"
	"path"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/prometheus/common/model"
	"github.com/prometheus/prometheus/promql/parser"
	"go.yaml.in/yaml/v4"

	dto "github.com/prometheus/client_model/go"
)

const (
	monitoring = "../../docs/monitoring"
	operations = "../../docs/operations.md"
	// runbook is what the address of an alert's section begins with.
	runbook = "https://github.com/jetvol/jetvol/blob/main/docs/operations.md#"
)

// pains are the sections of docs/operations.md that alerts may send somebody to.
var pains = []string{
	"volume-stuck-attaching", "who-holds-it", "image-has-watchers", "dead-node", "orphans-after-a-crash",
	"quota-wrong", "poison-command", "lost-quorum", "disk-full", "worker-will-not-start",
}

// known are the metrics of a worker with their labels, and those that Prometheus adds.
type known map[string][]string

func newKnown(all map[string]*dto.MetricFamily) known {
	k := known{}
	for name, family := range all {
		labels := append([]string{model.MetricNameLabel, "job", "instance"}, labelsOf(family)...)
		if family.GetType() != dto.MetricType_HISTOGRAM {
			k[name] = labels
			continue
		}
		k[name+"_bucket"], k[name+"_count"], k[name+"_sum"] = append(labels, "le"), labels, labels
	}
	return k
}

// check returns what is wrong with an expression: its syntax, or a metric or a label that no
// worker has.
func (k known) check(expression string) error {
	parsed, err := parser.ParseExpr(expression)
	if err != nil {
		return err
	}
	var faults []error
	labels := map[string]bool{}
	parser.Inspect(parsed, func(node parser.Node, _ []parser.Node) error {
		selector, ok := node.(*parser.VectorSelector)
		if !ok {
			return nil
		}
		name := selector.Name
		if k[name] == nil {
			faults = append(faults, fmt.Errorf("no metric %q", name))
		}
		for _, matcher := range selector.LabelMatchers {
			if !slices.Contains(k[name], matcher.Name) {
				faults = append(faults, fmt.Errorf("metric %s has no label %q", name, matcher.Name))
			}
		}
		for _, label := range k[name] {
			labels[label] = true
		}
		return nil
	})
	parser.Inspect(parsed, func(node parser.Node, _ []parser.Node) error {
		if aggregate, ok := node.(*parser.AggregateExpr); ok {
			for _, label := range aggregate.Grouping {
				if !labels[label] {
					faults = append(faults, fmt.Errorf("grouped by %q, which no metric in it has", label))
				}
			}
		}
		return nil
	})
	return errors.Join(faults...)
}

func TestMonitoring_Check_FindsWhatIsWrong(t *testing.T) {
	k := known{"jetvol_lanes": {model.MetricNameLabel, "instance"}, "jetvol_lag_bucket": {model.MetricNameLabel, "le"}}
	for expression, want := range map[string]string{
		`sum by (instance) (jetvol_lanes)`:                       "",
		`histogram_quantile(0.9, rate(jetvol_lag_bucket[5m]))`:   "",
		`sum(jetvol_lanes`:                                       "parse error",
		`sum(jetvol_lines)`:                                      `no metric "jetvol_lines"`,
		`rate(jetvol_lag_bucket[5m]) / rate(jetvol_lag_sum[1m])`: `no metric "jetvol_lag_sum"`,
		`jetvol_lanes{volume="db-01"}`:                           `no label "volume"`,
		`sum by (volume) (jetvol_lanes)`:                         `grouped by "volume"`,
		`jetvol_lanes or on () {instance="w1"}`:                  `no metric ""`,
	} {
		err := k.check(expression)
		if want == "" && err != nil || want != "" && (err == nil || !strings.Contains(err.Error(), want)) {
			t.Errorf("%s: got %v, want %q", expression, err, want)
		}
	}
}

// ruleFile is what Prometheus reads, as far as it is used here; other keys are a fault.
type ruleFile struct {
	Groups []struct {
		Name  string
		Rules []alert
	}
}

type alert struct {
	Alert       string
	Expr        string
	For         string
	Labels      map[string]string
	Annotations map[string]string
}

// check returns what is wrong with the alert.
func (a alert) check(k known) error {
	err := k.check(a.Expr)
	if !regexp.MustCompile(`^Jetvol[A-Za-z]+$`).MatchString(a.Alert) {
		err = errors.Join(err, fmt.Errorf("alert %q: want a name that begins with Jetvol", a.Alert))
	}
	if a.For != "" {
		_, wrong := model.ParseDuration(a.For)
		err = errors.Join(err, wrong)
	}
	if severity := a.Labels["severity"]; severity != "page" && severity != "ticket" {
		err = errors.Join(err, fmt.Errorf("severity %q: want page or ticket", severity))
	}
	if a.Annotations["summary"] == "" {
		err = errors.Join(err, errors.New("no summary"))
	}
	section, found := strings.CutPrefix(a.Annotations["runbook_url"], runbook)
	if !found || !slices.Contains(pains, section) {
		err = errors.Join(err, fmt.Errorf("runbook_url %q: want one of the sections %v", a.Annotations["runbook_url"], pains))
	}
	return err
}

func readAlerts(t *testing.T) (all []alert) {
	t.Helper()
	data, err := os.ReadFile(path.Join(monitoring, "alerts.yaml"))
	if err != nil {
		t.Fatal(err)
	}
	var rules ruleFile
	if err := yaml.Load(data, &rules, yaml.WithKnownFields()); err != nil {
		t.Fatal(err)
	}
	for _, group := range rules.Groups {
		all = append(all, group.Rules...)
	}
	if len(all) == 0 {
		t.Fatal("no alerts")
	}
	return all
}

func TestMonitoring_Alerts_AskForMetricsThatThereAre(t *testing.T) {
	k := newKnown(families(t))
	names, sections := map[string]bool{}, map[string]bool{}
	for _, a := range readAlerts(t) {
		if err := a.check(k); err != nil {
			t.Errorf("alert %s: %v", a.Alert, err)
		}
		if names[a.Alert] {
			t.Errorf("alert %s: twice", a.Alert)
		}
		names[a.Alert] = true
		sections[strings.TrimPrefix(a.Annotations["runbook_url"], runbook)] = true
	}
	for _, pain := range pains {
		if !sections[pain] {
			t.Errorf("no alert tells of %s", pain)
		}
	}
}

func TestMonitoring_AlertThatIsWrong_Found(t *testing.T) {
	k := known{"jetvol_lanes": {model.MetricNameLabel}}
	good := func() alert {
		return alert{
			Alert: "JetvolLanes", Expr: "jetvol_lanes > 1", For: "5m", Labels: map[string]string{"severity": "page"},
			Annotations: map[string]string{"summary": "Lanes.", "runbook_url": runbook + "disk-full"},
		}
	}
	if err := good().check(k); err != nil {
		t.Fatalf("a good one: %v", err)
	}
	for name, spoil := range map[string]func(*alert){
		"name": func(a *alert) { a.Alert = "Lanes" }, "expression": func(a *alert) { a.Expr = "jetvol_lines > 1" },
		"duration": func(a *alert) { a.For = "soon" }, "severity": func(a *alert) { a.Labels["severity"] = "" },
		"summary": func(a *alert) { a.Annotations["summary"] = "" },
		"section": func(a *alert) { a.Annotations["runbook_url"] = runbook + "no-such-pain" },
		"page":    func(a *alert) { a.Annotations["runbook_url"] = "https://example.org/#disk-full" },
	} {
		a := good()
		if spoil(&a); a.check(k) == nil {
			t.Errorf("%s: got nil, want an error", name)
		}
	}
}

func TestMonitoring_Runbooks_AreSectionsOfOperations(t *testing.T) {
	text, err := os.ReadFile(operations)
	if errors.Is(err, os.ErrNotExist) {
		t.Skip("docs/operations.md is not there yet")
	}
	if err != nil {
		t.Fatal(err)
	}
	anchors := map[string]bool{}
	for _, heading := range regexp.MustCompile(`(?m)^#+ (.+)$`).FindAllStringSubmatch(string(text), -1) {
		anchor := regexp.MustCompile(`[^a-z0-9 -]`).ReplaceAllString(strings.ToLower(heading[1]), "")
		anchors[strings.ReplaceAll(anchor, " ", "-")] = true
	}
	for _, explicit := range regexp.MustCompile(`<a (?:id|name)="([^"]+)">`).FindAllStringSubmatch(string(text), -1) {
		anchors[explicit[1]] = true
	}
	for _, pain := range pains {
		if !anchors[pain] {
			t.Errorf("%s has no section %q, there are %v", operations, pain, slices.Sorted(maps.Keys(anchors)))
		}
	}
}

// dashboard is what Grafana imports, as far as it is checked.
type dashboard struct {
	Title, UID    string
	SchemaVersion int
	Panels        []panel
	Templating    struct {
		List []struct{ Name, Type string }
	}
}

type panel struct {
	ID          int
	Type, Title string
	Datasource  struct{ Type, UID string }
	GridPos     struct{ H, W, X, Y int }
	Targets     []struct{ RefID, Expr string }
}

// variable is Grafana's, in an expression.
var variable = regexp.MustCompile(`\$\{?([a-z_]+)\}?`)

// check returns what is wrong with the panel, by itself.
func (p panel) check(k known, variables []string) error {
	if p.Type == "row" {
		return nil
	}
	var err error
	if p.Title == "" || p.Type == "" || p.Datasource.Type != "prometheus" || len(p.Targets) == 0 {
		err = fmt.Errorf("want a title, a type, a data source and a target: %+v", p)
	}
	for _, target := range p.Targets {
		for _, used := range variable.FindAllStringSubmatch(target.Expr, -1) {
			if used[1] != "__rate_interval" && !slices.Contains(variables, used[1]) {
				err = errors.Join(err, fmt.Errorf("no variable %q", used[1]))
			}
		}
		err = errors.Join(err, k.check(strings.ReplaceAll(target.Expr, "$__rate_interval", "5m")))
	}
	return err
}

// overlaps reports whether two panels stand on the same place.
func (p panel) overlaps(q panel) bool {
	a, b := p.GridPos, q.GridPos
	return a.X < b.X+b.W && b.X < a.X+a.W && a.Y < b.Y+b.H && b.Y < a.Y+a.H
}

func TestMonitoring_Dashboard_AsksForMetricsThatThereAre(t *testing.T) {
	data, err := os.ReadFile(path.Join(monitoring, "dashboard.json"))
	if err != nil {
		t.Fatal(err)
	}
	var d dashboard
	if err := json.Unmarshal(data, &d); err != nil {
		t.Fatal(err)
	}
	if d.Title == "" || d.UID == "" || d.SchemaVersion < 36 || len(d.Panels) == 0 {
		t.Fatalf("got %q, %q, schema %d with %d panels: Grafana would not import it", d.Title, d.UID, d.SchemaVersion, len(d.Panels))
	}
	var variables []string
	for _, v := range d.Templating.List {
		variables = append(variables, v.Name)
	}
	k := newKnown(families(t))
	shown := map[string]bool{}
	for i, p := range d.Panels {
		if err := p.check(k, variables); err != nil {
			t.Errorf("panel %q: %v", p.Title, err)
		}
		if p.GridPos.X+p.GridPos.W > 24 || p.GridPos.W < 1 || p.GridPos.H < 1 {
			t.Errorf("panel %q: at %+v of 24 columns", p.Title, p.GridPos)
		}
		for _, q := range d.Panels[:i] {
			if p.ID == q.ID || p.overlaps(q) {
				t.Errorf("panel %q: the id or the place of %q", p.Title, q.Title)
			}
		}
		for _, target := range p.Targets {
			for _, name := range regexp.MustCompile(`jetvol_[a-z_]+`).FindAllString(target.Expr, -1) {
				shown[name] = true
			}
		}
	}
	for name := range k {
		base := strings.TrimSuffix(strings.TrimSuffix(name, "_sum"), "_count")
		if strings.HasPrefix(name, "jetvol_") && !shown[name] && !shown[base+"_bucket"] {
			t.Errorf("metric %s: on no panel", name)
		}
	}
}
