package local

import (
	"bytes"
	"errors"
	"io"
	"os"

	"golang.org/x/sys/unix"
)

// What Health tells of snapshots and clones.
const (
	sharingBlocks = "copy-on-write by FICLONE"
	sharingNone   = "sparse copies: as slow and large as the data, and of no one moment while a node writes"
)

// shareBlocks gives an empty file the content of another, whose blocks both then share
// until one of them writes (ioctl_ficlone(2)): all of one moment, in a time that does not
// depend on the size.
func shareBlocks(to, from *os.File) error {
	return os.NewSyscallError("FICLONE", unix.IoctlFileClone(int(to.Fd()), int(from.Fd())))
}

// probe returns share if files of the directory can share blocks that way, or nil, and what
// to tell of it. Whatever else goes wrong also means copies, which are slower and right.
func (d *directory) probe(share func(to, from *os.File) error) (chosen func(to, from *os.File) error, told string) {
	if err := d.tryToShare(share); err != nil {
		return nil, sharingNone + " (" + err.Error() + ")"
	}
	return share, sharingBlocks
}

// tryToShare shares a block between two files without a name.
func (d *directory) tryToShare(share func(to, from *os.File) error) (err error) {
	var files [2]*os.File
	for i := range files {
		if files[i], err = d.anonymous(); err != nil {
			return err
		}
		defer files[i].Close() //nolint:errcheck,gocritic // what was written is not wanted
	}
	want := bytes.Repeat([]byte("jetvol\n"), 4096)
	if _, err := files[0].Write(want); err != nil {
		return err
	}
	if err := share(files[1], files[0]); err != nil {
		return err
	}
	got, err := io.ReadAll(io.NewSectionReader(files[1], 0, int64(len(want))))
	if err == nil && !bytes.Equal(got, want) {
		err = errors.New("FICLONE: other content than that of the source")
	}
	return err
}

// anonymous opens a new file that has no name and goes with its process.
func (d *directory) anonymous() (*os.File, error) {
	return d.root.OpenFile(".", os.O_RDWR|unix.O_TMPFILE, fileMode)
}
