package config

import (
	"context"

	"github.com/jetvol/jetvol/backends"
	"github.com/jetvol/jetvol/backends/null"
)

// Null are the settings of a backend that stores nothing.
type Null struct{ null.Options }

// Driver returns [null.DriverName].
func (n *Null) Driver() string { return null.DriverName }

// Open returns a driver that remembers volumes if no other process can have made them.
func (n *Null) Open(_ context.Context, o Options) (backends.Driver, error) {
	if o.Alone {
		return null.New(n.Options), nil
	}
	return null.NewBlind(n.Options), nil
}

func (n *Null) keys(string) []key {
	return []key{{
		name: "latency", value: duration(&n.Latency), standard: "none", about: "how long each call takes",
	}}
}

func (n *Null) validate() error { return nil }
func (n *Null) place() string   { return "" }
