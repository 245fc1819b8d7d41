package fsm_test

import "github.com/jetvol/jetvol/volume"

// holders are the nodes that have a volume, each with its mode.
type holders map[volume.Node]volume.Mode

func holdersOf(all volume.Attachments) holders {
	h := holders{}
	for _, one := range all {
		h[one.Node] = one.Mode
	}
	return h
}

// sharedWith reports whether one more node may have it.
func (h holders) sharedWith(node volume.Node, mode volume.Mode) bool {
	_, again := h[node]
	for _, other := range h {
		if other != volume.ReadOnly {
			return false
		}
	}
	return mode == volume.ReadOnly && !again
}

// takes says whether the backend, which may have been tampered with, lets the node in.
func (m *model) takes(op *volume.Op) bool {
	have := holdersOf(m.back.Attachments)
	mode, held := have[op.Args.Node]
	return len(have) == 0 || held && mode == op.Args.Mode || have.sharedWith(op.Args.Node, op.Args.Mode)
}

// leaving is the node that a detach is about.
func (m *model) leaving(op *volume.Op) volume.Node {
	for node := range m.nodes {
		if op.Args.Node == "" {
			return node // the only one
		}
	}
	return op.Args.Node
}
