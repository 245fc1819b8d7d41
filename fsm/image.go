package fsm

import (
	"fmt"

	"github.com/jetvol/jetvol/volume"
)

// An adopt of an image that jetvol never made is a create in all but its backend call: the
// record with the new ID comes first, and whoever finds it there takes the image in under
// that ID, once or again.

// checkImage refuses an adopt of an image that cannot be one, whatever the backend has.
func checkImage(record volume.Record, command volume.Command) error {
	switch {
	case command.Args.ID != "":
		return refuse(record, command, volume.ErrInvalidArgument, "image %s has no id that it could be known by", command.Args.Image)
	case command.Plan == nil:
		return refuse(record, command, volume.ErrInternal, "nobody has looked at image %s", command.Args.Image)
	}
	if err := command.Plan.Size.ValidateSize(); err != nil {
		return refuse(record, command, volume.ErrInvalidSize, "image %s: %v", command.Args.Image, err)
	}
	return nil
}

// takenIn says in words where the volume of an adopt was.
func takenIn(record volume.Record) string {
	return fmt.Sprintf("adopted: backend %s had it as %s", record.Backend, record.Op.Image)
}

// elsewhereBefore says in words what became of the image of an operation that was done before
// it was cancelled or refused; empty for one that was not, and for every other operation.
func elsewhereBefore(record volume.Record, to volume.State) string {
	switch {
	case record.Op.Verb == volume.VerbUnmanage && to == volume.StateDeleted:
		return released(record)
	case record.Op.Verb == volume.VerbAdopt && to != volume.StatePending:
		return takenIn(record)
	}
	return ""
}
