package main

import (
	"fmt"
	"slices"
)

// part is what a command has to go through for a point to be reached.
type part string

// The parts of a worker's work.
const (
	partTry      part = "try"      // a create takes its name for new
	partAssume   part = "assume"   // and finds no record
	partForget   part = "forget"   // but events, which an earlier life has left
	partBegin    part = "begin"    // an operation is begun by what is known
	partBegun    part = "begun"    // the event that begins it is stored
	partReserve  part = "reserve"  // what the project uses is to change
	partEnter    part = "enter"    // a clone is entered in the store
	partKeep     part = "keep"     // a snapshot is entered there
	partDrop     part = "drop"     // a snapshot is marked there and goes
	partAdopt    part = "adopt"    // a snapshot is entered there that only the backend knew
	partCut      part = "cut"      // a clone is entered as one no more
	partUnlink   part = "unlink"   // a deleted volume's entry goes, if it is a clone
	partBackend  part = "backend"  // the backend is asked to change something
	partObserve  part = "observe"  // the backend is asked what it has
	partResult   part = "result"   // a command succeeds with an event
	partFailure  part = "failure"  // an attempt fails
	partRetry    part = "retry"    // the next attempt begins
	partGiveUp   part = "give-up"  // the last attempt has failed
	partSettle   part = "settle"   // a cancelled or refused operation is ended
	partRefusal  part = "refusal"  // a refusal is told as an event
	partAnswer   part = "answer"   // an answer is stored in the record without an event
	partClaim    part = "claim"    // an operation of a dead worker is carried on
	partOwner    part = "owner"    // a volume at rest gets another owner
	partSpill    part = "spill"    // older answers leave a full record
	partReply    part = "reply"    // the publisher is told
	partAck      part = "ack"      // the command is acknowledged
	partLetter   part = "letter"   // the command is put into the dead letters
	partTakeover part = "takeover" // partitions are taken over
	partLeave    part = "leave"    // a worker ends in order
	partResume   part = "resume"   // events that a dead worker did not publish are published
)

// missing says for each part why a command may go without it. A part that every command
// goes through has no entry.
var missing = map[part]string{
	partTry:     "is not a create, or one in a project with a quota, whose name is not assumed to be new",
	partAssume:  "is not such a create, or finds a record",
	partForget:  "is not such a create of a name of which only events are left",
	partBegin:   "begins no operation, or on an assumption",
	partBegun:   "begins no operation",
	partReserve: "does not change what its project uses",
	partEnter:   "makes no clone",
	partKeep:    "makes no snapshot",
	partDrop:    "deletes no snapshot",
	partAdopt:   "adopts no snapshot",
	partCut:     "flattens no clone",
	partUnlink:  "deletes no volume",
	partBackend: "asks the backend for no change",
	partObserve: "is decided without asking the backend",
	partResult:  "has no event of success: it is refused, or its answer stands elsewhere",
	partFailure: "has no attempt that could fail",
	partRetry:   "has no attempt that is made again",
	partGiveUp:  "has no attempt that could fail, or ends where the backend is when that is busy",
	partSettle:  "is not an operation that can be cancelled or refused by the backend",
	partRefusal: "is not refused, or leaves no trace but a dead letter",
	partAnswer:  "is never answered by a record without an event: only a cancel is",
	partClaim:   "leaves no operation for another worker",
	partOwner:   "begins an operation, with which the volume gets its owner, or changes no owner",
	partSpill:   "adds no answer to a record, or to one that is not full",
	partAck:     "is acknowledged where it is buried: see `after-take-out`",
	partLetter:  "can be read and is not buried",
	partResume:  "leaves no event in the outbox of a record",
}

// point is an instant at which the matrix kills a worker.
type point struct {
	name  string
	part  part
	about string
	// places are the failpoints in the source that stand for it, and fact is what they
	// are armed with; %d in it is an attempt, chosen by the seed.
	places []string
	fact   string
	// attempts are the first and last value of %d.
	attempts [2]int
	// unnamed says that the fact names no command, because there is none at that point;
	// skips is how many hits a seed may let pass at most.
	unnamed bool
	skips   int
	// late marks what only a worker meets that goes on after a kill: there are two.
	late bool
	// buffered marks what has not left the process yet; half of the seeds send it first.
	buffered bool
}

// step is a write of the record with its event. It has five points.
type step struct {
	name     string
	part     part
	fact     string
	attempts [2]int
	about    string
}

var steps = []step{
	{"result", partResult, "result", [2]int{}, "that ends the command well"},
	{"failure", partFailure, "failure-%d", [2]int{1, 2}, "of a failed attempt"},
	{"retry", partRetry, "retry-%d", [2]int{2, 3}, "of the next attempt"},
	{"give-up", partGiveUp, "giveup", [2]int{}, "that ends the operation after its last attempt"},
	{"settle", partSettle, "settle", [2]int{}, "that ends a cancelled or refused operation"},
}

