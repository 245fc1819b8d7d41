//go:build ceph

package ceph

import (
	"strconv"
	"strings"

	"github.com/ceph/go-ceph/rados"

	"github.com/jetvol/jetvol/backends"
	"github.com/jetvol/jetvol/volume"
)

// The image metadata that makes an image ours. `rbd image-meta list` shows it. The ID
// says all; the others are for people who search.
const (
	idKey         = "jetvol.id"
	projectKey    = "jetvol.project"
	volumeKey     = "jetvol.volume"
	generationKey = "jetvol.generation" // of the transition that created the volume
	schemaKey     = "jetvol.schema"     // of this mark
	foreignKey    = "jetvol.foreign"    // the name that a Release gives, or an Import takes
)

// markSchema is raised when the meaning of the mark changes.
const markSchema = "1"

// mark is what the metadata of an image says. Without an ID the image has none.
type mark struct {
	id     volume.ID
	schema string
	// foreign, if any, is the other name that the image may have: the pool's directory says
	// which. Between two changes of a rename both lead to the image.
	foreign string
}

func markKeys() []string {
	return []string{metadataPrefix + idKey, metadataPrefix + schemaKey, metadataPrefix + foreignKey}
}

func parseMark(values map[string][]byte) mark {
	return mark{
		id:     volume.ID(values[metadataPrefix+idKey]),
		schema: string(values[metadataPrefix+schemaKey]),

		foreign: string(values[metadataPrefix+foreignKey]),
	}
}

// none reports whether the image has no mark at all.
func (m mark) none() bool { return m == mark{} }

// owns reports whether the mark is one of a life of the key, written by a version that
// means the same by it.
func (m mark) owns(key volume.Key) bool {
	marked, err := m.id.Key()
	return err == nil && marked == key && m.schema == markSchema
}

// key returns the key of the mark, if it is one.
func (m mark) key() (volume.Key, bool) {
	key, err := m.id.Key()
	return key, err == nil && m.schema == markSchema
}

// setMark writes the mark of ref in one operation, as cls_rbd stores metadata. Opening the
// image to let librbd do it takes three times as long as the create itself. It returns
// ENOENT if the header is gone.
func (c *conn) setMark(id string, ref backends.Ref) error {
	return c.setMetadata(id, metadataOf(ref))
}

// setForeign notes the other name of the image besides its mark.
func (c *conn) setForeign(id string, ref backends.Ref, name volume.Image) error {
	values := metadataOf(ref)
	values[metadataPrefix+foreignKey] = []byte(name)
	return c.setMetadata(id, values)
}

func metadataOf(ref backends.Ref) map[string][]byte {
	generation := string(ref.ID[strings.LastIndexByte(string(ref.ID), '.')+1:])
	return map[string][]byte{
		metadataPrefix + idKey:         []byte(ref.ID),
		metadataPrefix + projectKey:    []byte(ref.Key.Project),
		metadataPrefix + volumeKey:     []byte(ref.Key.Name),
		metadataPrefix + generationKey: []byte(generation),
		metadataPrefix + schemaKey:     []byte(markSchema),
	}
}

func (c *conn) setMetadata(id string, values map[string][]byte) error {
	op := rados.CreateWriteOp()
	defer op.Release()
	op.AssertExists()
	op.SetOmap(values)
	return op.Operate(c.io, headerObject+id, rados.OperationNoFlag)
}

// clearMark takes the mark off in one operation.
func (c *conn) clearMark(id string) error {
	return c.clearMetadata(id, idKey, projectKey, volumeKey, generationKey, schemaKey, foreignKey)
}

func (c *conn) clearMetadata(id string, keys ...string) error {
	for i := range keys {
		keys[i] = metadataPrefix + keys[i]
	}
	op := rados.CreateWriteOp()
	defer op.Release()
	op.AssertExists()
	op.RmOmapKeys(keys)
	return op.Operate(c.io, headerObject+id, rados.OperationNoFlag)
}

// foreign is the error for an image under our name that is not ours.
func foreign(class volume.Class, name string, m mark) error {
	if m.none() {
		return backends.Errorf(class, "image %s is not jetvol's: it has no mark", name)
	}
	return backends.Errorf(class, "image %s is marked for volume %s in schema %s", name, strconv.Quote(string(m.id)), strconv.Quote(m.schema))
}
