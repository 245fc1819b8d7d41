// Package drift finds how backends differ from the records of volumes, both ways, and has
// it settled by commands.
//
// A [Sweeper] changes no volume. It looks at the records and at the backends, and where a
// reconcile would change a record it publishes the command, so that the volume's owner
// does it in its lane, in order, with an event. Where nothing differs it publishes
// nothing. Each worker sweeps the partitions that it serves: there is no leader.
//
// A sweep has three passes:
//
//  1. Records. One that is at rest is compared with what the backend has. One with an
//     operation under way is left alone, unless its command is no longer in the stream:
//     then nobody would ever end it, and the next command does.
//  2. Objects. One that no live volume has the ID of is an orphan. It is told, and taken
//     into a record if the backend's policy is to import.
//  3. Findings. What was found before and is found no more is forgotten.
//
// What is found stands in the bucket `drift` ([Findings]), so that a list costs as much as
// its answer. Of a volume with a record that is an index only: the truth is in the record
// and in its events. An orphan has neither; the bucket is all that tells of it.
//
// The ID of a command is made of what was seen. Two workers that sweep the same volume,
// at a handover or after a kill, publish one command.
package drift
