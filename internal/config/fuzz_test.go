package config_test

import (
	"errors"
	"os"
	"regexp"
	"testing"

	"github.com/jetvol/jetvol/internal/config"
	"github.com/jetvol/jetvol/volume"
)

// FuzzParse looks for a text that is taken though it makes no sense, or refused without
// a fault that says where it is.
func FuzzParse(f *testing.F) {
	for _, seed := range []string{
		"backends: {a: {driver: local, dir: x}}", "backends:\n  a: &a {driver: \"null\"}\n  b: *a\n",
		"? [a]\n: 1\n", "a: !!binary x\n", "default_backend: a\n---\n", "backends: {<<: {a: 1}}", "\xff\xfea", "a: *a\n", ":\r0",
		"backends: {a: {driver: ceph, pool: p, features: [a, {b: c}]}}",
	} {
		f.Add([]byte(seed))
	}
	example, err := os.ReadFile("../../docs/jetvol.example.yaml")
	if err != nil {
		f.Fatal(err)
	}
	f.Add(example)
	f.Fuzz(func(t *testing.T, data []byte) {
		c, err := config.Parse("f.yaml", "/etc", data)
		if err != nil {
			checkFaults(t, err, len(lineBreak.FindAll(data, -1))+1)
			return
		}
		names := map[string]bool{}
		for _, b := range c.Backends {
			if volume.ValidateBackend(b.Name) != nil || names[b.Name] || b.Settings == nil || b.Timeout < 0 || b.Concurrency < 0 {
				t.Errorf("got backend %+v, want it refused", b)
			}
			names[b.Name] = true
		}
		if !names[c.DefaultBackend] {
			t.Errorf("got default %q of %v, want one of them", c.DefaultBackend, names)
		}
	})
}

// lineBreak is what ends a line of YAML.
var lineBreak = regexp.MustCompile("[\r\n\u0085\u2028\u2029]")

func checkFaults(t *testing.T, err error, lines int) {
	t.Helper()
	faults, ok := errors.AsType[*config.FaultsError](err)
	if !ok || len(faults.Faults) == 0 {
		t.Fatalf("got %v, want faults", err)
	}
	for _, fault := range faults.Faults {
		// The end of a file without a newline counts as a line of its own.
		if fault.Message == "" || fault.Line < 0 || fault.Line > lines+1 || (fault.Line == 0) != (fault.Column == 0) {
			t.Errorf("got fault %+v of a text with %d lines, want a place in it", fault, lines)
		}
	}
}
