package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"

	"github.com/dustin/go-humanize"
	"golang.org/x/sys/unix"

	"github.com/jetvol/jetvol/backends"
	"github.com/jetvol/jetvol/backends/local"
	"github.com/jetvol/jetvol/doctor"
	"github.com/jetvol/jetvol/internal/config"
	"github.com/jetvol/jetvol/volume"
)

// examined returns the backends that the flags name, which is none without them.
func (f *doctorFlags) examined() ([]doctor.Backend, error) {
	var found config.Config
	switch {
	case f.dir != "":
		dir := filepath.Join(f.dir, volumesDir)
		found.Backends = []config.Backend{{Name: local.DriverName, Settings: &config.Local{Options: local.Options{Dir: dir}}}}
	case f.file != "":
		var err error
		if found, err = loadConfig(f.file); err != nil {
			return nil, err
		}
	}
	var examined []doctor.Backend
	for _, b := range found.Backends {
		examined = append(examined, doctor.Backend{Name: b.Name, Health: func(ctx context.Context) (string, error) {
			return examineBackend(ctx, b)
		}})
	}
	return examined, nil
}

// examineBackend asks a backend how it is. A directory is only looked at: to open it would
// remove the fences that a dead worker left.
func examineBackend(ctx context.Context, b config.Backend) (string, error) {
	if settings, ok := b.Settings.(*config.Local); ok {
		return examineDirectory(settings.Dir)
	}
	driver, err := b.Open(ctx, false)
	if err != nil {
		return "", err
	}
	backend := backends.New(b.Name, driver, backends.Options{Timeout: b.Timeout, Concurrency: b.Concurrency})
	health, err := backend.Health(ctx)
	return strings.TrimSpace(health.Driver + " " + health.Version), errors.Join(err, backend.Close())
}

func examineDirectory(dir string) (string, error) {
	info, err := os.Stat(dir)
	if err != nil {
		return "", err
	}
	if !info.IsDir() {
		return "", volume.Errorf(volume.ErrInvalidArgument, "%s: want a directory", dir)
	}
	if err := unix.Access(dir, unix.R_OK|unix.W_OK|unix.X_OK); err != nil {
		return "", fmt.Errorf("%s: %w", dir, err)
	}
	var disk unix.Statfs_t
	if err := unix.Statfs(dir, &disk); err != nil {
		return "", fmt.Errorf("%s: %w", dir, err)
	}
	free := disk.Bavail * uint64(disk.Bsize) //nolint:gosec // a block has a size
	return fmt.Sprintf("%s %s, %s free", local.DriverName, dir, humanize.IBytes(free)), nil
}
