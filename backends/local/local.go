package local

import (
	"context"
	"errors"
	"os"
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

// Driver is a directory of volumes. It implements [backends.Driver], [backends.Resizer],
// [backends.Lister], [backends.Fencer], [backends.Evictor], [backends.Snapshotter],
// [backends.Cloner] and [backends.UsageReporter]. All its errors carry a class:
// ResourceExhausted for a full disk, an exhausted quota or a size that the file system
// cannot hold; Unavailable for a directory that is missing, read-only or broken;
// FailedPrecondition for missing permission and for a planted symbolic link; Busy while
// another process changes the same object; Internal for damaged files, which it names.
type Driver struct {
	dir      *directory
	fences   *directory // within dir
	presence *os.File   // the lock file, with the byte of the open drivers locked
	journal  *journal   // nil for none

	// share gives a file the content of another by sharing its blocks; nil for a directory
	// that cannot.
	share   func(to, from *os.File) error
	sharing string // what Health tells of it
	// Tests act in these: before each chunk of a copy, and between the look for a snapshot
	// and the opening of its file.
	copying, meanwhile func()
}

var (
	_ backends.Driver  = (*Driver)(nil)
	_ backends.Resizer = (*Driver)(nil)
	_ backends.Lister  = (*Driver)(nil)
	_ backends.Fencer  = (*Driver)(nil)
	_ backends.Evictor = (*Driver)(nil)
	_ backends.Cloner  = (*Driver)(nil)

	_ backends.UsageReporter = (*Driver)(nil)
)

// Open returns a driver for the directory, having removed the temporary files that
// killed processes left there and, if no other driver has the directory open, in this
// process or another, all fences: open the driver before reading the records that it is
// to act on. It returns Unavailable if the directory and its parent are missing, and
// otherwise the errors told at [Driver].
func Open(opts Options) (*Driver, error) {
	if opts.Dir == "" {
		return nil, backends.Errorf(volume.InvalidArgument, "open local driver: no directory given")
	}
	d := &Driver{copying: func() {}, meanwhile: func() {}}
	if err := d.open(opts); err != nil {
		_ = d.Close() // the first error is the one to tell
		return nil, err
	}
	return d, nil
}

func (d *Driver) open(opts Options) (err error) {
	if d.dir, err = openDirectory(opts.Dir); err != nil {
		return err
	}
	if d.fences, err = openDirectory(filepath.Join(d.dir.path, FencesDir)); err != nil {
		return err
	}
	if info, err := d.dir.root.Lstat(FencesDir); err != nil {
		return d.dir.fault(err)
	} else if !info.IsDir() {
		return d.dir.refused(FencesDir, info.Mode())
	}
	if err := d.fences.touch(lockName); err != nil {
		return err
	}
	if err := d.arrive(); err != nil {
		return err
	}
	for _, dir := range []*directory{d.dir, d.fences} {
		if err := d.removeTemporaryFiles(dir); err != nil {
			return err
		}
	}
	d.share, d.sharing = d.dir.probe(shareBlocks)
	if opts.Journal != "" {
		d.journal, err = openJournal(opts.Journal)
	}
	return err
}

// Close releases the directory and the journal.
func (d *Driver) Close() error {
	var errs []error
	if d.journal != nil {
		errs = append(errs, d.journal.close())
	}
	if d.presence != nil {
		errs = append(errs, d.presence.Close())
	}
	for _, dir := range []*directory{d.fences, d.dir} {
		if dir != nil {
			errs = append(errs, dir.close())
		}
	}
	return errors.Join(errs...)
}

// Health tells the directory, its free bytes, and whether snapshots and clones share blocks
// or are copies, as it was when the driver was opened. It returns Unavailable if the
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
			"snapshots":  d.sharing,
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
