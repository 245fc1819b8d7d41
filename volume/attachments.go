package volume

import (
	"cmp"
	"slices"
	"strings"
)

// MaxAttachments is how many nodes may hold one volume at the same time. Each stands, with
// its connection, in the record and in every event of it that is not published yet, and all
// that has to fit into one message.
const MaxAttachments = 64

// Attachment says which node holds the volume and how it reaches it.
type Attachment struct {
	Node Node `json:"node"`
	Mode Mode `json:"mode"`
	// Connection is the backend's own information for the node, such as a path.
	Connection map[string]string `json:"connection,omitempty"`
}

// Attachments are all nodes that hold a volume, in ascending order of their names and each
// once: one that writes, or any number that only read. Nobody is nil. Records and events
// share them, so they are never changed in place.
type Attachments []Attachment

// Of returns the node's attachment, and false if the node does not hold the volume.
func (a Attachments) Of(node Node) (Attachment, bool) {
	at, held := a.find(node)
	if !held {
		return Attachment{}, false
	}
	return a[at], true
}

func (a Attachments) find(node Node) (int, bool) {
	return slices.BinarySearchFunc(a, node, func(one Attachment, node Node) int { return cmp.Compare(one.Node, node) })
}

// Admits reports whether one node more may hold the volume in the mode: a writer only where
// nobody is, a reader beside readers too. It does not look at [MaxAttachments].
func (a Attachments) Admits(mode Mode) bool {
	return len(a) == 0 || mode == ReadOnly && a.ReadOnly()
}

// ReadOnly reports whether there is no writer among them.
func (a Attachments) ReadOnly() bool {
	return !slices.ContainsFunc(a, func(one Attachment) bool { return one.Mode != ReadOnly })
}

// With returns them with one more, which replaces that of the same node.
func (a Attachments) With(one Attachment) Attachments {
	at, held := a.find(one.Node)
	next := make(Attachments, 0, len(a)+1)
	next = append(append(next, a[:at]...), one)
	if held {
		at++
	}
	return append(next, a[at:]...)
}

// Without returns them without that of the node, if it is there.
func (a Attachments) Without(node Node) Attachments {
	at, held := a.find(node)
	if !held {
		return a
	}
	if len(a) == 1 {
		return nil
	}
	return slices.Concat(a[:at], a[at+1:])
}

// Validate returns an error with a code unless every node and mode is valid, the nodes are
// in their order, each is there once, and a writer is alone.
func (a Attachments) Validate() error {
	for i, one := range a {
		if err := cmp.Or(one.Node.Validate(), one.Mode.Validate()); err != nil {
			return err
		}
		if i > 0 && a[i-1].Node >= one.Node {
			return Errorf(ErrInvalidPayload, "attachments: node %s after node %s", one.Node, a[i-1].Node)
		}
	}
	if len(a) > 1 && !a.ReadOnly() {
		return Errorf(ErrInvalidPayload, "attachments: a writer beside others: %s", a)
	}
	return nil
}

// String names all of them: `node n1 (read-only), node n2 (read-only)`, or `no node`.
func (a Attachments) String() string {
	if len(a) == 0 {
		return "no node"
	}
	texts := make([]string, len(a))
	for i, one := range a {
		texts[i] = "node " + string(one.Node) + " (" + string(one.Mode) + ")"
	}
	return strings.Join(texts, ", ")
}
