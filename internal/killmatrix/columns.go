package main

import "github.com/jetvol/jetvol/volume"

// scenario is what has to happen around a command for a part of the work to be reached.
type scenario string

// The scenarios.
const (
	plain     scenario = "plain"     // nothing
	crowded   scenario = "crowded"   // the record holds as many answers as it can
	busy      scenario = "busy"      // the backend is busy until the worker is dead
	hopeless  scenario = "hopeless"  // the backend is busy until the command has ended
	refusing  scenario = "refusing"  // the backend is busy until the worker is dead, which had used up its attempts
	cancelled scenario = "cancelled" // the backend is busy, and then a cancel comes
	waiting   scenario = "waiting"   // the command is stored before the worker starts
	leaving   scenario = "leaving"   // the worker is asked to end when the command is stored
)

// column is a kind of command: a verb, or a way in which a command does not get that far.
type column struct {
	name string
	verb volume.Verb // empty where the seed chooses
	// reaches has the scenario for each part that the command goes through.
	reaches map[part]scenario
	// tampers is what happens to the volume at the backend before the command, and policy
	// the backend's for one that is gone.
	tampers []tamper
	policy  volume.RecordOnly
	// alone says that no other command follows: by the record the volume is what it is not.
	alone bool
	// first is the part in which a first worker dies where two are needed.
	first string
	// unmetered says that the project has no quota: creates assume that their names are new.
	unmetered bool
}

// operations change the backend.
func operation(verb volume.Verb) column {
	return column{name: string(verb), verb: verb, first: "begin", reaches: map[part]scenario{
		partTakeover: waiting,
		partLeave:    leaving,
		partResume:   plain,
		partClaim:    plain,
		partSpill:    crowded,
		partObserve:  cancelled,
		partBackend:  plain,
		partBegin:    plain,
		partBegun:    plain,
		partResult:   plain,
		partFailure:  busy,
		partRetry:    busy,
		partGiveUp:   hopeless,
		partSettle:   cancelled,
		partReply:    plain,
		partAck:      plain,
	}}
}

// refusable is an operation that ends where the backend is, not in error, when the backend
// is busy to the end.
func refusable(verb volume.Verb) column {
	c := operation(verb)
	delete(c.reaches, partGiveUp)
	c.reaches[partSettle] = refusing
	return c
}

// through is the column with more parts that it goes through without anything around it.
func (c column) through(parts ...part) column {
	for _, p := range parts {
		c.reaches[p] = plain
	}
	return c
}

// named is the column under another name than its verb's.
func (c column) named(name string) column {
	c.name = name
	return c
}

// refusal is a command that the worker refuses, for a volume that there is.
func refusal(name string) column {
	return column{name: name, first: "refusal", reaches: map[part]scenario{
		partTakeover: waiting, partLeave: leaving, partResume: plain, partSpill: crowded,
		partRefusal: plain, partReply: plain, partAck: plain,
	}}
}

// eviction asks the backend what it has in every course, not only after a cancel.
func eviction() column {
	c := operation(volume.VerbNodeGone)
	c.reaches[partObserve] = plain
	return c
}

// look is a command that is decided by what the backend has.
func look(name string) column {
	return column{name: name, verb: volume.VerbReconcile, first: "result", reaches: map[part]scenario{
		partTakeover: waiting, partLeave: leaving, partResume: plain, partSpill: crowded, partOwner: waiting, partObserve: plain,
		partResult: plain, partReply: plain, partAck: plain,
	}}
}

// adoption is of a volume whose record was deleted when it was gone for a while.
func adoption() column {
	c := look(string(volume.VerbAdopt)).after(remakes, keeps).through(partReserve, partAdopt)
	c.verb, c.policy = volume.VerbAdopt, volume.RecordOnlyDelete
	return c
}

// intake is an adopt of what was let go of: it looks at the image, and then is a create.
func intake() column {
	c := refusable(volume.VerbAdopt).named(adoptImage).through(partReserve)
	c.reaches[partObserve] = plain
	return c
}

// elsewhere is an attach of a volume that is on a node which nobody asked for.
func elsewhere() column {
	c := operation(volume.VerbAttach).named(strange).after(takes)
	for _, p := range []part{partRetry, partGiveUp, partResult} {
		delete(c.reaches, p)
	}
	return c.through(partFailure, partSettle, partObserve)
}

// after is the column with the backend tampered with before its command.
func (c column) after(ways ...tamper) column {
	c.tampers = ways
	return c
}

// left is the column with the backend as it is tampered with to the end.
func (c column) left(policy volume.RecordOnly) column {
	c.policy, c.alone = policy, true
	return c
}

// first is a create of a name that never was.
func first() column {
	c := operation(volume.VerbCreate).named(createNew).through(partTry, partReserve, partAssume)
	for _, p := range []part{partBegin, partSpill} {
		delete(c.reaches, p)
	}
	c.unmetered, c.first = true, "assumed"
	return c
}

