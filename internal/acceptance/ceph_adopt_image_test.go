//go:build ceph

package acceptance

import (
	"slices"
	"testing"

	"github.com/jetvol/jetvol/commands"
	"github.com/jetvol/jetvol/volume"
)

// What was let go of comes back under another name, byte for byte, and what rbd made becomes a
// volume: with every later command.
func TestCeph_AdoptImage_DataComesIn(t *testing.T) {
	s, p := startCeph(t)
	client, driver := s.client(t), p.driver(t)
	_, js := s.connect(t)
	from := volume.Key{Project: "default", Name: "db-01"}
	wantReply(t, do(t, client, commands.Request{Key: from, Verb: volume.VerbCreate, Args: volume.Args{Size: 8 * volume.MiB}, Actor: "test"}), volume.Succeeded, volume.StateAvailable, "")
	p.cluster.RBD(t, "create", "--size", "8M", p.image("made-by-rbd"))
	contents := map[volume.Image]string{"released-default.db-01.1": p.written(t, imageOf(from)), "made-by-rbd": p.written(t, "made-by-rbd")}
	wantReply(t, do(t, client, commands.Request{Key: from, Verb: volume.VerbUnmanage, Actor: "test"}), volume.Succeeded, volume.StateDeleted, "")

	for image, before := range contents {
		key := volume.Key{Project: "default", Name: volume.Name("web-" + string(image[:4]))}
		adopt := commands.Request{Key: key, Verb: volume.VerbAdopt, Args: volume.Args{Image: image}, Actor: "test"}
		dry := adopt
		dry.ValidateOnly = true
		want := volume.Plan{Backend: "ceph", Image: image, Size: 8 * volume.MiB, Becomes: imageOf(key)}
		if reply := do(t, client, dry); reply.Plan == nil || *reply.Plan != want {
			t.Errorf("%s: got %+v with plan %+v, want %+v", image, reply, reply.Plan, want)
		}
		wantReply(t, do(t, client, adopt), volume.Succeeded, volume.StateAvailable, "")
		if after := p.content(t, imageOf(key)); after != before {
			t.Errorf("%s: the volume has other data than the image had", image)
		}
		if slices.Contains(p.images(t), string(image)) {
			t.Errorf("%s: still there", image)
		}
		record, seen := readWitnessesOf(t, js, driver, key)
		for _, fault := range disagreements(record, seen.events, seen.object) {
			t.Error(fault)
		}
		for _, verb := range []commands.Request{
			{Verb: volume.VerbResize, Args: volume.Args{Size: 16 * volume.MiB}},
			{Verb: volume.VerbSnapshot, Args: volume.Args{Snapshot: "s1"}},
			{Verb: volume.VerbDeleteSnapshot, Args: volume.Args{Snapshot: "s1"}},
		} {
			verb.Key, verb.Actor = key, "test"
			wantReply(t, do(t, client, verb), volume.Succeeded, volume.StateAvailable, "")
		}
		wantReply(t, do(t, client, commands.Request{Key: key, Verb: volume.VerbDelete, Actor: "test"}), volume.Succeeded, volume.StateDeleted, "")
	}
	if images := p.images(t); len(images) > 0 {
		t.Errorf("got images %q, want none left", images)
	}
}

// What stands in the way is told before anything is changed.
func TestCeph_AdoptImage_Refused_LeavesTheImage(t *testing.T) {
	s, p := startCeph(t)
	client := s.client(t)
	p.cluster.RBD(t, "create", "--size", "8M", p.image("kept"))
	p.cluster.RBD(t, "snap", "create", p.image("kept")+"@monday")
	p.cluster.RBD(t, "snap", "protect", p.image("kept")+"@monday")
	p.cluster.RBD(t, "clone", p.image("kept")+"@monday", p.image("copy"))
	for image, code := range map[volume.Image]volume.Code{
		"none": volume.ErrBackendNotFound,
		"kept": volume.ErrBackendPrecondition,
		"copy": volume.ErrBackendPrecondition,
	} {
		for _, dry := range []bool{true, false} {
			request := commands.Request{Key: volume.Key{Project: "default", Name: "web"}, Verb: volume.VerbAdopt, Args: volume.Args{Image: image}, Actor: "test"}
			request.ValidateOnly = dry
			if reply := do(t, client, request); reply.Outcome != volume.Rejected || reply.Failure.Code != code {
				t.Errorf("%s, dry run %t: got %s %+v, want %s", image, dry, reply.Outcome, reply.Failure, code)
			}
		}
	}
	if images := p.images(t); !slices.Equal(images, []string{"copy", "kept"}) {
		t.Errorf("got images %q", images)
	}
	p.cluster.RBD(t, "flatten", "--no-progress", p.image("copy"))
	p.cluster.RBD(t, "snap", "unprotect", p.image("kept")+"@monday")
	p.cluster.RBD(t, "snap", "purge", "--no-progress", p.image("kept"))
	p.cluster.RBD(t, "rm", "--no-progress", p.image("kept"))
	p.cluster.RBD(t, "rm", "--no-progress", p.image("copy"))
}
