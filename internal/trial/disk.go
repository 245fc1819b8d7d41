package trial

import (
	"context"
	"errors"
	"fmt"
	"os"
	"strings"

	"github.com/jetvol/jetvol/backends"
	"github.com/jetvol/jetvol/backends/local"
	"github.com/jetvol/jetvol/fsm"
	"github.com/jetvol/jetvol/internal/verify"
	"github.com/jetvol/jetvol/volume"
)

// Names of the local backend's files: `<project>.<name>` and one of these.
const (
	imageSuffix   = ".img"
	sidecarSuffix = ".json"
)

// readDisk collects what stopped workers have left in a directory of the local backend
// and in its journal.
func readDisk(ctx context.Context, dir, journal string, e *verify.Evidence) error {
	var err error
	// The file system first: opening the driver removes temporary files.
	if e.Files, err = readFiles(dir); err != nil {
		return err
	}
	if e.Objects, err = readObjects(ctx, dir); err != nil {
		return err
	}
	entries, err := local.ReadJournal(journal)
	for _, entry := range entries {
		e.Effects = append(e.Effects, verify.Effect{
			Time: entry.Time, Change: fsm.Action(entry.Change), ID: entry.ID, Size: entry.Size, Node: entry.Node,
		})
	}
	return err
}

func readObjects(ctx context.Context, dir string) (objects []backends.Object, err error) {
	driver, err := local.Open(local.Options{Dir: dir})
	if err != nil {
		return nil, err
	}
	defer func() { err = errors.Join(err, driver.Close()) }()
	err = driver.List(ctx, func(object backends.Object) bool {
		objects = append(objects, object)
		return true
	})
	return objects, err
}

// readFiles returns the sizes of all images, and the names of all files that are
// neither an image nor the sidecar of one, nor the driver's own.
func readFiles(dir string) (verify.Files, error) {
	files := verify.Files{Data: map[volume.Key]volume.Bytes{}}
	entries, err := os.ReadDir(dir)
	if err != nil {
		return files, fmt.Errorf("read backend directory: %w", err)
	}
	var others []string
	for _, entry := range entries {
		key, isImage := keyOf(entry.Name(), imageSuffix)
		if entry.Name() == local.FencesDir {
			continue
		}
		if !isImage {
			others = append(others, entry.Name())
			continue
		}
		info, err := entry.Info()
		if err != nil {
			return files, fmt.Errorf("read backend directory: %w", err)
		}
		files.Data[key] = volume.Bytes(info.Size())
	}
	for _, name := range others {
		key, isSidecar := keyOf(name, sidecarSuffix)
		if _, exists := files.Data[key]; !isSidecar || !exists {
			files.Stray = append(files.Stray, name)
		}
	}
	return files, nil
}

func keyOf(name, suffix string) (volume.Key, bool) {
	base, has := strings.CutSuffix(name, suffix)
	if !has {
		return volume.Key{}, false
	}
	key, err := volume.ParseKey(base)
	return key, err == nil
}
