package local

import (
	"context"
	"errors"
	"io/fs"
	"syscall"

	"github.com/jetvol/jetvol/backends"
	"github.com/jetvol/jetvol/volume"
)

// blockSize is the unit of st_blocks in stat(2), whatever the file system's own is.
const blockSize = 512

// Usage adds up the blocks of the image and of the snapshots' files. What these share by
// FICLONE, with each other or with the source of a clone, is counted for each of them: then
// Used is more than the disk really has to give; see [backends.UsageReporter].
func (d *Driver) Usage(ctx context.Context, ref backends.Ref) (backends.Usage, error) {
	if err := d.readyFor(ctx, ref); err != nil {
		return backends.Usage{}, err
	}
	found, err := d.own(ref)
	if err != nil {
		return backends.Usage{}, err
	}
	names := []string{imageName(ref.Key), restoredName(ref.Key)}
	for _, made := range found.Snapshots {
		names = append(names, snapshotName(ref.Key, made.Name))
	}
	usage := backends.Usage{Provisioned: found.Size}
	for _, name := range names {
		used, err := d.dir.used(name)
		if err != nil {
			return backends.Usage{}, err
		}
		usage.Used += used
	}
	return usage, nil
}

// used is the space that a file takes, none for one that is missing.
func (d *directory) used(name string) (volume.Bytes, error) {
	info, err := d.lstat(name)
	if errors.Is(err, fs.ErrNotExist) {
		return 0, nil
	}
	if err != nil {
		return 0, err
	}
	return volume.Bytes(info.Sys().(*syscall.Stat_t).Blocks) * blockSize, nil
}
