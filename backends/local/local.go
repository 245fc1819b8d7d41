package local

import (
	"context"
	"path/filepath"
	"runtime/debug"
	"strconv"
	"syscall"

	"github.com/jetvol/jetvol/backends"
	"github.com/jetvol/jetvol/volume"
)

// DriverName is what [Driver.Health] calls this driver.
const DriverName = "local"

// Options say where a driver keeps its volumes.
type Options struct {
	// Dir is the directory. It is created if its parent exists.
	Dir string
	// Journal, if set, is a file to which one line is appended after each change that
	// really happened; see [JournalEntry].
	Journal string
}

// Driver is a directory of volumes. It implements [backends.Driver],
// [backends.Resizer] and [backends.Lister]. All its errors carry a class:
// ResourceExhausted for a full disk, an exhausted quota or a size that the file system
// cannot hold; Unavailable for a directory that is missing, read-only or broken;
// FailedPrecondition for missing permission and for a planted symbolic link; Busy while
// another process changes the same object; Internal for damaged files, which it names.
type Driver struct {
	dir     *directory
	journal *journal // nil for none
}

var (
	_ backends.Driver  = (*Driver)(nil)
	_ backends.Resizer = (*Driver)(nil)
	_ backends.Lister  = (*Driver)(nil)
)

// Open returns a driver for the directory, having removed the temporary files that
// killed processes left there. It returns Unavailable if the directory and its parent
// are missing, and otherwise the errors told at [Driver].
func Open(opts Options) (*Driver, error) {
	if opts.Dir == "" {
		return nil, backends.Errorf(volume.InvalidArgument, "open local driver: no directory given")
	}
	dir, err := openDirectory(opts.Dir)
	if err != nil {
		return nil, err
	}
	d := &Driver{dir: dir}
	if err := d.removeTemporaryFiles(); err != nil {
		_ = dir.close() // the first error is the one to tell
		return nil, err
	}
	if opts.Journal == "" {
		return d, nil
	}
	if d.journal, err = openJournal(opts.Journal); err != nil {
		_ = dir.close() // the first error is the one to tell
		return nil, err
	}
	return d, nil
}

// Close releases the directory and the journal.
func (d *Driver) Close() error {
	err := d.dir.close()
	if d.journal == nil {
		return err
	}
	if journalErr := d.journal.close(); err == nil {
		err = journalErr
	}
	return err
}

// Health tells the directory and its free bytes. It returns Unavailable if the
// directory is gone, replaced by another, or read-only, and FailedPrecondition if this
// process may not write there.
func (d *Driver) Health(ctx context.Context) (backends.Health, error) {
	if err := d.ready(ctx); err != nil {
		return backends.Health{}, err
	}
	if err := syscall.Access(d.dir.path, accessWrite); err != nil {
		return backends.Health{}, d.dir.fault(err)
	}
	var fs syscall.Statfs_t
	if err := syscall.Statfs(d.dir.path, &fs); err != nil {
		return backends.Health{}, d.dir.fault(err)
	}
	return backends.Health{
		Driver:  DriverName,
		Version: version(),
		Facts: map[string]string{
			"directory":  d.dir.path,
			"free_bytes": strconv.FormatUint(fs.Bavail*uint64(fs.Bsize), 10), //nolint:gosec // a block size is positive
		},
	}, nil
}

// accessWrite is W_OK of access(2).
const accessWrite = 2

const modulePath = "github.com/jetvol/jetvol"

// version is that of the jetvol module in this program, "(devel)" in its own tree.
func version() string {
	info, known := debug.ReadBuildInfo()
	if !known {
		return "unknown"
	}
	for _, module := range info.Deps {
		if module.Path == modulePath {
			return module.Version
		}
	}
	if info.Main.Version == "" {
		return "(devel)"
	}
	return info.Main.Version
}

// ready returns ctx's error, or Unavailable if the directory is not there.
func (d *Driver) ready(ctx context.Context) error {
	if err := ctx.Err(); err != nil {
		return err
	}
	return d.dir.present()
}

// attachment is a, as told to callers: with the path of the image.
func (d *Driver) attachment(key volume.Key, a volume.Attachment) volume.Attachment {
	a.Connection = map[string]string{"path": filepath.Join(d.dir.path, imageName(key))}
	return a
}