// cold is a column for whose command a worker starts that does not remember the volume.
func cold(name, first string, parts ...part) column {
	c := column{name: name, verb: volume.VerbCreate, first: first, unmetered: true, reaches: map[part]scenario{}}
	for _, p := range append(parts, partTakeover, partTry, partReserve, partResume, partReply, partAck) {
		c.reaches[p] = waiting
	}
	c.reaches[partLeave] = leaving
	return c
}

// columns are the columns of the matrix.
func columns() []column {
	return []column{
		operation(volume.VerbCreate).through(partReserve),
		first(),
		cold(createKnown, "refusal", partRefusal),
		cold(createForgotten, "begin", partAssume, partForget, partBegin, partBegun, partBackend, partResult, partClaim, partSpill),
		operation(volume.VerbCreate).named(clone).through(partReserve, partEnter),
		refusable(volume.VerbDelete).through(partReserve, partUnlink),
		refusable(volume.VerbDelete).named(deleteClone).through(partReserve, partUnlink),
		refusable(volume.VerbUnmanage).through(partReserve, partUnlink),
		refusable(volume.VerbAttach),
		refusable(volume.VerbDetach),
		refusable(volume.VerbResize).through(partReserve),
		refusable(volume.VerbSnapshot).through(partReserve, partKeep),
		refusable(volume.VerbDeleteSnapshot).through(partReserve, partDrop),
		refusable(volume.VerbRestore).through(partReserve),
		refusable(volume.VerbFlatten).through(partCut),
		eviction(),
		look("reconcile"),
		look(repaired).after(remakes),
		look(goneError).after(destroys).left(volume.RecordOnlyError),
		look(goneDelete).after(destroys).left(volume.RecordOnlyDelete).through(partReserve),
		look(goneIgnore).after(destroys).left(volume.RecordOnlyIgnore),
		look(differs).after(grows).left(""),
		look(believed).after(grows, takes).through(partReserve),
		adoption(),
		intake(),
		elsewhere(),
		{name: "cancel", verb: volume.VerbCancel, reaches: map[part]scenario{
			partTakeover: waiting, partLeave: leaving, partSpill: crowded, partAnswer: plain, partReply: plain, partAck: plain,
		}},
		refusal(refused),
		refusal(inUse),
		{name: unknown, first: "refusal", reaches: map[part]scenario{
			partTakeover: waiting, partLeave: leaving, partResume: plain, partRefusal: plain, partReply: plain, partAck: plain,
		}},
		{name: malformed, verb: volume.VerbCreate, reaches: map[part]scenario{
			partTakeover: waiting, partLeave: leaving, partLetter: plain, partReply: plain,
		}},
		{name: repeated, reaches: map[part]scenario{
			partTakeover: waiting, partLeave: leaving, partReply: waiting, partAck: waiting,
		}},
	}
}

// Columns that are not verbs.
const (
	createNew       = "create_new"       // of a name that never was, without a quota
	createKnown     = "create_known"     // of a name that a volume has: refused
	createForgotten = "create_forgotten" // of a name of which only events are left

	clone       = "clone"        // a create with a source
	deleteClone = "delete_clone" // a delete of what that has made
	refused     = "refused"      // by the state machine
	inUse       = "in_use"       // refused: a delete_snapshot while there is a clone
	unknown     = "unknown"      // refused, for a name that has no record
	malformed   = "malformed"    // cannot be read
	repeated    = "repeated"     // a command that was answered before

	repaired   = "reconcile_error"  // a reconcile of a volume in error that is there
	goneError  = "gone_error"       // of one that is not, with each policy
	goneDelete = "gone_delete"      //
	goneIgnore = "gone_ignore"      //
	differs    = "drift"            // of one that is larger
	believed   = "believe"          // of one that is larger and held, which is taken over
	adoptImage = "adopt_image"      // an adopt of an image that was let go of
	strange    = "attach_elsewhere" // an attach of one that a node has which nobody asked for
)

// cell is one square of the matrix in which there is a kill.
type cell struct {
	column   column
	point    point
	scenario scenario
}

func (c cell) String() string { return c.column.name + " × " + c.point.name }

// at returns the cell of a column and a point, or why there is none.
func at(c column, p point) (_ cell, why string) {
	s, reached := c.reaches[p.part]
	if !reached {
		return cell{}, missing[p.part]
	}
	return cell{column: c, point: p, scenario: s}, ""
}

// cells returns all squares with a kill, column by column.
func cells() []cell {
	var all []cell
	for _, column := range columns() {
		for _, point := range points() {
			if c, why := at(column, point); why == "" {
				all = append(all, c)
			}
		}
	}
	return all
}
