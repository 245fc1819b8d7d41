//go:build ceph

package ceph

import (
	"errors"
	"strings"
	"testing"

	"github.com/ceph/go-ceph/rados"

	"github.com/jetvol/jetvol/backends"
	"github.com/jetvol/jetvol/internal/cephtest"
	"github.com/jetvol/jetvol/volume"
)

// halves are what a create or a delete leaves that was killed at any point, each made out
// of a whole image by taking away what is not there yet, or any more.
var halves = map[string]func(c *conn, name, id string) error{
	"mark missing": func(c *conn, _, id string) error { return c.unmark(id) },
	"object map and mark missing": func(c *conn, _, id string) error {
		return errors.Join(c.unmark(id), c.io.Delete(objectMapObject+id))
	},
	"header missing": func(c *conn, _, id string) error {
		return errors.Join(c.io.Delete(headerObject+id), c.io.Delete(objectMapObject+id))
	},
	"all but the directory's entry missing": func(c *conn, name, id string) error {
		return errors.Join(c.io.Delete(headerObject+id), c.io.Delete(objectMapObject+id), c.io.Delete(idObject+name))
	},
	"directory's entry and mark missing": func(c *conn, name, id string) error {
		return errors.Join(c.unmark(id), c.io.RmOmapKeys(directoryObject, []string{namePrefix + name, "id_" + id}))
	},
}

// unmark takes the mark away.
func (c *conn) unmark(id string) error {
	var keys []string
	for _, key := range []string{idKey, projectKey, volumeKey, generationKey, schemaKey} {
		keys = append(keys, metadataPrefix+key)
	}
	return c.io.RmOmapKeys(headerObject+id, keys)
}

func TestHalfImage_AnyKind_IsHealed(t *testing.T) {
	t.Parallel()
	for kind, halve := range halves {
		t.Run(kind, func(t *testing.T) {
			cluster, cfg := cephtest.Start(t), inNamespace(t)
			d := open(t, cfg)
			for name, heal := range map[volume.Name]func(ref backends.Ref) error{
				"same":  func(ref backends.Ref) error { return d.Create(t.Context(), ref, small) },
				"other": func(ref backends.Ref) error { return d.Create(t.Context(), ref, 2*small) },
				"gone":  func(ref backends.Ref) error { return d.Delete(t.Context(), ref) },
			} {
				ref := created(t, d, name)
				withConn(t, d, func(c *conn) error {
					id, err := c.named(imageName(ref.Key))
					if err != nil {
						return err
					}
					return halve(c, imageName(ref.Key), id)
				})
				_, err := d.Get(t.Context(), ref.Key)
				refused(t, err, "get of half an image", volume.NotFound)
				ok(t, heal(ref), "heal by "+string(name))
				if name != "gone" {
					found, err := d.Get(t.Context(), ref.Key)
					if ok(t, err, "get after healing"); found.ID != ref.ID {
						t.Errorf("get after healing: got %+v, want the image of %s", found, ref.ID)
					}
					wantWhole(t, cluster, cfg, ref)
					ok(t, d.Delete(t.Context(), ref), "delete")
				}
			}
			wantNothing(t, cluster, cfg, d)
		})
	}
}

// TestHalfImage_OtherConfigurations_IsHealed: what a configuration adds to an image does not
// make it look like a stranger's.
func TestHalfImage_OtherConfigurations_IsHealed(t *testing.T) {
	t.Parallel()
	cluster := cephtest.Start(t)
	for name, set := range map[string]func(*Config){
		"data pool":  func(c *Config) { c.DataPool = cluster.NewPool(t) },
		"journaling": func(c *Config) { c.Features = []string{"journaling"} },
	} {
		t.Run(name, func(t *testing.T) {
			cfg := inNamespace(t)
			cfg.User, cfg.Keyring = cephtest.Admin, cluster.Keyring(cephtest.Admin)
			set(&cfg)
			d := open(t, cfg)
			ref := created(t, d, "a")
			withConn(t, d, func(c *conn) error {
				id, err := c.named(imageName(ref.Key))
				return errors.Join(err, c.unmark(id))
			})
			ok(t, d.Create(t.Context(), ref, small), "create again")
			n1 := openOn(t, attached(t, d, ref, "n1", volume.ReadWrite))
			n1.writes(t)
			n1.does(t, "quit", "")
			soon(t, "detach", func() error { return d.Detach(t.Context(), ref, "n1") })
			ok(t, d.Delete(t.Context(), ref), "delete")
			wantNothing(t, cluster, cfg, d)
		})
	}
}

// wantWhole wants the image to be one that librbd finds no fault in.
func wantWhole(t *testing.T, cluster *cephtest.Cluster, cfg Config, ref backends.Ref) {
	t.Helper()
	spec := strings.Join([]string{cfg.Pool, cfg.Namespace, imageName(ref.Key)}, "/")
	if info := cluster.RBD(t, "info", spec); strings.Contains(info, "invalid") {
		t.Errorf("rbd info: got %s, want nothing invalid", info)
	}
	if listed := cluster.RBD(t, "image-meta", "list", spec); !strings.Contains(listed, string(ref.ID)) {
		t.Errorf("rbd image-meta list: got %s, want %s in it", listed, ref.ID)
	}
}

