// Package audit proves, from what is stored, that what jetvol tells of its volumes is what
// happened to them, and shows volumes as they were.
//
// [Verify] replays the event stream, rebuilds from it what each record must be, and compares
// with the bucket. It names the first fault of each volume. [TakeCheckpoint] stores where each
// volume stood after a clean verify, so that old events may age out and the rest can still be
// proven. [At] and [History] read one volume's events.
//
// # How it is proven
//
// A pass over the stream keeps a few dozen bytes for each volume: its last event's hash,
// generation and content. Each event has to fit behind the one before: the next generation, from
// the state that the other led to, by a transition of the state machine, with the other's hash as
// its previous. Then each record has to be what its volume's last event says.
//
// A volume that does not fit is looked at alone, in full: its record, then all its events. That
// is how the fault gets its name, and how a volume that was only changed in the meantime is
// cleared: its record, with the events in its outbox, has to be the end of its events, or what
// was the end when it was read.
//
// If there are more volumes than may be remembered at once, the stream is read several times,
// each time for those of another part of all hashes of names.
package audit
