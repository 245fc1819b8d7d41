//go:build ceph

package ceph

import (
	"slices"

	"github.com/ceph/go-ceph/rados"

	"github.com/jetvol/jetvol/backends"
	"github.com/jetvol/jetvol/volume"
)

// A reservation is a lock of the OSD class "lock" on the header of the image, with the
// node as its cookie: exclusive for a writer, shared for readers. It is not librbd's own
// lock (`rbd lock add`), which would keep the node's librbd from writing: measured, a
// qemu-io behind it waits without end. `rados lock info rbd_header.<id> jetvol.attach`
// shows ours. The lock has no end, and its locker is whichever process of jetvol made
// it, so that every process may break it.
const (
	lockName = "jetvol.attach"
	// exclusiveLockName is that of librbd's lock (RBD_LOCK_NAME).
	exclusiveLockName = "rbd_lock"

	lockClass      = "lock"
	lockMethod     = "lock"
	lockInfoMethod = "get_info"
	breakMethod    = "break_lock"

	exclusiveLock = 1 // LOCK_EXCLUSIVE of cls_lock_types.h
	sharedLock    = 2 // LOCK_SHARED
)

// holder is one locker.
type holder struct {
	kind   byte   // of the entity: 8 is a client
	number uint64 // of the client: client.4123
	node   volume.Node
}

// holders are those who have the image reserved.
type holders struct {
	exclusive bool
	lockers   []holder
}

// attachments are the holders in the order of their nodes, each node once, without the
// way to the image; nil for none.
func (h holders) attachments() volume.Attachments {
	var all volume.Attachments
	for _, locker := range h.lockers {
		if _, told := all.Of(locker.node); !told {
			all = all.With(volume.Attachment{Node: locker.node, Mode: h.mode()})
		}
	}
	return all
}

// mode is how the nodes hold the image.
func (h holders) mode() volume.Mode {
	if h.exclusive {
		return volume.ReadWrite
	}
	return volume.ReadOnly
}

// has reports whether the node is among the holders.
func (h holders) has(node volume.Node) bool {
	return slices.ContainsFunc(h.lockers, func(l holder) bool { return l.node == node })
}

// others reports whether a node besides this one is among the holders.
func (h holders) others(node volume.Node) bool {
	return slices.ContainsFunc(h.lockers, func(l holder) bool { return l.node != node })
}

// reserve takes the lock for the node in one operation that does nothing if the header is
// gone: ENOENT, or EBUSY if it is held otherwise, EEXIST if this very connection has it.
func (c *conn) reserve(id string, node volume.Node, mode volume.Mode) error {
	kind := byte(exclusiveLock)
	if mode == volume.ReadOnly {
		kind = sharedLock
	}
	e := &encoder{} // cls_lock_lock_op
	e.text(lockName)
	e.byte(kind)
	e.text(string(node)) // cookie
	e.text("")           // tag
	e.text("")           // description
	e.uint32(0)          // duration in seconds
	e.uint32(0)          // and nanoseconds: for ever
	e.byte(0)            // flags
	return c.exec(id, lockMethod, e.structure())
}

// unreserve breaks the lock of one holder: ENOENT if it has none any more.
func (c *conn) unreserve(id string, h holder) error {
	e := &encoder{} // cls_lock_break_op
	e.text(lockName)
	e.byte(h.kind)
	e.uint64(h.number)
	e.text(string(h.node))
	return c.exec(id, breakMethod, e.structure())
}

func (c *conn) exec(id, method string, in []byte) error {
	op := rados.CreateWriteOp()
	defer op.Release()
	op.AssertExists() // cls_lock would make the object
	op.Exec(lockClass, method, in)
	return op.Operate(c.io, headerObject+id, rados.OperationNoFlag)
}

// encodeLockInfo is a cls_lock_get_info_op.
func encodeLockInfo() []byte {
	e := &encoder{}
	e.text(lockName)
	return e.structure()
}

// decodeLockInfo reads a cls_lock_get_info_reply.
func decodeLockInfo(reply []byte) (holders, error) {
	d := &decoder{data: reply}
	fields := d.structure()
	var h holders
	for range fields.uint32() {
		id := fields.structure() // locker_id_t
		locker := holder{kind: id.byte(), number: id.uint64(), node: volume.Node(id.text())}
		info := fields.structure() // locker_info_t: expiration, address, description
		if fields.failed || id.failed || info.failed {
			return holders{}, errDamagedLock
		}
		h.lockers = append(h.lockers, locker)
	}
	// A lock keeps its kind when its last holder is gone.
	h.exclusive = fields.byte() == exclusiveLock && len(h.lockers) > 0
	if fields.failed {
		return holders{}, errDamagedLock
	}
	return h, nil
}

var errDamagedLock = backends.Errorf(volume.Internal, "lock %s: damaged or of a later version", lockName)
