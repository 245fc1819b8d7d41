package acceptance

import (
	"io/fs"
	"path/filepath"
	"strings"
	"sync"
	"testing"
)

// dependOnSources keeps `go test` from answering out of its cache after a change of what
// jetvol is built of: it counts the directories that a test has opened, with the sizes
// and times of their files, but cannot see what the build has read.
func dependOnSources(t testing.TB) {
	t.Helper()
	if err := openSourceDirectories(); err != nil {
		t.Fatal(err)
	}
}

var openSourceDirectories = sync.OnceValue(func() error {
	return filepath.WalkDir(root, func(path string, entry fs.DirEntry, err error) error {
		hidden := strings.HasPrefix(entry.Name(), ".") && path != root
		if err == nil && entry.IsDir() && (hidden || entry.Name() == "bin" || entry.Name() == dataDir) {
			return fs.SkipDir
		}
		return err
	})
})
