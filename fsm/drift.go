package fsm

import (
	"slices"
	"strconv"
	"strings"

	"github.com/jetvol/jetvol/volume"
)

// Drift says how the backend differs from a settled record, or nil if it does not. When it
// was found is left to the caller.
func Drift(record volume.Record, seen Observation) *volume.Drift {
	switch {
	case !slices.Contains(settled, record.State):
		return nil
	case seen.nowhere():
		return drifted(volume.Difference{Kind: volume.DriftGhost, Wanted: record.Size.String()})
	case !seen.Present:
		return drifted(volume.Difference{Kind: volume.DriftOwner, Wanted: string(record.ID), Actual: string(seen.ID)})
	}
	var found []volume.Difference
	if want, have := holdersDiffer(record.Attachments, seen.Attachments); want != have {
		found = append(found, volume.Difference{Kind: volume.DriftNode, Wanted: want, Actual: have})
	}
	if record.Size != seen.Size {
		found = append(found, volume.Difference{Kind: volume.DriftSize, Wanted: record.Size.String(), Actual: seen.Size.String()})
	}
	if seen.Snapshots != nil && *seen.Snapshots != record.Snapshots {
		found = append(found, volume.Difference{
			Kind: volume.DriftSnapshots, Wanted: strconv.Itoa(record.Snapshots), Actual: strconv.Itoa(*seen.Snapshots),
		})
	}
	return drifted(found...)
}

func drifted(found ...volume.Difference) *volume.Drift {
	if len(found) == 0 {
		return nil
	}
	return &volume.Drift{Differences: found}
}

// holdersDiffer returns two texts that differ if the holders do: their names, or with their
// modes if only these differ. How a node reaches the volume is no matter of the record.
func holdersDiffer(wanted, actual volume.Attachments) (want, have string) {
	want, have = nodeList(wanted), nodeList(actual)
	if want != have {
		return want, have
	}
	for i := range wanted {
		if wanted[i].Mode != actual[i].Mode {
			return wanted.String(), actual.String()
		}
	}
	return want, have
}

// heldElsewhere reports whether a node holds the volume that nobody asked for, and what then
// differs: neither the record names it nor the attach that is under way, nor, of a volume in
// error, the drift by which it has got there.
func heldElsewhere(record volume.Record, seen Observation) (bool, *volume.Drift) {
	asked, known := askedFor(record)
	if !known {
		return false, nil
	}
	strange := slices.ContainsFunc(seen.Attachments, func(one volume.Attachment) bool {
		_, recorded := record.Attachments.Of(one.Node)
		return !recorded && !slices.Contains(asked, string(one.Node))
	})
	return strange, drifted(volume.Difference{
		Kind: volume.DriftNode, Wanted: strings.Join(asked, nodeComma), Actual: nodeList(seen.Attachments),
	})
}

// askedFor returns the nodes that the record says should hold the volume, and false if it
// does not say.
func askedFor(record volume.Record) ([]string, bool) {
	switch {
	case record.Op != nil && record.Op.Verb == volume.VerbAttach:
		with := record.Attachments.With(volume.Attachment{Node: record.Op.Args.Node})
		return strings.Split(nodeList(with), nodeComma), true
	case record.State != volume.StateError || record.Drift == nil:
		return nil, false
	}
	for _, d := range record.Drift.Differences {
		if d.Kind == volume.DriftNode && d.Wanted == "" {
			return nil, true
		} else if d.Kind == volume.DriftNode {
			return strings.Split(d.Wanted, nodeComma), true
		}
	}
	return nil, false
}

// disproved are the kinds of drift that cannot be there any more once an operation has
// succeeded. That it did proves that the volume's own object is there. A resize and a restore
// find or give the size. A writer is let in only where nobody else is; a reader, and a
// detach, say nothing of other nodes. Who holds the volume after an eviction was asked.
// Everything else stays until the next reconcile: to forget it unseen would hide it.
var disproved = map[volume.Verb][]volume.DriftKind{
	volume.VerbResize:   {volume.DriftSize},
	volume.VerbRestore:  {volume.DriftSize},
	volume.VerbNodeGone: {volume.DriftSize, volume.DriftNode},
}

// lifeVerbs begin or end a volume's life, with which its drift ends.
var lifeVerbs = []volume.Verb{volume.VerbCreate, volume.VerbAdopt, volume.VerbDelete, volume.VerbUnmanage}

// afterSuccess returns what is left of the record's drift once its operation has succeeded.
func afterSuccess(record volume.Record) *volume.Drift {
	op := record.Op
	if record.Drift == nil || slices.Contains(lifeVerbs, op.Verb) {
		return nil
	}
	gone := append([]volume.DriftKind{volume.DriftGhost, volume.DriftOwner}, disproved[op.Verb]...)
	if op.Verb == volume.VerbAttach && op.Args.Mode == volume.ReadWrite {
		gone = append(gone, volume.DriftNode)
	}
	left := slices.DeleteFunc(slices.Clone(record.Drift.Differences), func(d volume.Difference) bool {
		return slices.Contains(gone, d.Kind)
	})
	switch len(left) {
	case 0:
		return nil
	case len(record.Drift.Differences):
		return record.Drift
	}
	return &volume.Drift{FoundAt: record.Drift.FoundAt, Differences: left}
}
