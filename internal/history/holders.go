package history

import (
	"strings"

	"github.com/jetvol/jetvol/volume"
)

// holders is what is known of the nodes that hold a volume: all of sure do, and some of
// maybe, who then only read. An attached volume has at least one.
type holders struct {
	sure, maybe set
	writes      bool // the one that is sure writes
	unknown     bool // anybody: the backend was believed and did not tell clients
}

// one is held by that node alone, or by nobody if there is none.
func one(args volume.Args) holders {
	return holders{sure: setOf(string(args.Node)), writes: args.Mode != volume.ReadOnly}
}

func anybody() holders { return holders{unknown: true} }

func (h holders) mayBe(node volume.Node) bool {
	return h.unknown || h.sure.has(string(node)) || h.maybe.has(string(node))
}

// besides returns how many nodes other than that one hold the volume, at least and at most.
func (h holders) besides(node volume.Node) (least, most int) {
	least = h.sure.without(string(node)).size()
	return least, least + h.maybe.without(string(node)).size()
}

// admits reports whether one more may come in, and refuses whether it may be refused.
func (h holders) admits(args volume.Args) bool {
	return args.Mode == volume.ReadOnly && (h.unknown || !h.writes && !h.sure.has(string(args.Node)))
}

func (h holders) refuses(args volume.Args) bool {
	return args.Mode != volume.ReadOnly || h.writes || h.mayBe(args.Node)
}

// joined is held by the node too.
func (h holders) joined(node volume.Node) holders {
	h.sure, h.maybe = h.sure.with(string(node)), h.maybe.without(string(node))
	return h
}

// mayHaveJoined is perhaps held by the node too.
func (h holders) mayHaveJoined(node volume.Node) holders {
	if !h.sure.has(string(node)) {
		h.maybe = h.maybe.with(string(node))
	}
	return h
}

// left is what remains of an attached volume when the node has gone, and false if nobody
// can have remained.
func (h holders) left(node volume.Node) (holders, bool) {
	_, most := h.besides(node)
	h.sure, h.maybe = h.sure.without(string(node)), h.maybe.without(string(node))
	if h.sure == "" && h.maybe.size() == 1 {
		h.sure, h.maybe = h.maybe, ""
	}
	return h, h.unknown || most > 0
}

// mayHaveLeft is what is known of an attached volume when the node has perhaps gone.
func (h holders) mayHaveLeft(node volume.Node) holders {
	if _, most := h.besides(node); node != "" && most > 0 && h.sure.has(string(node)) {
		h.sure, h.maybe = h.sure.without(string(node)), h.maybe.with(string(node))
	}
	return h
}

// emptied reports whether nobody can be left when the node has gone; no name stands for
// the only holder.
func (h holders) emptied(node volume.Node) bool {
	least, _ := h.besides(node)
	if node == "" {
		return h.onlyOne()
	}
	return h.unknown || least == 0
}

// onlyOne reports whether there can be a single holder, and several whether there can be more.
func (h holders) onlyOne() bool { return h.unknown || h.sure.size() <= 1 }
func (h holders) several() bool { return h.unknown || h.sure.size()+h.maybe.size() > 1 }

func (h holders) String() string {
	switch {
	case h.unknown:
		return "anybody"
	case h.writes:
		return strings.TrimSpace(string(h.sure)) + ", who writes"
	case h.maybe != "":
		return string(h.sure) + "and perhaps " + strings.TrimSpace(string(h.maybe))
	}
	return strings.TrimSpace(string(h.sure))
}
