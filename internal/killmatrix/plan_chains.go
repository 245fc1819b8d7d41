package main

import "github.com/jetvol/jetvol/volume"

// Volumes beside the one that the command is for.
const (
	sourceName volume.Name = "source" // what a clone is made from
	childName  volume.Name = "child"  // a clone of the volume
)

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
