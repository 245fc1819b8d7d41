package verify

import (
	"fmt"
	"strings"

	"github.com/jetvol/jetvol/volume"
)

// Tally says of each verb how many of its commands succeeded, of those that ended with an
// event: "create=12/40 delete=3/25 …". Creates of clones, and of views, are counted apart.
func Tally(e Evidence) string {
	ended, succeeded := map[string]int{}, map[string]int{}
	clones := map[volume.CommandID]string{}
	for _, t := range e.Transitions {
		kind := string(t.Verb)
		if t.Event == volume.EventCreate || t.Event == volume.EventRecreate {
			clones[t.CommandID] = made(t.Spec)
		}
		if clone := clones[t.CommandID]; clone != "" && t.Verb == volume.VerbCreate {
			kind = clone
		}
		if !t.Final {
			continue
		}
		ended[kind]++
		if resultOf(t) == volume.Succeeded {
			succeeded[kind]++
		}
	}
	kinds := []string{"clone", "view"}
	for _, verb := range volume.Verbs() {
		kinds = append(kinds, string(verb))
	}
	var parts []string
	for _, kind := range kinds {
		if ended[kind] > 0 {
			parts = append(parts, fmt.Sprintf("%s=%d/%d", kind, succeeded[kind], ended[kind]))
		}
	}
	return strings.Join(parts, " ")
}

// made returns what a create makes, or "" if it is nothing special.
func made(spec volume.Spec) string {
	switch {
	case spec.Source.IsZero():
		return ""
	case spec.ReadOnly:
		return "view"
	default:
		return "clone"
	}
}
