package fsm

import (
	"strings"

	"github.com/jetvol/jetvol/volume"
)

// DetachNode returns the node from which the record's operation, a detach, is to take the
// volume: the one that its command names, or else the only holder.
func DetachNode(record volume.Record) volume.Node {
	if node := record.Op.Args.Node; node != "" || len(record.Attachments) == 0 {
		return node
	}
	return record.Attachments[0].Node
}

// mayShare reports whether the holders let another node in. The same node again is not
// another one, in whatever mode.
func mayShare(holders volume.Attachments, args volume.Args) bool {
	_, held := holders.Of(args.Node)
	return !held && holders.Admits(args.Mode)
}

func checkDetach(record volume.Record, command volume.Command) error {
	node, holders := command.Args.Node, record.Attachments
	_, held := holders.Of(node)
	switch {
	case node == "" && len(holders) > 1:
		return refuse(record, command, volume.ErrNodeRequired, "it is %s: which node?", attachedTo(holders))
	case node != "" && !held && len(holders) > 0:
		return refuse(record, command, volume.ErrNodeMismatch, "it is %s, not %s", attachedTo(holders), node)
	}
	return nil
}

// attachedTo is `attached to node n1`, or `attached to nodes n1, n2`.
func attachedTo(holders volume.Attachments) string {
	if len(holders) == 1 {
		return "attached to node " + string(holders[0].Node)
	}
	return "attached to nodes " + nodeList(holders)
}

func nodeList(holders volume.Attachments) string {
	names := make([]string, len(holders))
	for i, one := range holders {
		names[i] = string(one.Node)
	}
	return strings.Join(names, nodeComma)
}

// nodeComma stands between the names of nodes.
const nodeComma = ", "
