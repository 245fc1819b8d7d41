// Package local is the driver that keeps volumes as sparse files in one directory.
//
// A volume is two files, and one more for each snapshot. The image `<project>.<name>.img`
// holds its data and is as long as the volume is large. The sidecar `<project>.<name>.json`
// says what it is: ID, size, attachments and snapshots. The sidecar *is* the object: without
// one there is no volume, whatever else lies in the directory. Each change of an object is
// therefore one atomic step of its sidecar, a rename over it or its removal, and everything
// else is ordered around that step so that kill -9 at any instant, followed by the same call
// again, ends right:
//
//   - Create makes the image, gives it its size, then writes the sidecar. Killed before,
//     an image without a sidecar is left. Get, List, Attach, Detach and Resize do not see
//     it; Create empties it and goes on, Delete removes it.
//   - Delete removes the sidecar, then the image. Killed between, the same remains.
//   - Resize lengthens the image, then writes the sidecar. Killed between, the object
//     still has its old size; the next Resize sets both to what it wants, and the next
//     Attach cuts off what is too long before a node can see it.
//   - Otherwise Attach, Detach and Evict write the sidecar and nothing else.
//
// # Snapshots
//
// A snapshot is an entry in the volume's sidecar, which alone makes it exist and refuses
// the volume's delete, and a file `<project>.<name>@<snapshot>.img` with the content. That
// file is made anew each time and never changed. The sidecar names the one snapshot whose
// file may be there though it does not exist, so no kill leaves a file that nobody knows
// of:
//
//   - CreateSnapshot writes the name to the sidecar as unfinished, copies the image to the
//     file, then writes the entry. Killed before that, there is no snapshot; the next
//     CreateSnapshot, DeleteSnapshot or Delete of the volume removes the file.
//   - DeleteSnapshot makes of the entry an unfinished name, removes the file, then the name.
//     Killed between, there is no snapshot, and the same calls remove the file.
//   - Restore copies the snapshot to `<project>.<name>.restored.img`, then writes its size to
//     the sidecar with the word that this file is the content now: content and size change
//     in one step. It renames the file over the image and takes the word back. Killed before
//     the word, the volume is as it was; the next Restore makes the file anew, Delete removes
//     it. Killed after it, Get and List see the new size at once, and the next call that
//     needs the image, Attach among them, renames first. So no node ever sees half a
//     restore, and a repeat may do it all again.
//   - Clone opens the file of the snapshot, then makes an object like Create, with that
//     content. It locks only its target. An open file outlives its removal, and the entry is
//     looked at before and after the opening: so a clone is whole, or NotFound, or Busy if
//     the snapshot was made anew at that moment. Killed, it leaves what Create leaves. A
//     clone needs its source no longer: there are no children, and Flatten has nothing to do.
//
// Where two files can share blocks (FICLONE: XFS, btrfs), a copy takes no time and no space
// and is of one moment, also while a node writes. [Open] tries that out once, and Health
// tells the outcome as "snapshots". Elsewhere copies are sparse: they take as long and as
// much space as the data does. Such a snapshot of a volume that a node writes to meanwhile
// is not of one moment: an earlier write may be missing where a later one is there, which no
// power cut would leave. Detach first, or freeze the file system in the volume.
//
// A call that is cancelled while it copies stops and removes its copy. One whose time is up
// goes on, with the volume locked: the repeat would have to begin anew, and a volume that
// takes longer than one call may last would never be done.
//
// A sidecar is written to a temporary file in the same directory, which is synced,
// renamed over the old one, and made durable by a sync of the directory. Where one file
// must be on disk before the next, it is synced first, so the same orders hold after a
// power cut. A call that finds its work done syncs the directory before it says so, for
// its predecessor may have been killed before doing that. Temporary files left behind
// are removed by [Open].
//
// # Release and import
//
// A file of the directory that has none of the names above is foreign: no call looks at it
// but these two. Both write the foreign name to the sidecar first. While it stands there, an
// image that is missing means that there is no object, and not that one is lost, so that the
// rename of the image, which replaces nothing (renameat2(2)), is their atomic step:
//
//   - Release renames the image to the foreign name and removes the sidecar. Killed between,
//     the object is gone and the file is whole; a repeat, Create, Import or Delete removes
//     the sidecar.
//   - Import writes a sidecar of the file's size and renames the file to the image's name.
//     Killed between, there is no object and the file is as it was.
//
// No call ever removes a foreign file. The file systems that [unix.Renameat2] lacks
// RENAME_NOREPLACE on, NFS among them, refuse both.
//
// # Many processes
//
// Any number of processes may share the directory. While a call changes an object it
// holds the object's lock; another that tries to change the same object meanwhile gets
// Busy. A lock is one byte of the file `.fences/lock`, chosen by the volume's key and
// locked by fcntl(2) for the open file (Linux). It needs no file of the volume, so a
// create, a fence and a delete of something missing exclude each other too, and as the
// file is never removed, no lock is ever on a file that somebody replaced. A lock dies
// with its process; a stopped process keeps it.
//
// Fence writes the lowest epoch that is taken to `.fences/<project>.<name>.json`. Every
// change reads that file after locking and before doing anything, so a call is either
// over when the fence is made, or refused. Without a fence this costs one failed lookup.
//
// A fence must last as long as a process that may make an older call. How long a stopped
// one stays that is unknown, so no age makes a fence superfluous, and neither does the
// end of its volume: the late call may be the create of an earlier life. But every open
// driver holds a shared lock on byte 0 of the lock file, stopped or not, and so Open
// knows when it is alone: then the others have ended, their calls with them, and it
// removes all fences. Until then there is one small file for each name that was ever
// taken over in the middle of an operation.
//
// # Links
//
// Files are reached through an os.Root, and only regular files are opened: a symbolic
// link in the place of an image or a sidecar is refused and never followed.
package local
