package bench

import "golang.org/x/sys/unix"

// inMemory reports whether a directory lies on a file system that has no disk.
func inMemory(dir string) bool {
	var fs unix.Statfs_t
	return unix.Statfs(dir, &fs) == nil && fs.Type == unix.TMPFS_MAGIC
}
