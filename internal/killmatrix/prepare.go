package main

import (
	"github.com/jetvol/jetvol/fsm"
	"github.com/jetvol/jetvol/volume"
)

// Volumes beside the one that the command is for.
const (
	sourceName volume.Name = "source" // what a clone is made from
	childName  volume.Name = "child"  // a clone of the volume
)

// prepare brings the volume to where the command needs it.
func (p *planner) prepare() []ask {
	crowd := 0
	if p.cell.scenario == crowded {
		crowd = fsm.MaxOutcomes
	}
	if p.cell.column.tampers != nil {
		return p.prepareTampered(crowd)
	}
	switch name := p.cell.column.name; name {
	case clone, deleteClone, inUse, string(volume.VerbSnapshot), string(volume.VerbDeleteSnapshot),
		string(volume.VerbRestore), string(volume.VerbFlatten):
		return p.prepareChain(name, crowd)
	case unknown, malformed:
		return nil
	case string(volume.VerbCreate):
		if crowd > 0 || p.coin() { // a second life
			return p.life(crowd, volume.VerbDelete)
		}
		return nil
	case string(volume.VerbAttach):
		if p.shared = p.coin(); p.shared {
			return p.life(crowd, volume.VerbAttach)
		}
		return p.life(crowd)
	case string(volume.VerbDetach), string(volume.VerbNodeGone):
		if p.shared = p.coin(); p.shared { // of two readers one goes
			return p.life(crowd, volume.VerbAttach, volume.VerbAttach)
		}
		return p.life(crowd, volume.VerbAttach)
	case string(volume.VerbResize), string(volume.VerbReconcile), refused, repeated:
		if p.coin() {
			return p.life(crowd, volume.VerbAttach)
		}
		return p.life(crowd)
	case string(volume.VerbCancel):
		return p.life(max(0, crowd-1)) // its target's answer is the last one
	default:
		return p.life(crowd, needed[name]...)
	}
}

// needed are the verbs that lead to where a column begins.
var needed = map[string][]volume.Verb{adoptImage: {volume.VerbUnmanage}}

// prepareTampered brings the volume to where its backend is tampered with.
func (p *planner) prepareTampered(crowd int) []ask {
	switch p.cell.column.name {
	case repaired, string(volume.VerbAdopt): // it was looked at while it was gone
		asks := p.life(crowd, append(p.perhaps(volume.VerbAttach), volume.VerbReconcile)...)
		asks[len(asks)-1].tampers = []tamper{destroys}
		return asks
	case believed, strange: // another node takes it
		return p.life(crowd)
	default:
		return p.life(crowd, p.perhaps(volume.VerbAttach)...)
	}
}

// prepareUnmetered brings the name to where a create that takes it for new needs it.
func (p *planner) prepareUnmetered() []ask {
	switch p.cell.column.name {
	case createNew:
		return nil
	case createForgotten:
		return p.earlier()
	default:
		return p.life(0)
	}
}

// earlier is what a name went through before its record was forgotten: a refusal, or lives.
func (p *planner) earlier() []ask {
	if p.cell.point.part == partSpill { // all answers of that life are, and some pass
		return p.life(p.cell.point.skips+1, volume.VerbDelete)
	}
	if p.coin() {
		return []ask{p.request(p.oneOf(volume.VerbDelete, volume.VerbAttach, volume.VerbDetach))}
	}
	asks := p.life(0, volume.VerbDelete)
	if p.coin() {
		asks = append(asks, p.life(0, volume.VerbDelete)...)
	}
	return asks
}

// life creates a volume and takes it on by the verbs. With refusals between it fills the
// record with so many answers in all.
func (p *planner) life(answers int, then ...volume.Verb) []ask {
	asks := []ask{p.request(volume.VerbCreate)}
	for len(asks)+len(then) < answers {
		asks = append(asks, p.refusal())
	}
	for _, verb := range then {
		asks = append(asks, p.request(verb))
	}
	return asks
}

// prepareChain brings the volume to where a command about a snapshot or a clone needs it.
func (p *planner) prepareChain(column string, crowd int) []ask {
	switch column {
	case clone:
		if crowd > 0 || p.coin() { // a second life, the first was empty
			first := p.life(crowd, volume.VerbDelete)
			return append(first, p.madeSource()...)
		}
		return p.madeSource()
	case deleteClone:
		return append(p.madeSource(), p.life(crowd)...)
	case string(volume.VerbFlatten):
		return append(p.madeSource(), p.life(crowd, p.perhaps(volume.VerbSnapshot)...)...)
	case string(volume.VerbSnapshot):
		return p.life(crowd, p.perhaps(volume.VerbAttach)...)
	case string(volume.VerbDeleteSnapshot):
		return p.life(crowd, append(p.perhaps(volume.VerbAttach), volume.VerbSnapshot)...)
	case string(volume.VerbRestore):
		return p.life(crowd, volume.VerbSnapshot, volume.VerbResize)
	default:
		return append(p.life(crowd, volume.VerbSnapshot), p.madeChild())
	}
}

// perhaps is the verb, for half of the seeds.
func (p *planner) perhaps(verb volume.Verb) []volume.Verb {
	if p.coin() {
		return []volume.Verb{verb}
	}
	return nil
}

// madeSource makes another volume with a snapshot, of which every create from now on makes
// a clone.
func (p *planner) madeSource() []ask {
	asks := []ask{p.of(sourceName, p.request(volume.VerbCreate)), p.of(sourceName, p.request(volume.VerbSnapshot))}
	p.source = volume.SnapshotKey{Volume: sourceName, Snapshot: p.snapshot}
	return asks
}

// madeChild makes a clone of the volume's snapshot.
func (p *planner) madeChild() ask {
	child := p.of(childName, p.request(volume.VerbCreate))
	child.Args.Size, child.Args.Source = 0, volume.SnapshotKey{Volume: p.key.Name, Snapshot: p.snapshot}
	return child
}

// of is the command for another volume of the project.
func (p *planner) of(name volume.Name, a ask) ask {
	a.Key.Name = name
	return a
}
