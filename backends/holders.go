package backends

import "github.com/jetvol/jetvol/volume"

// CheckAttach is the rule of [Driver.Attach] for an object with these holders. It returns
// nil if the node may hold it in the mode or does so already, and else FailedPrecondition
// naming every holder.
func CheckAttach(holders volume.Attachments, node volume.Node, mode volume.Mode) error {
	if held, found := holders.Of(node); found && held.Mode == mode {
		return nil
	} else if !found && holders.Admits(mode) {
		return nil
	}
	return HeldBy(holders)
}

// CheckDetach is the rule of [Driver.Detach] for an object with these holders. It returns
// nil if the node holds it or there is nothing to end, and FailedPrecondition naming the
// holder if another node writes.
func CheckDetach(holders volume.Attachments, node volume.Node) error {
	if _, held := holders.Of(node); held || holders.ReadOnly() {
		return nil
	}
	return HeldBy(holders)
}

// HeldBy is a FailedPrecondition that names every holder, for whoever has to free the
// volume.
func HeldBy(holders volume.Attachments) error {
	return Errorf(volume.FailedPrecondition, "held by %s", holders)
}
