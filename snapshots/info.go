package snapshots

import (
	"fmt"
	"time"

	"github.com/jetvol/jetvol/kv"
	"github.com/jetvol/jetvol/volume"
)

// Kind says what an entry is.
type Kind string

// The kinds. They are stored: append only.
const (
	Active    Kind = "active"    // a writable clone
	View      Kind = "view"      // a read-only clone
	Committed Kind = "committed" // immutable; may have children
)

// Info is what is told of an entry.
type Info struct {
	Kind    Kind          `json:"kind"`
	Name    Key           `json:"name"`
	ID      string        `json:"id"`
	Parent  Key           `json:"parent,omitzero"`
	Labels  volume.Labels `json:"labels,omitempty"`
	Created time.Time     `json:"created"`
	Updated time.Time     `json:"updated"`
	// VolumeSize is the size of the volume that a snapshot was taken of, at that moment.
	VolumeSize volume.Bytes `json:"volume_size_bytes,omitzero"`
	// RemovedBy is who has begun to remove the entry; empty if nobody has.
	RemovedBy string `json:"removed_by,omitempty"`
}

// Usage is what an entry itself takes, without its ancestors. It is set by a commit.
type Usage struct {
	Size   volume.Bytes `json:"size_bytes,omitzero"`
	Inodes int64        `json:"inodes,omitzero"`
}

// validate returns an error of code invalid_argument for negative numbers.
func (u Usage) validate() error {
	if u.Size < 0 || u.Inodes < 0 {
		return volume.Errorf(volume.ErrInvalidArgument, "usage of %d bytes and %d inodes: want none below 0", int64(u.Size), u.Inodes)
	}
	return nil
}

// Snapshot is what is needed to use an active entry or a view: its own identity, and
// the committed ones that it stands on, nearest first.
type Snapshot struct {
	Kind      Kind     `json:"kind"`
	ID        string   `json:"id"`
	ParentIDs []string `json:"parent_ids"`
}

// entry is an entry as it is stored.
type entry struct {
	SchemaVersion int `json:"schema_version"`
	Info
	Usage
}

// validate returns an [kv.ErrCorrupt] if e is not the entry of key.
func (e entry) validate(key Key) error {
	switch {
	case e.Name != key:
		return fmt.Errorf("%w: entry %s says that it is %q", kv.ErrCorrupt, key, e.Name)
	case e.Kind != Active && e.Kind != View && e.Kind != Committed:
		return fmt.Errorf("%w: entry %s is of kind %q", kv.ErrCorrupt, key, e.Kind)
	case e.ID == "":
		return fmt.Errorf("%w: entry %s has no id", kv.ErrCorrupt, key)
	}
	return nil
}

// link is the value of a child in the index of its parent.
type link struct {
	SchemaVersion int    `json:"schema_version"`
	ID            string `json:"id"` // of the child
}