// points are the rows of the matrix, in the order in which a worker comes by them.
func points() []point {
	all := []point{
		{name: "before-lease", part: partTakeover, about: "the lease that tells the others of it is not stored or not renewed", places: []string{"beforeLease"}, fact: "takeover", unnamed: true, skips: 3},
		{name: "after-lease", part: partTakeover, about: "the lease is stored", places: []string{"afterLease"}, fact: "takeover", unnamed: true, skips: 3},
		{name: "before-unpin", part: partTakeover, about: "a partition is free, its former owner not yet sent away", places: []string{"beforeUnpin"}, fact: "takeover", unnamed: true, skips: 7},
		{name: "after-unpin", part: partTakeover, about: "the former owner is sent away, what it held not yet delivered again", places: []string{"afterUnpin"}, fact: "takeover", unnamed: true, skips: 7},
		{name: "after-reset", part: partTakeover, about: "the consumer begins anew and nobody pulls yet", places: []string{"afterReset"}, fact: "takeover", unnamed: true, skips: 7},
		{name: "after-consume", part: partTakeover, about: "the first pull is on its way", places: []string{"afterConsume"}, fact: "takeover", unnamed: true, skips: 7, buffered: true},
		{name: "before-leave", part: partLeave, about: "it was asked to end and has given everything up, its lease is still there", places: []string{"beforeLeave"}, fact: "leave", unnamed: true},
		{name: "after-leave", part: partLeave, about: "its lease is taken away", places: []string{"afterLeave"}, fact: "leave", unnamed: true},
		{name: "before-resume", part: partResume, about: "a dead worker's event is found in the outbox and not on the stream", places: []string{"beforeResume"}, fact: "resume", late: true},
		{name: "after-resume", part: partResume, about: "that event is published", places: []string{"afterResume"}, fact: "resume", late: true, buffered: true},
		{name: "before-claim", part: partClaim, about: "another worker has found the operation and not raised the epoch", places: []string{"beforeClaim"}, fact: "claim", late: true},
		{name: "after-claim", part: partClaim, about: "the epoch is raised in the record, the backend does not know it", places: []string{"afterClaim"}, fact: "claim", late: true},
		{name: "before-fence", part: partClaim, about: "the backend is about to be told of the epoch", places: []string{"beforeFence"}, fact: "fence", late: true},
		{name: "after-fence", part: partClaim, about: "the backend refuses the dead worker's epoch; the record does not say so", places: []string{"afterFence"}, fact: "fence", late: true},
		{name: "before-spill", part: partSpill, about: "an older answer is only in the record", places: []string{"beforeSpill"}, fact: "spill", unnamed: true, skips: 7},
		{name: "after-spill", part: partSpill, about: "it is in the bucket of outcomes too", places: []string{"afterSpill"}, fact: "spill", unnamed: true, skips: 7},
		{name: "before-owner", part: partOwner, about: "a volume at rest that another worker owned is about to be looked at", places: []string{"beforeClaim"}, fact: "claim-at-rest"},
		{name: "after-owner", part: partOwner, about: "the epoch is raised in its record", places: []string{"afterClaim"}, fact: "claim-at-rest"},
		{name: "before-owner-fence", part: partOwner, about: "the backend is about to be told of that", places: []string{"beforeFence"}, fact: "fence-at-rest"},
		{name: "after-owner-fence", part: partOwner, about: "the backend knows it", places: []string{"afterFence"}, fact: "fence-at-rest"},
		{name: "before-observe", part: partObserve, about: "the backend is about to be asked what it has", places: []string{"beforeObserve", "beforeFound", "beforeImportable"}, fact: "observe"},
		{name: "after-observe", part: partObserve, about: "it has answered", places: []string{"afterObserve", "afterFound", "afterImportable"}, fact: "observe"},
		{name: "before-reserve", part: partReserve, about: "what the project uses is about to change, its quota does not know", places: []string{"beforeReserve"}, fact: "reserve"},
		{name: "after-reserve", part: partReserve, about: "the quota's ledger has it, the record has not", places: []string{"afterReserve"}, fact: "reserve"},
		{name: "before-backend-call", part: partBackend, about: "the operation is recorded and not yet done", places: []string{"beforeAct"}, fact: "act"},
		{name: "before-enter", part: partEnter, about: "a clone is to be made, the store does not know it", places: []string{"beforeEnter"}, fact: "enter"},
		{name: "after-enter", part: partEnter, about: "the store knows the clone, the backend does not", places: []string{"afterEnter"}, fact: "enter"},
		{name: "before-enter-snapshot", part: partKeep, about: "the backend has the snapshot, the store does not know it", places: []string{"beforeEnterSnapshot"}, fact: "enter-snapshot"},
		{name: "after-enter-snapshot", part: partKeep, about: "the store knows it too", places: []string{"afterEnterSnapshot"}, fact: "enter-snapshot"},
		{name: "before-adopt-entry", part: partAdopt, about: "a volume is to be adopted, the store does not know its snapshot", places: []string{"beforeAdoptEntry"}, fact: "adopt-entry"},
		{name: "after-adopt-entry", part: partAdopt, about: "the store knows it, the volume has no record", places: []string{"afterAdoptEntry"}, fact: "adopt-entry"},
		{name: "before-mark", part: partDrop, about: "a snapshot is to be deleted, the store does not know that", places: []string{"beforeMark"}, fact: "mark"},
		{name: "after-mark", part: partDrop, about: "the store lets no more clones be made of it, the backend has it", places: []string{"afterMark"}, fact: "mark"},
		{name: "before-drop", part: partDrop, about: "the backend has deleted the snapshot, the store has it marked", places: []string{"beforeDrop"}, fact: "drop"},
		{name: "after-drop", part: partDrop, about: "the store has forgotten it too", places: []string{"afterDrop"}, fact: "drop"},
		{name: "before-cut", part: partCut, about: "the backend has made the clone whole, the store has it as a clone", places: []string{"beforeCut"}, fact: "cut"},
		{name: "after-cut", part: partCut, about: "the store has forgotten that it was one, the record has not", places: []string{"afterCut"}, fact: "cut"},
		{name: "before-unlink", part: partUnlink, about: "the backend has deleted the volume; if it was a clone, the store still knows it", places: []string{"beforeUnlink"}, fact: "unlink"},
		{name: "after-unlink", part: partUnlink, about: "the store does not know it any more", places: []string{"afterUnlink"}, fact: "unlink"},
		{name: "after-backend-call", part: partBackend, about: "it is done and nobody knows", places: []string{"afterAct"}, fact: "act"},
	}
	all = append(all, beginnings()...)
	for _, s := range steps {
		all = append(all, s.points()...)
	}
	all = append(all, step{"refusal", partRefusal, "refusal", [2]int{}, "of a refusal"}.points()...)
	return append(all,
		point{name: "before-answer-record", part: partAnswer, about: "the record with the answer of a cancel is not stored", places: []string{"beforeStore"}, fact: "answer"},
		point{name: "after-answer-record", part: partAnswer, about: "it is stored", places: []string{"afterStore"}, fact: "answer"},
		point{name: "before-settle", part: partAck, about: "everything is stored, the quota's ledger still has the command's entry, if there is one", places: []string{"beforeSettle"}, fact: "settle"},
		point{name: "after-settle", part: partAck, about: "the ledger has what the record says", places: []string{"afterSettle"}, fact: "settle"},
		point{name: "before-letter", part: partLetter, about: "the command cannot be read; its dead letter is not stored", places: []string{"beforeLetter"}, fact: "letter"},
		point{name: "after-letter", part: partLetter, about: "the dead letter is stored", places: []string{"afterLetter"}, fact: "letter"},
		point{name: "before-reply", part: partReply, about: "everything is stored, the publisher not told", places: []string{"beforeReply"}, fact: "reply"},
		point{name: "after-reply", part: partReply, about: "the publisher is told", places: []string{"afterReply"}, fact: "reply", buffered: true},
		point{name: "before-take-out", part: partLetter, about: "the dead letter is stored, its command still in the queue", places: []string{"beforeTakeOut"}, fact: "take-out"},
		point{name: "after-take-out", part: partLetter, about: "the command is acknowledged without having been carried out", places: []string{"afterTakeOut"}, fact: "take-out", buffered: true},
		point{name: "before-ack", part: partAck, about: "the publisher is told, the command still in the queue", places: []string{"beforeAck"}, fact: "ack"},
		point{name: "after-ack", part: partAck, about: "the command is acknowledged", places: []string{"afterAck"}, fact: "ack", buffered: true},
	)
}

