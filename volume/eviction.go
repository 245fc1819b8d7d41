package volume

import (
	"slices"
	"strings"
	"unicode"
)

// MaxReasonLength is the greatest length of the reason of a node_gone, in bytes.
const MaxReasonLength = 255

// MaxEvictedClients is how many fenced clients an [Eviction] names: a record holds several
// evictions and has to fit into one message, however many clients a node had.
const MaxEvictedClients = 64

// maxClientLength bounds the name of one client, in bytes.
const maxClientLength = 128

// Eviction is what became of a node that was declared gone: who asked stands in the event,
// why and what was fenced stand here.
type Eviction struct {
	Node   Node   `json:"node"`
	Reason string `json:"reason"`
	// Clients are those that the backend has fenced, as it names them. It is empty before
	// the backend has acted, if the node had none left, and for a backend to which a node is
	// a label only.
	Clients []string `json:"clients,omitempty"`
	// More counts the clients that are left out because there are too many.
	More int `json:"more,omitempty"`
}

// Fenced returns the eviction with further clients; those that it names already are left
// out. The original stays as it is.
func (e Eviction) Fenced(clients []string) Eviction {
	e.Clients = slices.Clone(e.Clients)
	for _, client := range clients {
		client = cut(client, maxClientLength)
		switch {
		case slices.Contains(e.Clients, client):
		case len(e.Clients) == MaxEvictedClients:
			e.More++
		default:
			e.Clients = append(e.Clients, client)
		}
	}
	return e
}

// ValidateReason returns an [ErrInvalidArgument] unless the reason says something: 1 to
// [MaxReasonLength] bytes of printable text on one line, not only spaces. Taking a volume
// from a node without one would be a bare reset of its state.
func ValidateReason(reason string) error {
	switch {
	case strings.TrimSpace(reason) == "":
		return Errorf(ErrInvalidArgument, "reason: none is given: say how it is known that the node is gone")
	case len(reason) > MaxReasonLength:
		return Errorf(ErrInvalidArgument, "reason of %d bytes: at most %d", len(reason), MaxReasonLength)
	case strings.ToValidUTF8(reason, "") != reason, strings.ContainsFunc(reason, func(r rune) bool { return !unicode.IsPrint(r) }):
		return Errorf(ErrInvalidArgument, "reason %.80q: want printable text on one line", reason)
	}
	return nil
}
