//go:build ceph

package ceph

import (
	"crypto/sha256"
	"encoding/binary"
	"encoding/hex"
	"errors"

	"github.com/ceph/go-ceph/rados"

	"github.com/jetvol/jetvol/backends"
	"github.com/jetvol/jetvol/volume"
)

// The objects of an RBD image of format 2, which rbd_types.h of Ceph defines and every
// version since 2012 reads and writes. Opening an image by librbd costs about ten
// operations and a watch; what this driver has to know is in two objects.
const (
	// directoryObject has an omap with name_<name> → id of every image, an RBD string.
	// librbd enters an image there first, and takes it out last.
	directoryObject = "rbd_directory"
	// namePrefix begins the keys in directoryObject.
	namePrefix = "name_"
	// idObject plus the name is an object that holds the image's id, an RBD string.
	idObject = "rbd_id."
	// headerObject plus the id is an object whose omap describes the image: size and
	// features (8 bytes, little endian), parent, snapshot_<16 hex digits>, metadata_<key>.
	headerObject = "rbd_header."
	// objectMapObject plus the id says which data objects exist.
	objectMapObject = "rbd_object_map."

	// trashObject has an omap with an entry for every image that is being removed.
	trashObject = "rbd_trash"

	rbdClass     = "rbd" // of the OSDs
	enlistMethod = "dir_add_image"

	sizeKey        = "size"
	featuresKey    = "features"
	parentKey      = "parent"
	snapshotPrefix = "snapshot_"
	metadataPrefix = "metadata_"
)

// imagePrefix begins the names of all images that jetvol makes. It is reserved: nobody
// else should make images with such names.
const imagePrefix = "jetvol."

// maxImageName is less than RBD_MAX_IMAGE_NAME_SIZE of librbd, which counts a final NUL.
const maxImageName = 95

// imageName is the name of the image of a key: jetvol.<project>.<name>, or if that is too
// long for RBD, its beginning, '_' and the first half of the SHA-256 of the key in hex. A
// key has no '_', so that no two keys share a name. The image's mark has the whole key.
func imageName(key volume.Key) string {
	name := imagePrefix + key.String()
	if len(name) <= maxImageName {
		return name
	}
	sum := sha256.Sum256([]byte(key.String()))
	digest := "_" + hex.EncodeToString(sum[:sha256.Size/2])
	return name[:maxImageName-len(digest)] + digest
}

// header is what one read of an image's header tells.
type header struct {
	id        string // of RBD: rbd_header.<id>
	size      volume.Bytes
	features  uint64
	snapshots bool
	parent    bool // it is a clone, or some snapshot of it is
	mark      mark
	holders   holders
}

// listed returns the id of the image with the name as the directory has it, with ENOENT
// for none. It also finds what is half made or half removed.
func (c *conn) listed(name string) (string, error) {
	values, err := c.omap(directoryObject, namePrefix+name)
	if err != nil {
		return "", err
	}
	value, there := values[namePrefix+name]
	if !there {
		return "", errAbsent
	}
	return rbdString(value)
}

// named returns the id of the image with the name, with ENOENT for none.
func (c *conn) named(name string) (string, error) {
	buffer := make([]byte, 4+maxImageName)
	n, err := c.io.Read(idObject+name, buffer, 0)
	if err != nil {
		return "", err
	}
	return rbdString(buffer[:n])
}

// enlist enters an image in the directory (dir_add_image of cls_rbd).
func (c *conn) enlist(name, id string) error {
	e := &encoder{}
	e.text(name)
	e.text(id)
	op := rados.CreateWriteOp()
	defer op.Release()
	op.Exec(rbdClass, enlistMethod, e.body)
	return op.Operate(c.io, directoryObject, rados.OperationNoFlag)
}

// omap reads the given keys of an object.
func (c *conn) omap(object string, keys ...string) (map[string][]byte, error) {
	op := rados.CreateReadOp()
	defer op.Release()
	step := op.GetOmapValuesByKeys(keys)
	if err := op.Operate(c.io, object, rados.OperationNoFlag); err != nil {
		return nil, err
	}
	return collect(step)
}

// header reads the header with the id in one operation, with ENOENT for none.
func (c *conn) header(id string) (header, error) {
	op := rados.CreateReadOp()
	defer op.Release()
	// Of an object that is not there the OSD finds no keys, which is no error.
	op.AssertExists()
	described := op.GetOmapValuesByKeys(append([]string{sizeKey, featuresKey, parentKey}, markKeys()...))
	snapshots := op.GetOmapValues("", snapshotPrefix, 1)
	locked := op.Exec(lockClass, lockInfoMethod, encodeLockInfo())
	if err := op.Operate(c.io, headerObject+id, rados.OperationNoFlag); err != nil {
		return header{}, err
	}
	values, err := collect(described)
	if err != nil {
		return header{}, err
	}
	h := header{id: id, mark: parseMark(values)}
	if h.size, h.features, err = parseGeometry(values); err != nil {
		return header{}, err
	}
	first, err := snapshots.Next()
	if err != nil {
		return header{}, err
	}
	h.snapshots = first != nil
	_, h.parent = values[parentKey]
	reply, err := locked.Bytes()
	if err != nil {
		return header{}, err
	}
	h.holders, err = decodeLockInfo(reply)
	return h, err
}

func parseGeometry(values map[string][]byte) (size volume.Bytes, features uint64, err error) {
	if len(values[sizeKey]) != 8 || len(values[featuresKey]) != 8 {
		return 0, 0, backends.Errorf(volume.Internal, "header without size and features: damaged")
	}
	size = volume.Bytes(binary.LittleEndian.Uint64(values[sizeKey])) //nolint:gosec // librbd takes no size above 2^63
	return size, binary.LittleEndian.Uint64(values[featuresKey]), nil
}

// collect reads the answer to a step.
func collect(step *rados.ReadOpOmapGetValsByKeysStep) (map[string][]byte, error) {
	values := make(map[string][]byte)
	for {
		kv, err := step.Next()
		if err != nil || kv == nil {
			return values, err
		}
		values[kv.Key] = kv.Value
	}
}

// rbdString reads a text after its length in four bytes, little endian.
func rbdString(data []byte) (string, error) {
	d := decoder{data: data}
	text := d.text()
	if d.failed || text == "" {
		return "", backends.Errorf(volume.Internal, "image id of %d bytes: damaged", len(data))
	}
	return text, nil
}

// errAbsent is ENOENT, told by us.
var errAbsent = backends.Errorf(volume.NotFound, "no volume here")

// absent reports whether err says that an object is not there.
func absent(err error) bool {
	return errors.Is(err, errAbsent) || is(err, errNotFound)
}