// beginnings are the points of the step that begins an operation: on an assumption, and by what
// is known. An assumed one that is refuted has no last point, and any other shares it.
func beginnings() []point {
	assumed := step{"assumed", partAssume, "assumed", [2]int{}, "that begins a create whose name is assumed to be new"}.points()
	assumed[0].part = partTry
	forget := []point{
		{name: "before-forget", part: partForget, about: "the name has events: the assumed record is about to be taken away", places: []string{"beforeForget"}, fact: "forget"},
		{name: "after-forget", part: partForget, about: "it is taken away", places: []string{"afterForget"}, fact: "forget"},
	}
	begun := step{"begin", partBegin, "begin", [2]int{}, "that begins the operation"}.points()
	begun[4].part = partBegun
	return slices.Concat(assumed[:4], forget, begun)
}

func (s step) points() []point {
	at := func(name, about string, places ...string) point {
		return point{name: fmt.Sprintf(name, s.name), part: s.part, about: fmt.Sprintf(about, s.about), places: places, fact: s.fact, attempts: s.attempts}
	}
	published := at("after-%s-event", "the event %s is published without an answer from the server", "afterPublish")
	published.buffered = true
	return []point{
		at("before-%s-record", "the record %s is not stored", "beforeStore"),
		at("after-%s-record", "the record %s is stored with its event, which is not published", "afterStore"),
		at("before-%s-event", "the event %s is about to be published, the one before it is stored", "beforePublish"),
		published,
		at("%s-event-stored", "the event %s is stored and the worker knows it", "eventStored", "eventFoundStored"),
	}
}