// wantNothing wants no image to be there, nor any part of one, nor anything in the trash.
func wantNothing(t *testing.T, cluster *cephtest.Cluster, cfg Config, d *driver) {
	t.Helper()
	wantImages(t, cluster, cfg)
	if trash := cluster.RBD(t, "trash", "list", "--all", cfg.Pool+"/"+cfg.Namespace); trash != "" {
		t.Errorf("trash: got %q, want it empty", trash)
	}
	withConn(t, d, func(c *conn) error {
		objects, err := objectsOf(c.io)
		if len(objects) > 0 {
			t.Errorf("parts of images: got %q, want none", objects)
		}
		return err
	})
}

// objectsOf lists what belongs to images.
func objectsOf(io *rados.IOContext) (objects []string, err error) {
	iter, err := io.Iter()
	if err != nil {
		return nil, err
	}
	defer iter.Close()
	for iter.Next() {
		for _, prefix := range []string{idObject, headerObject, objectMapObject, "rbd_data."} {
			if strings.HasPrefix(iter.Value(), prefix) {
				objects = append(objects, iter.Value())
			}
		}
	}
	return objects, iter.Err()
}

func TestForeignImage_UnderOurName_IsLeftAlone(t *testing.T) {
	t.Parallel()
	cluster, cfg := cephtest.Start(t), inNamespace(t)
	d := open(t, cfg)
	pool := cfg.Pool + "/" + cfg.Namespace + "/"
	features := strings.Join(alwaysFeatures, ",")
	strangers := map[volume.Name]func(image string){
		"other-features": func(image string) { cluster.RBD(t, "create", "--size", "64M", "--image-feature", "layering", image) },
		"with-data": func(image string) {
			cluster.RBD(t, "create", "--size", "64M", "--image-feature", features, image)
			cluster.RBD(t, "bench", "--io-type", "write", "--io-total", "4M", image)
		},
		"with-snapshot": func(image string) {
			cluster.RBD(t, "create", "--size", "64M", "--image-feature", features, image)
			cluster.RBD(t, "snap", "create", image+"@s")
		},
		"marked-for-another": func(image string) {
			cluster.RBD(t, "create", "--size", "64M", "--image-feature", features, image)
			cluster.RBD(t, "image-meta", "set", image, idKey, "test.another.1")
			cluster.RBD(t, "image-meta", "set", image, schemaKey, markSchema)
		},
		"marked-by-a-later-version": func(image string) {
			cluster.RBD(t, "create", "--size", "64M", "--image-feature", features, image)
			cluster.RBD(t, "image-meta", "set", image, idKey, "test.marked-by-a-later-version.1")
			cluster.RBD(t, "image-meta", "set", image, schemaKey, "2")
		},
	}
	cluster.RBD(t, "create", "--size", "64M", pool+"not-our-name")
	for name, make := range strangers {
		t.Run(string(name), func(t *testing.T) {
			ref := refOf(name)
			image := pool + imageName(ref.Key)
			make(image)
			before := cluster.RBD(t, "info", image)
			refused(t, d.Create(t.Context(), ref, small), "create", volume.AlreadyExists)
			_, err := d.Get(t.Context(), ref.Key)
			refused(t, err, "get", volume.FailedPrecondition)
			_, err = d.Attach(t.Context(), ref, "n1", volume.ReadWrite)
			refused(t, err, "attach", volume.FailedPrecondition)
			refused(t, d.Resize(t.Context(), ref, 2*small), "resize", volume.FailedPrecondition)
			if err := d.Delete(t.Context(), ref); err != nil {
				refused(t, err, "delete", volume.FailedPrecondition)
			}
			if after := cluster.RBD(t, "info", image); after != before {
				t.Errorf("rbd info: got %s, want it as before: %s", after, before)
			}
		})
	}
	ok(t, d.List(t.Context(), func(o backends.Object) bool {
		t.Errorf("list: got %+v, want no stranger's", o)
		return true
	}), "list")
}

func TestDelete_InterruptedInTheTrash_IsFinished(t *testing.T) {
	t.Parallel()
	cluster, cfg := cephtest.Start(t), inNamespace(t)
	d := open(t, cfg)
	ref := created(t, d, "a")
	// librbd moves an image to the trash before it removes it, and a client that has it
	// open keeps it there.
	spec := strings.Join([]string{cfg.Pool, cfg.Namespace, imageName(ref.Key)}, "/")
	id := strings.Fields(cluster.RBD(t, "trash", "mv", spec) + cluster.RBD(t, "trash", "list", "--all", cfg.Pool+"/"+cfg.Namespace))[0]
	withConn(t, d, func(c *conn) error {
		entry, err := c.omap(trashObject, "id_"+id)
		if err != nil {
			return err
		}
		value := entry["id_"+id]
		value[6] = beingRemoved // behind the structure's beginning
		return c.io.SetOmap(trashObject, map[string][]byte{"id_" + id: value})
	})
	_, err := d.Get(t.Context(), ref.Key)
	refused(t, err, "get of an image in the trash", volume.NotFound)
	ok(t, d.Create(t.Context(), ref, small), "create beside the trash")
	ok(t, d.Delete(t.Context(), ref), "delete")
	wantNothing(t, cluster, cfg, d)
}
