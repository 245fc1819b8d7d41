// Package local is the driver that keeps volumes as sparse files in one directory.
//
// A volume is two files. The image `<project>.<name>.img` holds its data and is as long
// as the volume is large. The sidecar `<project>.<name>.json` says what it is: ID, size
// and attachment. The sidecar *is* the object: without one there is no volume, whatever
// else lies in the directory. Each change of an object is therefore one atomic step of
// its sidecar, a rename over it or its removal, and everything else is ordered around
// that step so that kill -9 at any instant, followed by the same call again, ends right:
//
//   - Create makes the image, gives it its size, then writes the sidecar. Killed before,
//     an image without a sidecar is left. Get, List, Attach, Detach and Resize do not see
//     it; Create empties it and goes on, Delete removes it.
//   - Delete removes the sidecar, then the image. Killed between, the same remains.
//   - Resize lengthens the image, then writes the sidecar. Killed between, the object
//     still has its old size; the next Resize sets both to what it wants, and the next
//     Attach cuts off what is too long before a node can see it.
//   - Otherwise Attach and Detach write the sidecar and nothing else.
//
// A sidecar is written to a temporary file in the same directory, which is synced,
// renamed over the old one, and made durable by a sync of the directory. Where one file
// must be on disk before the next, it is synced first, so the same orders hold after a
// power cut. A call that finds its work done syncs the directory before it says so, for
// its predecessor may have been killed before doing that. Temporary files left behind
// are removed by [Open].
//
// While a call changes an object it holds an flock on the image; another process that
// tries to change the same object meanwhile gets Busy. The lock dies with its process.
//
// Files are reached through an os.Root, and only regular files are opened: a symbolic
// link in the place of an image or a sidecar is refused and never followed.
package local
