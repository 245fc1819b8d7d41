// Package ceph is the driver that keeps volumes as RBD images in a pool of a Ceph cluster.
//
// The driver calls librados and librbd through go-ceph and is built with the tag ceph
// only (`make build-ceph`). Without it [Open] says so, and the configuration alone is
// here.
//
// # An image
//
// The image of a volume is jetvol.<project>.<name>, shortened with a hash where that is
// longer than RBD allows. The prefix is reserved: nobody else should use it. The image's
// metadata (`rbd image-meta list`) says that it is ours and of which life:
//
//	jetvol.id          default.db-01.1, the volume's ID
//	jetvol.project     default
//	jetvol.volume      db-01
//	jetvol.generation  1
//	jetvol.schema      1, of these five
//
// An image without them, or with those of another volume or a later schema, is a
// stranger's. It is never changed: Create returns AlreadyExists, Get, Attach, Detach and
// Resize return FailedPrecondition, and List leaves it out.
//
// # Killed at any point
//
// Create is one call of librbd and one write of the metadata. What it leaves when killed
// between is an image with our name and our features, without metadata, snapshots,
// reservations, data and clients: that is half an image, which the next Create completes
// and Delete removes. Killed within the call of librbd, the image is in the pool's
// directory and cannot be opened: rbd_remove clears that away, which Create and Delete do.
// Delete is one call of librbd, which moves the image to the pool's trash and removes it
// there. Killed between, the next Delete of the name finishes that; it may be Busy while the
// killed client's watch lives, 30 s or until it is on the blocklist.
//
// # A reservation
//
// Attach takes a lock of the OSDs with the name jetvol.attach on the image's header, the
// node being its cookie: exclusive for a writer, shared for readers. Nothing enforces it
// against a node that does not ask jetvol; librbd's exclusive lock then still keeps two
// writers from mixing their blocks. Detach of a writer verifies that no client has the image
// open. Evict does not ask: it shuts the clients out by the cluster's blocklist. A client
// that opened the image for writing, never wrote and has been cut off for more than 30 s
// is in no list and cannot be told by anybody (docs/backends-ceph.md has remedies); where
// the next writer maps the image by the `rbd map` line that Attach tells, librbd's lock is
// not handed over to it.
//
// # Time
//
// Every operation on an OSD or a monitor is bounded by the timeouts of [Config]. A call of
// the driver is a handful of them, and a call of librbd ends with the first that fails. A
// call that timed out may still take effect, now or when the OSD goes on: its outcome is
// unknown, and repeating it ends right. The connection is made by the first call that needs
// one, and made anew when the cluster has shut the old one out.
package ceph

// DriverName is what the driver's Health calls it.
const DriverName = "ceph"
