package config

import (
	"fmt"
	"slices"
	"strings"

	"go.yaml.in/yaml/v4"

	"github.com/jetvol/jetvol/backends"
	"github.com/jetvol/jetvol/volume"
)

// maxConcurrency is the greatest concurrency of a backend.
const maxConcurrency = 1024

// maxDepth is the greatest limit of clones of clones.
const maxDepth = 1024

// fileKeys are the keys of the whole file. Backends is what reads that mapping.
func fileKeys(defaultBackend *string, read func(node *yaml.Node, at string)) []key {
	return []key{
		{
			name: "default_backend", value: text(defaultBackend), standard: "the only backend",
			about: "name of the backend that a `create` without one gets; required if there are several",
		},
		{
			name: "backends", value: value{wants: "names with the keys of each", nested: read}, required: true,
			about: "the backends by their names, each with the keys below",
		},
	}
}

// backendKeys are the keys that every backend has, whatever its driver.
func backendKeys(b *Backend) []key {
	var driver string // found out before
	return []key{
		{name: "driver", value: text(&driver), required: true, about: "what stores the volumes: " + driverNames()},
		{
			name: "timeout", value: duration(&b.Timeout), standard: backends.DefaultTimeout.String(),
			about: "the longest wait for a call of the driver, and for its turn; what is under way then has an unknown outcome and is asked about later",
		},
		{
			name: "concurrency", value: number(&b.Concurrency, maxConcurrency), standard: fmt.Sprint(backends.DefaultConcurrency),
			about: "calls of the driver at once, from this worker",
		},
		{
			name: "max_depth", value: number(&b.MaxDepth, maxDepth), standard: "none",
			about: "how many snapshots a clone may stand on, each of a clone of the next",
		},
		{
			name: "auto_flatten", value: yes(&b.AutoFlatten), standard: "false",
			about: "copy a clone that would be deeper than max_depth whole, instead of refusing it",
		},
		{
			name: "record_only", value: oneOf(&b.RecordOnly, volume.RecordOnlyPolicies()), standard: string(volume.RecordOnlyError),
			about: "what a reconcile makes of an available or attached volume that the backend does not have: `error`, `delete` its record, or `ignore` it but for a mark",
		},
		{
			name: "backend_only", value: oneOf(&b.BackendOnly, []BackendOnly{BackendOnlyIgnore, BackendOnlyImport}), standard: string(BackendOnlyIgnore),
			about: "what a sweep makes of a volume that only the backend has: `ignore` it but for a finding, or `import` it by the command `adopt`",
		},
	}
}

// config reads the whole file.
func (r *reader) config(root *yaml.Node, dir string) Config {
	var c Config
	r.mapping(root, "", fileKeys(&c.DefaultBackend, func(node *yaml.Node, at string) {
		c.Backends = r.backends(node, at, dir)
	}))
	if len(r.faults) > 0 {
		return c // the rest would only repeat them
	}
	known := make([]string, len(c.Backends))
	for i, b := range c.Backends {
		known[i] = b.Name
	}
	switch {
	case c.DefaultBackend == "" && len(known) == 1:
		c.DefaultBackend = known[0]
	case c.DefaultBackend == "":
		r.fault(root, "default_backend", "missing: want one of %s", strings.Join(known, ", "))
	case !slices.Contains(known, c.DefaultBackend):
		r.fault(valueOf(root, "default_backend"), "default_backend", "no backend %q%s want one of %s",
			shorten(c.DefaultBackend), meant(c.DefaultBackend, known), strings.Join(known, ", "))
	}
	return c
}

// backends reads the mapping of that name.
func (r *reader) backends(node *yaml.Node, at, dir string) []Backend {
	if node.Kind != yaml.MappingNode || len(node.Content) == 0 {
		r.fault(node, at, "want at least one name with the keys of a backend, got %s", kindOf(node))
		return nil
	}
	var found []Backend
	places := map[string]string{} // names by place
	for _, e := range r.entries(node, at) {
		if err := volume.ValidateBackend(e.name); err != nil {
			r.fault(e.key, at, "%s", reason(err))
		}
		b := r.backend(e, join(at, shorten(e.name)), dir)
		if b.Settings == nil {
			continue
		}
		if place := b.Settings.place(); place != "" {
			if other, taken := places[place]; taken {
				r.fault(e.key, join(at, e.name), "stores its volumes where backend %s does: %s", other, place)
			}
			places[place] = e.name
		}
		found = append(found, b)
	}
	return found
}

// backend reads one backend. Its settings are nil if they are not usable.
func (r *reader) backend(e entry, at, dir string) Backend {
	b := Backend{Name: e.name}
	if e.value.Kind != yaml.MappingNode {
		r.fault(e.value, at, "want the keys of a backend, got %s", kindOf(e.value))
		return b
	}
	known := backendKeys(&b)
	settings := r.settings(e.value, at)
	if settings == nil {
		r.commonKeys(e.value, at, known)
		return b
	}
	before := len(r.faults)
	r.mapping(e.value, at, append(known, settings.keys(dir)...))
	if len(r.faults) > before {
		return b
	}
	if err := settings.validate(); err != nil {
		r.fault(e.key, at, "%s", reason(err))
		return b
	}
	b.Settings = settings
	return b
}

// settings returns those of the driver that a backend names, without values, or nil.
func (r *reader) settings(mapping *yaml.Node, at string) Settings {
	node := valueOf(mapping, "driver")
	if node == nil {
		r.fault(mapping, join(at, "driver"), "missing: want one of %s", driverNames())
		return nil
	}
	var name string
	before := len(r.faults)
	r.read(node, join(at, "driver"), text(&name))
	if len(r.faults) > before {
		return nil
	}
	for _, d := range drivers {
		if d.name == name {
			return d.settings()
		}
	}
	r.fault(node, join(at, "driver"), "no driver %q%s want one of %s", shorten(name), meant(name, Drivers()), driverNames())
	return nil
}

// commonKeys reads those of a backend whose driver is not known: which others it may
// have is not known either.
func (r *reader) commonKeys(mapping *yaml.Node, at string, known []key) {
	for _, e := range r.entries(mapping, at) {
		i := slices.IndexFunc(known, func(k key) bool { return k.name == e.name })
		if i >= 0 && e.name != "driver" {
			r.read(e.value, join(at, e.name), known[i].value)
		}
	}
}

// valueOf returns the value of a key, or nil.
func valueOf(mapping *yaml.Node, name string) *yaml.Node {
	for i := 0; i+1 < len(mapping.Content); i += 2 {
		if k := mapping.Content[i]; k.Kind == yaml.ScalarNode && k.Value == name {
			return mapping.Content[i+1]
		}
	}
	return nil
}
