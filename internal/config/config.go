// Package config reads the configuration file of a worker: the backends that it serves,
// each with a name, a driver and the driver's keys.
//
// The file is YAML and is read strictly: an unknown key, a key given twice, a value of
// another kind, an alias or a second document is a fault. [Parse] finds all faults that
// there are, each with its line and column, before anything is opened. The file holds no
// secrets: keys name the files that do.
//
// What keys there are stands in one table for each mapping, from which [Reference]
// tells and docs/configuration.md is written.
package config

import (
	"context"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"time"

	"github.com/jetvol/jetvol/backends"
	"github.com/jetvol/jetvol/volume"
)

// maxSize is the greatest size of a file: far more than anybody writes.
const maxSize = volume.MiB

// Config is what a file says. It is valid: no name is there twice, and the default
// backend is one of the backends.
type Config struct {
	DefaultBackend string
	Backends       []Backend // in the order of the file
}

// Backend is one named backend.
type Backend struct {
	Name string
	// Timeout and Concurrency are those of [backends.Options]; zero means its defaults.
	Timeout     time.Duration
	Concurrency int
	// MaxDepth is how many snapshots a clone may stand on, each of a clone of the next;
	// zero means any number. A deeper one is refused, or copied whole if AutoFlatten is set.
	MaxDepth    int
	AutoFlatten bool
	// RecordOnly says what becomes of a volume that the backend does not have any more;
	// empty means the default policy.
	RecordOnly volume.RecordOnly
	// BackendOnly says what becomes of a volume that only the backend has; empty means the
	// default policy.
	BackendOnly BackendOnly
	Settings    Settings
}

// BackendOnly says what a sweep does with an object that no record is of.
type BackendOnly string

// The policies.
const (
	BackendOnlyIgnore BackendOnly = "ignore" // it is told; the default
	BackendOnlyImport BackendOnly = "import" // it is adopted
)

// Settings are the keys of one driver: a *[Local], a *[Null] or a *[Ceph].
type Settings interface {
	// Driver is the name of the driver.
	Driver() string
	// Open returns a driver for the settings, or its error, which has a class.
	Open(ctx context.Context, o Options) (backends.Driver, error)

	// keys are those of the file; what they set is within the settings. Relative paths
	// are taken to be in dir.
	keys(dir string) []key
	// validate returns what is wrong with the values together.
	validate() error
	// place tells two backends apart: no two may have the same one, unless it is empty.
	place() string
}

// Options say what a driver cannot know from the file.
type Options struct {
	// Alone says that no other process works on the same volumes.
	Alone bool
	// Concurrency is the greatest number of calls at once.
	Concurrency int
}

// Open opens the driver, as one of a process that is alone with the volumes or not. The
// error names the backend.
func (b Backend) Open(ctx context.Context, alone bool) (backends.Driver, error) {
	driver, err := b.Settings.Open(ctx, Options{Alone: alone, Concurrency: b.Concurrency})
	if err != nil {
		return nil, fmt.Errorf("open backend %s: %w", b.Name, err)
	}
	return driver, nil
}

// Load reads a file. It returns the system's error if it cannot be read, and otherwise
// what [Parse] returns.
func Load(path string) (Config, error) {
	file, err := os.Open(path)
	if err != nil {
		return Config{}, fmt.Errorf("read configuration: %w", err)
	}
	defer func() { _ = file.Close() }() // it was only read
	data, err := io.ReadAll(io.LimitReader(file, int64(maxSize)+1))
	if err != nil {
		return Config{}, fmt.Errorf("read configuration: %w", err)
	}
	dir, err := filepath.Abs(filepath.Dir(path))
	if err != nil {
		return Config{}, fmt.Errorf("read configuration %s: %w", path, err)
	}
	return Parse(path, dir, data)
}

// Parse reads the text of a file that is called name in faults. Relative paths in it are
// taken to be in dir. It returns a *[FaultsError] with everything that is wrong.
func Parse(name, dir string, data []byte) (Config, error) {
	r := &reader{file: name}
	root := r.document(data)
	if root == nil {
		return Config{}, r.err()
	}
	c := r.config(root, dir)
	if err := r.err(); err != nil {
		return Config{}, err
	}
	return c, nil
}
