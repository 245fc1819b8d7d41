package config

import (
	"context"

	"github.com/jetvol/jetvol/backends"
	"github.com/jetvol/jetvol/backends/local"
)

// Local are the settings of a backend over a directory.
type Local struct{ local.Options }

// Driver returns [local.DriverName].
func (l *Local) Driver() string { return local.DriverName }

// Open opens the directory; see [local.Open].
func (l *Local) Open(context.Context, Options) (backends.Driver, error) {
	driver, err := local.Open(l.Options)
	if err != nil {
		return nil, err // not a nil *local.Driver, which would be a driver
	}
	return driver, nil
}

func (l *Local) keys(dir string) []key {
	return []key{
		{
			name: "dir", value: path(&l.Dir, dir), required: true,
			about: "directory of the volumes, the same one for all workers; it is made if the directory above it is there",
		},
		{
			name: "journal", value: path(&l.Journal, dir), standard: "none",
			about: "file to which a line is appended per change, for tests",
		},
	}
}

func (l *Local) validate() error { return nil }
func (l *Local) place() string   { return l.Dir }
