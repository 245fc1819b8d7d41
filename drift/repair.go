package drift

import (
	"fmt"
	"slices"

	"github.com/jetvol/jetvol/volume"
)

// Side is the one of the two that is right about a volume.
type Side string

// The sides.
const (
	Record  Side = "record"
	Backend Side = "backend"
)

// Sides returns both.
func Sides() []Side { return []Side{Record, Backend} }

// Step is one command of a plan.
type Step struct {
	Verb volume.Verb `json:"verb"`
	Args volume.Args `json:"args"`
	Why  string      `json:"why"`
}

// Plan is how to make a volume and its backend agree. It has no steps if no commands can do
// it; Obstacle says why, and what can.
type Plan struct {
	Side     Side   `json:"side"`
	Steps    []Step `json:"steps,omitempty"`
	Obstacle string `json:"obstacle,omitempty"`
}

// Repair returns the plan that makes the side right. The record is the one that the finding
// is of, zero if there is none. A plan is made of ordinary commands, each of which may be
// refused; the ones after it then make no sense.
func Repair(f Finding, record volume.Record, side Side) Plan {
	plan := Plan{Side: side}
	switch {
	case f.Is(volume.DriftOrphan):
		plan.orphan(f, record)
	case f.Is(volume.DriftOwner):
		plan.owner(f, record)
	case f.Is(volume.DriftGhost):
		plan.ghost(record)
	case side == Backend:
		plan.believe("take over what the backend has")
	default:
		plan.putBack(f, record)
	}
	if plan.Obstacle != "" {
		plan.Steps = nil
	}
	return plan
}

func (p *Plan) add(verb volume.Verb, args volume.Args, why string) {
	p.Steps = append(p.Steps, Step{verb, args, why})
}

func (p *Plan) believe(why string) {
	p.add(volume.VerbReconcile, volume.Args{Believe: volume.BelieveBackend}, why)
}

// orphan: there is nothing that the record could be right about but that there is none.
func (p *Plan) orphan(f Finding, record volume.Record) {
	if record.Exists() {
		p.Obstacle = fmt.Sprintf("the name is that of %s on backend %s: delete or move the object on backend %s by its own tools",
			record.ID, record.Backend, f.Backend)
		return
	}
	p.add(volume.VerbAdopt, volume.Args{Backend: f.Backend, ID: f.ObjectID}, "take the object into a record")
	if p.Side == Record {
		for _, one := range f.Attachments {
			p.add(volume.VerbDetach, volume.Args{Node: one.Node}, "a volume that a node holds is not deleted")
		}
		p.add(volume.VerbDelete, volume.Args{}, "delete it, with its data")
	}
}

// owner: drivers leave alone what is another's, whoever asks.
func (p *Plan) owner(f Finding, record volume.Record) {
	switch {
	case p.Side == Record:
		p.Obstacle = fmt.Sprintf("what is there is of %s, which no command for %s touches: "+
			"move it away by the backend's own tools; if the volume is not brought back in its place it is a ghost", f.ObjectID, record.ID)
	case len(record.Attachments) > 0:
		p.Obstacle = held(record)
	default:
		p.add(volume.VerbDelete, volume.Args{}, "delete the record; the other one's object stays")
		p.add(volume.VerbAdopt, volume.Args{Backend: f.Backend, ID: f.ObjectID}, "take the object that is there into a record")
	}
}

// ghost: no command brings data back.
func (p *Plan) ghost(record volume.Record) {
	switch {
	case p.Side == Record:
		p.Obstacle = "the backend has lost the volume, and no command brings its data back: " +
			"bring it back by the backend's own tools, and reconcile"
	case record.State == volume.StateError:
		p.add(volume.VerbReconcile, volume.Args{}, "say that nothing is there")
		p.add(volume.VerbDelete, volume.Args{}, "delete the record")
	case len(record.Attachments) > 0:
		p.Obstacle = held(record)
	case record.Snapshots > 0:
		p.Obstacle = "the record tells of snapshots: delete them first"
	default:
		p.add(volume.VerbDelete, volume.Args{}, "delete the record")
	}
}

func held(record volume.Record) string {
	return fmt.Sprintf("node %s holds the volume by its record: detach it first, which fails as the object is not there "+
		"and leaves the volume in error; then repair again", record.Attachments[0].Node)
}

// putBack makes size and holders what the record says. No command does that directly: what
// the backend has is taken over, and changed back from there.
func (p *Plan) putBack(f Finding, record volume.Record) {
	if f.Is(volume.DriftSize) && f.Size > record.Size {
		p.Obstacle = fmt.Sprintf("the backend has %s and the record %s: no command makes a volume smaller", f.Size, record.Size)
		return
	}
	p.believe("take over what the backend has, to change it from there")
	if f.Is(volume.DriftSize) {
		p.add(volume.VerbResize, volume.Args{Size: record.Size}, "back to the recorded size")
	}
	if !f.Is(volume.DriftNode) {
		return
	}
	for _, one := range f.Attachments {
		if !holds(record.Attachments, one) {
			p.add(volume.VerbDetach, volume.Args{Node: one.Node}, "the record knows no such holder; if the node is dead, use node_gone")
		}
	}
	for _, one := range record.Attachments {
		if !holds(f.Attachments, one) {
			p.add(volume.VerbAttach, volume.Args{Node: one.Node, Mode: one.Mode}, "the record has it as a holder")
		}
	}
}

func holds(holders volume.Attachments, wanted volume.Attachment) bool {
	return slices.ContainsFunc(holders, func(one volume.Attachment) bool {
		return one.Node == wanted.Node && one.Mode == wanted.Mode
	})
}
