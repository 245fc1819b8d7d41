package trial

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"

	"github.com/jetvol/jetvol/backends/ceph"
	"github.com/jetvol/jetvol/internal/cephproc"
	"github.com/jetvol/jetvol/internal/verify"
	"github.com/jetvol/jetvol/volume"
)

// CephTags are those that a build with the driver for Ceph needs.
const CephTags = "ceph,pacific,ceph_preview"

// Namespace is a namespace of a pool of a Ceph cluster. A fence asks the processes of one
// namespace only, so trials with one each do not wait for each other's dead.
type Namespace struct {
	cluster *cephproc.Cluster
	name    string
	file    string // the configuration of the processes
}

// namespaceConfig is the configuration of one backend.
const namespaceConfig = `backends:
  rbd:
    driver: ceph
    conf: %s
    user: %s
    keyring: %s
    pool: %s
    namespace: %s
`

// NewNamespace makes the namespace and a configuration file for it in dir.
func NewNamespace(ctx context.Context, cluster *cephproc.Cluster, name, dir string) (*Namespace, error) {
	n := &Namespace{cluster: cluster, name: name, file: filepath.Join(dir, "jetvol.yaml")}
	if _, err := cluster.RBD(ctx, "namespace", "create", n.Spec()); err != nil {
		return nil, err
	}
	c := n.Config()
	text := fmt.Sprintf(namespaceConfig, c.Conf, c.User, c.Keyring, c.Pool, c.Namespace)
	return n, os.WriteFile(n.file, []byte(text), 0o600)
}

// Spec is pool/namespace.
func (n *Namespace) Spec() string { return cephproc.Pool + "/" + n.name }

// Config is how the driver reaches it.
func (n *Namespace) Config() ceph.Config {
	return ceph.Config{
		Conf: n.cluster.Conf(), User: cephproc.Volumes, Keyring: n.cluster.Keyring(cephproc.Volumes),
		Pool: cephproc.Pool, Namespace: n.name,
	}
}

// Flags names the configuration file.
func (n *Namespace) Flags() []string { return []string{"--config", n.file} }

// Read has two witnesses: the driver's list, and Ceph's own tools, which also show every
// object that belongs to no image. There is no journal.
func (n *Namespace) Read(ctx context.Context, e *verify.Evidence) error {
	e.NoJournal = true
	var err error
	if e.Files, err = n.images(ctx); err != nil {
		return err
	}
	return n.volumes(ctx, e)
}

func (n *Namespace) volumes(ctx context.Context, e *verify.Evidence) (err error) {
	driver, err := ceph.Open(ctx, n.Config())
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, driver.Close()) }()
	return listVolumes(ctx, driver, e)
}

// image is one of the list of `rbd ls --long`: an image, or with Snapshot one of those of
// an image.
type image struct {
	Name     string       `json:"image"`
	ID       string       `json:"id"`
	Size     volume.Bytes `json:"size"`
	Snapshot string       `json:"snapshot"`
	Parent   struct {
		Image    string `json:"image"`
		Snapshot string `json:"snapshot"`
	} `json:"parent"`
}

// images returns the sizes of all images and of their snapshots, what they share content
// with, and the names of all images that are not ours and of all objects that are of no
// image.
func (n *Namespace) images(ctx context.Context) (verify.Files, error) {
	files := verify.Files{
		Data: map[volume.Key]volume.Bytes{}, Snapshots: map[volume.Key]map[volume.SnapshotName]volume.Bytes{},
		Parents: map[volume.Key]volume.SnapshotKey{}, Released: map[volume.Image]volume.Bytes{},
	}
	output, err := n.cluster.RBD(ctx, "ls", "--long", "--format", "json", n.Spec())
	if err != nil {
		return files, err
	}
	var images []image
	if err := json.Unmarshal(output, &images); err != nil {
		return files, fmt.Errorf("rbd ls: %w", err)
	}
	for _, image := range images {
		if strings.HasPrefix(image.Name, volume.ReleasedPrefix) {
			files.Released[volume.Image(image.Name)] = image.Size
			continue
		}
		key, err := volumeOf(image.Name)
		if err != nil {
			files.Stray = append(files.Stray, "image "+image.Name)
			continue
		}
		addImage(files, key, volume.SnapshotName(image.Snapshot), image.Size)
		if parent, err := volumeOf(image.Parent.Image); err == nil && image.Snapshot == "" {
			files.Parents[key] = volume.SnapshotKey{Volume: parent.Name, Snapshot: volume.SnapshotName(image.Parent.Snapshot)}
		}
	}
	output, err = n.cluster.Rados(ctx, "--pool", cephproc.Pool, "--namespace", n.name, "ls")
	files.Stray = append(files.Stray, strays(string(output), images)...)
	return files, err
}

// volumeOf returns the volume that an image is of.
func volumeOf(image string) (volume.Key, error) {
	return volume.ParseKey(strings.TrimPrefix(image, "jetvol."))
}

// objectMap begins the names of the objects that say which parts of an image are in use.
// Those of its snapshots have a number behind the image's ID.
const objectMap = "rbd_object_map."

// strays returns those of the objects that are neither parts of the images, nor the
// namespace's or the driver's own. What is in the trash is part of no image.
func strays(objects string, images []image) []string {
	known := map[string]bool{"rbd_directory": true, "rbd_info": true, "rbd_trash": true, "rbd_children": true, "jetvol.workers": true}
	snapshots := map[string]int{} // by the ID of their image
	for _, image := range images {
		if image.Snapshot != "" {
			snapshots[image.ID]++
			continue
		}
		for _, part := range []string{"rbd_id." + image.Name, "rbd_header." + image.ID, objectMap + image.ID} {
			known[part] = true
		}
	}
	var found []string
	for object := range strings.Lines(objects) {
		object = strings.TrimSuffix(object, "\n")
		if id, _, isSnapshot := strings.Cut(strings.TrimPrefix(object, objectMap), "."); isSnapshot && snapshots[id] > 0 {
			snapshots[id]--
			continue
		}
		if !known[object] && !strings.HasPrefix(object, "jetvol.fences.") {
			found = append(found, "object "+object)
		}
	}
	return found
}
