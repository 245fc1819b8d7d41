// Package bench measures jetvol against the limit that JetStream sets it.
//
// [Run] starts a NATS server (or three), `jetvol worker` processes and a client, gives
// commands for a while, and says how many were carried out in a second and how long each
// took. Then it does the same without jetvol: the ceiling. The two take turns on the same
// server, round by round, and what counts is the ratio of neighbours.
//
// # What the ceiling is
//
// For every verb of the workload one command is given to the real workers while a plain
// subscription listens. What passes is the [Template] of that verb: the command, the
// writes of the record, the events and the reply, with all headers, bytes and their
// order. The ceiling replays it with nats.go alone:
//
//   - one publish of the command into a work queue of the same configuration,
//   - delivered to consumers of the same configuration as the partitions' own,
//   - each write of the record by compare-and-set behind the one before,
//   - each event guarded by the sequence of the one before, and published without waiting
//     (jetvol waits for the first event of a create, in place of the reads that it saves),
//   - the reply, and one acknowledgement.
//
// It decodes no payload, decides nothing, keeps no record and calls no backend, but waits
// as long as the null backend was told to.
//
// # Why that is fair
//
// The configurations are read from the streams and consumers that jetvol uses, and only
// their names changed, to others of the same length. The ceiling has as many worker
// processes as jetvol has, with one connection each, and one client in this process with
// one connection, as many commands in flight and the same loop around them. It uses the
// same volumes in the same order. Both sets of streams lie on the same server and grow by
// the same rounds (jetvol's alone hold the volumes of Options.Preload), and whoever has no turn has no work. Templates are taken anew before
// each round, of volumes whose records are as long as those of the workload's volumes will be on
// average: if the pace changes, the ceiling's may be a little longer or shorter than jetvol's.
package bench
