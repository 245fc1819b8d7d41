package acceptance

import (
	"reflect"
	"testing"

	"github.com/jetvol/jetvol/commands"
	"github.com/jetvol/jetvol/fsm"
	"github.com/jetvol/jetvol/volume"
)

// The same command id again gets the first answer: after the dedupe window, when the
// record's ring has let go of it, when the volume has ended, when its name lives again,
// and when jetvol was restarted in between.
func TestRepeat_SameID_GetsFirstAnswer(t *testing.T) {
	s := startServer(t)
	client := s.client(t)
	key := volume.Key{Project: "default", Name: "db-01"}
	create := commands.Request{Key: key, ID: "create-1", Verb: volume.VerbCreate, Args: volume.Args{Size: volume.MiB}}
	remove := commands.Request{Key: key, ID: "delete-1", Verb: volume.VerbDelete}
	again := func(client *commands.Client, when string, request commands.Request, first commands.Reply) {
		t.Helper()
		got := do(t, client, request)
		first.Repeat = true
		if !reflect.DeepEqual(got, first) {
			t.Errorf("%s: got %+v, want %+v", when, got, first)
		}
	}

	created := do(t, client, create)
	wantReply(t, created, volume.Succeeded, volume.StateAvailable, "")
	again(client, "at once", create, created) // the client publishes until the window is over

	for range fsm.MaxOutcomes {
		do(t, client, commands.Request{Key: key, Verb: volume.VerbReconcile})
	}
	again(client, "out of the ring", create, created)

	removed := do(t, client, remove)
	wantReply(t, removed, volume.Succeeded, volume.StateDeleted, "")
	again(client, "after the end, create", create, created)
	again(client, "after the end, delete", remove, removed)

	s.stop(t)
	s.start(t)
	client = s.client(t)
	again(client, "after a restart, create", create, created)

	second := do(t, client, commands.Request{Key: key, ID: "create-2", Verb: volume.VerbCreate, Args: volume.Args{Size: volume.MiB}})
	wantReply(t, second, volume.Succeeded, volume.StateAvailable, "")
	if second.VolumeID == created.VolumeID || second.Generation <= removed.Generation {
		t.Errorf("second life: got id %s, generation %d", second.VolumeID, second.Generation)
	}
	again(client, "in the second life, delete", remove, removed)
	if size := fileSize(t, s.file(key.String())); size != volume.MiB {
		t.Errorf("second life: file of %s, want 1MiB: the old delete was carried out", size)
	}
}

// An id that belongs to another command is refused at any time, and the first answer
// stays what it was.
func TestRepeat_SameIDOtherBody_IsRefusedAndBuried(t *testing.T) {
	s := startServer(t)
	client := s.client(t)
	_, js := s.connect(t)
	letters := newGraveyard(t, js)
	key := volume.Key{Project: "default", Name: "db-01"}
	create := commands.Request{Key: key, ID: "create-1", Verb: volume.VerbCreate, Args: volume.Args{Size: volume.MiB}}
	first := do(t, client, create)

	for _, other := range []commands.Request{
		{Key: key, ID: "create-1", Verb: volume.VerbCreate, Args: volume.Args{Size: 2 * volume.MiB}},
		{Key: key, ID: "create-1", Verb: volume.VerbDelete},
	} {
		wantReply(t, do(t, client, other), volume.Rejected, "", volume.ErrCommandIDReused)
		if letter := letters.next(); letter.code != volume.ErrCommandIDReused {
			t.Errorf("dead letter: got code %q", letter.code)
		}
	}
	first.Repeat = true
	if got := do(t, client, create); !reflect.DeepEqual(got, first) {
		t.Errorf("the first command again: got %+v, want %+v", got, first)
	}
	// Another volume may use the same id.
	other := do(t, client, commands.Request{
		Key: volume.Key{Project: "default", Name: "db-02"}, ID: "create-1", Verb: volume.VerbCreate, Args: volume.Args{Size: volume.MiB},
	})
	wantReply(t, other, volume.Succeeded, volume.StateAvailable, "")
}
