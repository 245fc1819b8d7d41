package fsm

import (
	"cmp"
	"slices"

	"github.com/jetvol/jetvol/volume"
)

// writes are the verbs that change what is in a volume, or keep it for later.
var writes = []volume.Verb{volume.VerbResize, volume.VerbSnapshot, volume.VerbRestore}

// wholeOnly are the verbs that hand on what is in a volume, which may not be of two times.
var wholeOnly = []volume.Verb{volume.VerbAttach, volume.VerbSnapshot, volume.VerbResize, volume.VerbUnmanage}

// checkSnapshots refuses what the volume's snapshots, or its being one, do not allow.
// Whether a snapshot of a name exists is not in the record: the worker looks that up.
func checkSnapshots(record volume.Record, command volume.Command) error {
	verb := command.Verb
	switch {
	case (verb == volume.VerbDelete || verb == volume.VerbUnmanage) && record.Snapshots > 0:
		return refuse(record, command, volume.ErrHasSnapshots, "snapshots of it: %d; delete them first", record.Snapshots)
	case verb == volume.VerbSnapshot && record.Snapshots >= volume.MaxSnapshots:
		return refuse(record, command, volume.ErrTooManySnapshots, "it has %d snapshots already", record.Snapshots)
	case record.ReadOnly && slices.Contains(writes, verb):
		return refuse(record, command, volume.ErrReadOnlyVolume, "it is %s", view(record))
	case verb == volume.VerbFlatten && record.Source.IsZero():
		return refuse(record, command, volume.ErrNotAClone, "it shares nothing with a snapshot")
	case verb == volume.VerbUnmanage && !record.Source.IsZero():
		return refuse(record, command, volume.ErrIsAClone, "it is a clone of %s, which it still needs: flatten it first", record.Source)
	case record.HalfRestored != "" && slices.Contains(wholeOnly, verb):
		return refuse(record, command, volume.ErrHalfRestored,
			"the restore of snapshot %s did not end: restore it, or another one, again", record.HalfRestored)
	}
	return nil
}

// checkCreate refuses a create of no size, or of less than what is to be cloned.
func checkCreate(record volume.Record, command volume.Command) error {
	size, source := command.Args.Size, command.Args.Source
	if err := cmp.Or(size, command.SourceSize).ValidateSize(); err != nil {
		return refuse(record, command, volume.ErrInvalidSize, "%v", err)
	}
	switch {
	case source.IsZero() && command.Args.ReadOnly:
		return refuse(record, command, volume.ErrInvalidArgument, "read_only without a source: nothing could ever be in it")
	case source.Volume == record.Key.Name:
		return refuse(record, command, volume.ErrInvalidArgument, "snapshot %s is of the volume itself", source)
	case size != 0 && size < command.SourceSize:
		return refuse(record, command, volume.ErrInvalidSize, "size %s is smaller than the %s of snapshot %s", size, command.SourceSize, source)
	case command.Args.ReadOnly && size != 0 && size != command.SourceSize:
		return refuse(record, command, volume.ErrInvalidSize, "a view of snapshot %s has its size, %s", source, command.SourceSize)
	}
	return nil
}

// view says in words what a volume is that cannot be written.
func view(record volume.Record) string {
	if record.Source.IsZero() {
		return "read only" // flattened
	}
	return "a view of " + record.Source.String()
}
