package trial

import (
	"context"
	"errors"
	"fmt"
	"os"
	"strings"

	"github.com/jetvol/jetvol/backends/local"
	"github.com/jetvol/jetvol/fsm"
	"github.com/jetvol/jetvol/internal/verify"
	"github.com/jetvol/jetvol/volume"
)

// Names of the local backend's files: `<project>.<name>` and one of these.
const (
	imageSuffix    = ".img"
	restoredSuffix = ".restored.img"
	sidecarSuffix  = ".json"
)

// readDisk collects what stopped workers have left in a directory of the local backend
// and in its journal.
func readDisk(ctx context.Context, dir, journal string, e *verify.Evidence) error {
	var err error
	// The file system first: opening the driver removes temporary files.
	if e.Files, err = readFiles(dir); err != nil {
		return err
	}
	if err := readVolumes(ctx, dir, e); err != nil {
		return err
	}
	entries, err := local.ReadJournal(journal)
	for _, entry := range entries {
		effect := verify.Effect{
			Time: entry.Time, Change: fsm.Action(entry.Change), ID: entry.ID, Size: entry.Size, Node: entry.Node, Snapshot: entry.Snapshot,
		}
		if entry.Source != "" {
			if effect.Source, err = sourceOf(entry.Source); err != nil {
				return err
			}
		}
		e.Effects = append(e.Effects, effect)
	}
	return err
}

// sourceOf reads `<project>.<volume>@<snapshot>`.
func sourceOf(text string) (volume.SnapshotKey, error) {
	_, source, _ := strings.Cut(text, ".")
	return volume.ParseSnapshotKey(source)
}

func readVolumes(ctx context.Context, dir string, e *verify.Evidence) (err error) {
	driver, err := local.Open(local.Options{Dir: dir})
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, driver.Close()) }()
	return listVolumes(ctx, driver, e)
}

// readFiles returns the sizes of all images, those of snapshots apart, and the names of
// all files that are neither an image nor the sidecar of one, nor the driver's own.
func readFiles(dir string) (verify.Files, error) {
	files := verify.Files{
		Data: map[volume.Key]volume.Bytes{}, Snapshots: map[volume.Key]map[volume.SnapshotName]volume.Bytes{},
		Restored: map[volume.Key]volume.Bytes{}, Released: map[volume.Image]volume.Bytes{},
	}
	entries, err := os.ReadDir(dir)
	if err != nil {
		return files, fmt.Errorf("read backend directory: %w", err)
	}
	var others []string
	for _, entry := range entries {
		key, snapshot, isImage := imageOf(entry.Name())
		restored, isRestored := keyOf(entry.Name(), restoredSuffix)
		if entry.Name() == local.FencesDir {
			continue
		}
		isReleased := strings.HasPrefix(entry.Name(), volume.ReleasedPrefix)
		if !isImage && !isRestored && !isReleased {
			others = append(others, entry.Name())
			continue
		}
		info, err := entry.Info()
		if err != nil {
			return files, fmt.Errorf("read backend directory: %w", err)
		}
		if isReleased {
			files.Released[volume.Image(entry.Name())] = volume.Bytes(info.Size())
			continue
		}
		if isRestored {
			files.Restored[restored] = volume.Bytes(info.Size())
			continue
		}
		addImage(files, key, snapshot, volume.Bytes(info.Size()))
	}
	for _, name := range others {
		key, isSidecar := keyOf(name, sidecarSuffix)
		if _, exists := files.Data[key]; !isSidecar || !exists {
			files.Stray = append(files.Stray, name)
		}
	}
	return files, nil
}

// imageOf reads the name of an image: that of a volume, or of a snapshot of one.
func imageOf(name string) (volume.Key, volume.SnapshotName, bool) {
	if key, isImage := keyOf(name, imageSuffix); isImage {
		return key, "", true
	}
	of, snapshot, _ := strings.Cut(strings.TrimSuffix(name, imageSuffix), "@")
	key, err := volume.ParseKey(of)
	isImage := strings.HasSuffix(name, imageSuffix) && err == nil && volume.SnapshotName(snapshot).Validate() == nil
	return key, volume.SnapshotName(snapshot), isImage
}

// addImage notes the size of an image.
func addImage(files verify.Files, key volume.Key, snapshot volume.SnapshotName, size volume.Bytes) {
	if snapshot == "" {
		files.Data[key] = size
		return
	}
	if files.Snapshots[key] == nil {
		files.Snapshots[key] = map[volume.SnapshotName]volume.Bytes{}
	}
	files.Snapshots[key][snapshot] = size
}

func keyOf(name, suffix string) (volume.Key, bool) {
	base, has := strings.CutSuffix(name, suffix)
	if !has {
		return volume.Key{}, false
	}
	key, err := volume.ParseKey(base)
	return key, err == nil
}
