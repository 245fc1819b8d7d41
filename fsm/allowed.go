package fsm

import (
	"sync"

	"github.com/jetvol/jetvol/volume"
)

// Allowed reports whether the table has a transition by the event from one state to the
// other, under whatever facts: the question to ask of a transition that is past.
func Allowed(from volume.State, event volume.Event, to volume.State) bool {
	return allowed()[passage{from, event, to}]
}

type passage struct {
	from  volume.State
	event volume.Event
	to    volume.State
}

var allowed = sync.OnceValue(func() map[passage]bool {
	all := make(map[passage]bool, len(edges))
	for _, e := range edges {
		all[passage{e.from, e.event, e.to}] = true
	}
	return all
})
