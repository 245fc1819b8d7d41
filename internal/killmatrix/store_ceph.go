package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"sync/atomic"
	"time"

	"github.com/jetvol/jetvol/backends"
	"github.com/jetvol/jetvol/backends/ceph"
	"github.com/jetvol/jetvol/internal/cephproc"
	"github.com/jetvol/jetvol/internal/verify"
	"github.com/jetvol/jetvol/volume"
)

// cephTags are those that a build with the driver needs.
const cephTags = "ceph,pacific"

// cephDown bounds the end of the cluster.
const cephDown = time.Minute

// cephStore is a cluster of the run's own. Every trial has a namespace, so that a fence
// asks the workers of one trial only.
type cephStore struct {
	cluster *cephproc.Cluster
	rooms   atomic.Int64
	closed  bool
}

func startCeph(ctx context.Context, base string) (*cephStore, error) {
	cluster, err := cephproc.Up(ctx, filepath.Join(base, "ceph"))
	if err != nil {
		return nil, fmt.Errorf("start ceph: %w", err)
	}
	return &cephStore{cluster: cluster}, nil
}

func (s *cephStore) building() (environment, flags []string) {
	return []string{"CGO_ENABLED=1"}, []string{"-tags", cephTags}
}

func (s *cephStore) close() error {
	if s.closed {
		return nil
	}
	s.closed = true
	ctx, cancel := context.WithTimeout(context.Background(), cephDown)
	defer cancel()
	return cephproc.Down(ctx, s.cluster.Dir())
}

// The configuration of a trial's workers, in which the backend has a name of its own.
const cephConfig = `backends:
  rbd:
    driver: ceph
    conf: %s
    user: %s
    keyring: %s
    pool: %s
    namespace: %s
`

func (s *cephStore) room(ctx context.Context, dir string) (room, error) {
	r := &cephRoom{cluster: s.cluster, dir: dir, namespace: fmt.Sprintf("trial-%d", s.rooms.Add(1))}
	if _, err := s.cluster.RBD(ctx, "namespace", "create", r.spec()); err != nil {
		return nil, err
	}
	c := r.config()
	text := fmt.Sprintf(cephConfig, c.Conf, c.User, c.Keyring, c.Pool, c.Namespace)
	return r, os.WriteFile(r.configFile(), []byte(text), 0o600)
}

// cephRoom is a namespace.
type cephRoom struct {
	cluster        *cephproc.Cluster
	dir, namespace string
}

func (r *cephRoom) config() ceph.Config {
	return ceph.Config{
		Conf: r.cluster.Conf(), User: cephproc.Volumes, Keyring: r.cluster.Keyring(cephproc.Volumes),
		Pool: cephproc.Pool, Namespace: r.namespace,
	}
}

func (r *cephRoom) spec() string       { return cephproc.Pool + "/" + r.namespace }
func (r *cephRoom) configFile() string { return filepath.Join(r.dir, "jetvol.yaml") }
func (r *cephRoom) held() string       { return filepath.Join(r.dir, "held") }
func (r *cephRoom) flags() []string    { return []string{"--config", r.configFile()} }

// heldPlace is a failpoint of package backends.
const heldPlace = "backendHeld"

// failpoints has the one by which a file makes the backend busy: nothing outside of a
// worker makes RBD refuse every kind of change at once, and can be asked nevertheless.
func (r *cephRoom) failpoints() []string {
	return []string{fmt.Sprintf("%s=return(%q)", heldPlace, r.held())}
}

func (r *cephRoom) hold() (release func(), err error) {
	if err := os.WriteFile(r.held(), nil, 0o600); err != nil {
		return nil, err
	}
	return func() { _ = os.Remove(r.held()) }, nil // it may have been removed before
}

// read has two witnesses: the driver's list, and Ceph's own tools, which also show every
// object that belongs to no image.
func (r *cephRoom) read(ctx context.Context, e *verify.Evidence) error {
	e.NoJournal = true
	var err error
	if e.Files, err = r.images(ctx); err != nil {
		return err
	}
	e.Objects, err = r.objects(ctx)
	return err
}

func (r *cephRoom) objects(ctx context.Context) (objects []backends.Object, err error) {
	driver, err := ceph.Open(ctx, r.config())
	if err != nil {
		return nil, err
	}
	defer func() { err = errors.Join(err, driver.Close()) }()
	lister, able := driver.(backends.Lister)
	if !able {
		return nil, fmt.Errorf("driver %s cannot list", ceph.DriverName)
	}
	err = lister.List(ctx, func(object backends.Object) bool {
		objects = append(objects, object)
		return true
	})
	return objects, err
}

// images returns the sizes of all images, and the names of all objects that are neither
// part of an image, nor the driver's or the namespace's own.
func (r *cephRoom) images(ctx context.Context) (verify.Files, error) {
	files := verify.Files{Data: map[volume.Key]volume.Bytes{}}
	output, err := r.cluster.RBD(ctx, "ls", "--long", "--format", "json", r.spec())
	if err != nil {
		return files, err
	}
	var images []struct {
		Image string       `json:"image"`
		ID    string       `json:"id"`
		Size  volume.Bytes `json:"size"`
	}
	if err := json.Unmarshal(output, &images); err != nil {
		return files, fmt.Errorf("rbd ls: %w", err)
	}
	// What is in the trash has a header, which no image in the list owns.
	parts := map[string]bool{"rbd_directory": true, "rbd_info": true, "rbd_trash": true, "jetvol.workers": true}
	for _, image := range images {
		for _, part := range []string{"rbd_id." + image.Image, "rbd_header." + image.ID, "rbd_object_map." + image.ID} {
			parts[part] = true
		}
		key, err := volume.ParseKey(strings.TrimPrefix(image.Image, "jetvol."))
		if err != nil {
			files.Stray = append(files.Stray, "image "+image.Image)
			continue
		}
		files.Data[key] = image.Size
	}
	output, err = r.cluster.Rados(ctx, "--pool", cephproc.Pool, "--namespace", r.namespace, "ls")
	for name := range strings.Lines(string(output)) {
		name = strings.TrimSuffix(name, "\n")
		if !parts[name] && !strings.HasPrefix(name, "jetvol.fences.") {
			files.Stray = append(files.Stray, "object "+name)
		}
	}
	return files, err
}
