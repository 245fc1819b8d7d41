package local

import (
	"context"
	"errors"
	"io"
	"io/fs"
	"os"

	"golang.org/x/sys/unix"

	"github.com/jetvol/jetvol/backends"
	"github.com/jetvol/jetvol/volume"
)

// chunk is how much is copied between two looks at the context, in bytes.
const chunk = 4 << 20

// copyImage makes a file of that name, durably, which holds the first size bytes of from.
// What was there is replaced; after an error nothing is.
func (d *Driver) copyImage(ctx context.Context, name string, mode fs.FileMode, from *os.File, size volume.Bytes) error {
	// A new file, never the old one emptied: a clone may be reading that.
	if err := d.dir.discardImage(name); err != nil {
		return err
	}
	img, err := d.makeImage(name, mode)
	if err != nil {
		return err
	}
	defer img.close()
	err = d.fill(ctx, img, from, size)
	if err == nil {
		err = img.resize(size)
	}
	if err != nil {
		return errors.Join(err, d.dir.discard(name)) // it may have filled the disk
	}
	return d.dir.sync()
}

// fill gives an empty image the first size bytes of from, and perhaps more: its size is
// to be set afterwards.
func (d *Driver) fill(ctx context.Context, img *image, from *os.File, size volume.Bytes) error {
	if d.share != nil {
		d.dir.step()
		return d.dir.fault(d.share(img.file, from))
	}
	return d.copySparsely(ctx, img.file, from, int64(size))
}

// copySparsely copies the data of a file, and leaves a hole where it has one. It looks at
// the context between chunks: one that is cancelled ends the copying, but not one whose
// time is up, or a repeat, which begins anew, would never get further.
func (d *Driver) copySparsely(ctx context.Context, to, from *os.File, size int64) error {
	for offset := int64(0); offset < size; {
		begin, end, err := nextData(from, offset, size)
		if err != nil {
			return d.dir.fault(err)
		}
		if begin == end {
			return nil
		}
		d.copying()
		if ctx.Err() != nil && !errors.Is(context.Cause(ctx), context.DeadlineExceeded) {
			return ctx.Err()
		}
		d.dir.step()
		if err := copyRange(to, from, begin, end); err != nil {
			return d.dir.fault(err)
		}
		offset = end
		backends.ReportProgress(ctx, uint64(offset), uint64(size)) //nolint:gosec // neither is negative
	}
	return nil
}

// nextData returns the next piece of data at or after offset, at most one chunk; two equal
// offsets if none is left.
func nextData(f *os.File, offset, size int64) (begin, end int64, err error) {
	begin, err = f.Seek(offset, unix.SEEK_DATA)
	if errors.Is(err, unix.ENXIO) || err == nil && begin >= size {
		return size, size, nil
	}
	if err != nil {
		return 0, 0, err
	}
	end, err = f.Seek(begin, unix.SEEK_HOLE)
	return begin, min(end, begin+chunk, size), err
}

// copyRange copies a part of a file to the same place of another, within the kernel
// (copy_file_range(2), which the os package calls) where that is possible.
func copyRange(to, from *os.File, begin, end int64) error {
	for _, f := range []*os.File{from, to} {
		if _, err := f.Seek(begin, io.SeekStart); err != nil {
			return err
		}
	}
	_, err := io.CopyN(to, from, end-begin)
	if errors.Is(err, io.EOF) {
		return io.ErrUnexpectedEOF
	}
	return err
}
