package worker_test

import (
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/jetvol/jetvol/backends"
	"github.com/jetvol/jetvol/backends/null"
	"github.com/jetvol/jetvol/commands"
	"github.com/jetvol/jetvol/fsm"
	"github.com/jetvol/jetvol/volume"
	"github.com/jetvol/jetvol/worker"
)

func unmanage(name string, as volume.Image) commands.Request {
	return commands.Request{Key: key(name), Verb: volume.VerbUnmanage, Args: volume.Args{Name: as}}
}

// written is a volume with something in its data.
func (s *system) written(name, text string) {
	s.t.Helper()
	s.wantReply(s.create(name, volume.MiB), volume.Succeeded, volume.StateAvailable, "")
	file, err := os.OpenFile(s.file(key(name)), os.O_WRONLY, 0)
	s.must(err)
	_, err = file.WriteAt([]byte(text), 0)
	s.must(err)
	s.must(file.Close())
}

// wantReleased wants the backend to keep a file of that name and content, which it does not
// list, and nothing else of the volume.
func (s *system) wantReleased(name string, image volume.Image, text string) {
	s.t.Helper()
	data, err := os.ReadFile(filepath.Join(s.dir, string(image)))
	s.must(err)
	if len(data) != int(volume.MiB) || string(data[:len(text)]) != text {
		s.t.Errorf("image %s: got %d bytes that begin with %q, want %q", image, len(data), data[:len(text)], text)
	}
	s.must(s.backend.List(s.ctx, func(o backends.Object) bool {
		if o.Key == key(name) {
			s.t.Errorf("the backend still lists %+v: a sweep would take it for an orphan", o)
		}
		return true
	}))
	last := s.events(name)[len(s.events(name))-1]
	if want := "unmanaged: backend local keeps it as " + string(image); last.Reason != want || last.Image != image {
		s.t.Errorf("event %s: got reason %q, image %q, want %q", last.Event, last.Reason, last.Image, want)
	}
}

func TestUnmanage_Available_KeepsTheDataAndFreesTheName(t *testing.T) {
	s := start(t)
	s.written("v", "precious")
	request := unmanage("v", "")
	request.ID = "unmanage-v"
	reply := s.do(request)
	s.wantReply(reply, volume.Succeeded, volume.StateDeleted, "")
	const image = "released-default.v.1"
	if again := s.do(request); reply.Image != image || !again.Repeat || again.Image != image {
		t.Errorf("got image %q and again %q (repeat %v), want %s", reply.Image, again.Image, again.Repeat, image)
	}
	s.wantReleased("v", image, "precious")
	s.wantWitnesses("v", volume.EventCreate, volume.EventReady, volume.EventDelete, volume.EventDeleted)
	s.wantReply(s.verb("v", volume.VerbUnmanage), volume.Rejected, volume.StateDeleted, volume.ErrVolumeNotFound)
	// The name lives again, and a delete of it does not touch what was given away.
	s.wantReply(s.create("v", 2*volume.MiB), volume.Succeeded, volume.StateAvailable, "")
	s.wantReply(s.verb("v", volume.VerbDelete), volume.Succeeded, volume.StateDeleted, "")
	if _, err := os.Stat(filepath.Join(s.dir, image)); err != nil {
		t.Errorf("after a delete of the next life: got %v, want the image", err)
	}
}

func TestUnmanage_WhatStandsInTheWay_IsToldAndChangesNothing(t *testing.T) {
	s := start(t, func(c *worker.Config) {
		blind := backends.New("null", null.New(null.Options{}), backends.Options{})
		t.Cleanup(func() { must(t, blind.Close()) })
		c.Backends["null"] = blind
	})
	s.create("held", volume.MiB)
	s.attach("held", "n1")
	s.create("kept", volume.MiB)
	s.snapshot("kept", "monday")
	s.do(commands.Request{Key: key("copy"), Verb: volume.VerbCreate, Args: volume.Args{Source: volume.SnapshotKey{Volume: "kept", Snapshot: "monday"}}})
	s.create("plain", volume.MiB)
	s.do(commands.Request{Key: key("blind"), Verb: volume.VerbCreate, Args: volume.Args{Size: volume.MiB, Backend: "null"}})
	must(t, os.WriteFile(filepath.Join(s.dir, "taken"), []byte("of somebody"), 0o600))
	for _, test := range []struct {
		name, as string
		result   volume.Result
		state    volume.State
		code     volume.Code
	}{
		{"held", "", volume.Rejected, volume.StateAttached, volume.ErrInvalidTransition},
		{"kept", "", volume.Rejected, volume.StateAvailable, volume.ErrHasSnapshots},
		{"copy", "", volume.Rejected, volume.StateAvailable, volume.ErrIsAClone},
		{"blind", "", volume.Rejected, volume.StateAvailable, volume.ErrBackendUnsupported},
		{"none", "", volume.Rejected, "", volume.ErrVolumeNotFound},
		{"plain", "taken", volume.Failed, volume.StateAvailable, volume.ErrBackendPrecondition},
		{"plain", "default.plain.img", volume.Failed, volume.StateAvailable, volume.ErrBackendPrecondition},
	} {
		s.wantReply(s.do(unmanage(test.name, volume.Image(test.as))), test.result, test.state, test.code)
	}
	if data, err := os.ReadFile(filepath.Join(s.dir, "taken")); err != nil || string(data) != "of somebody" {
		t.Errorf("the file of somebody: got %q, %v", data, err)
	}
	s.wantReply(s.attach("plain", "n1"), volume.Succeeded, volume.StateAttached, "")
	s.wantReply(s.do(commands.Request{Key: key("copy"), Verb: volume.VerbFlatten}), volume.Succeeded, volume.StateAvailable, "")
	s.wantReply(s.verb("copy", volume.VerbUnmanage), volume.Succeeded, volume.StateDeleted, "")
	s.wantChain("copy")
}

func TestUnmanage_AnswerOfTheBackendLost_IsDoneOnce(t *testing.T) {
	s := start(t)
	s.written("v", "precious")
	lost := 0
	s.backend.hook(nil, func(call string, _ backends.Ref) error {
		if lost++; call == "release" && lost == 1 {
			return backends.Errorf(volume.Unavailable, "the answer is lost")
		}
		return nil
	})
	s.wantReply(s.do(unmanage("v", "web-disk")), volume.Succeeded, volume.StateDeleted, "")
	s.wantReleased("v", "web-disk", "precious")
	s.wantWitnesses("v", volume.EventCreate, volume.EventReady, volume.EventDelete, volume.EventError, volume.EventRetry, volume.EventDeleted)
}

// The former owner died after its call, or before it.
func TestUnmanage_OwnerDied_NextOneEndsIt(t *testing.T) {
	for name, released := range map[string]bool{"after its call": true, "before its call": false} {
		t.Run(name, func(t *testing.T) {
			s := start(t)
			s.written("v", "precious")
			must(t, s.stop())
			record := s.record("v")
			request := unmanage("v", "web-disk")
			request.ID = "u1"
			s.begun(request)
			if released {
				must(t, s.backend.Driver.Release(t.Context(), backends.Ref{Key: record.Key, ID: record.ID, Epoch: record.Owner.Epoch}, "web-disk"))
			}
			s.stop = s.startAnother(s.config)
			s.awaitEvent("v", ofCommand("u1"))
			s.wantReleased("v", "web-disk", "precious")
			s.wantReply(s.do(request), volume.Succeeded, volume.StateDeleted, "")
		})
	}
}

// begun stores a command and its first decision, as a worker does that dies then.
func (s *system) begun(request commands.Request) {
	s.t.Helper()
	receipt := s.publish(request)
	entry, err := s.records.ByKey(s.ctx, request.Key)
	s.must(err)
	command := volume.Command{
		ID: receipt.CommandID, Key: request.Key, Verb: request.Verb, Args: request.Args, Sequence: receipt.Sequence, Backend: "local",
	}
	if command.TakesImage() {
		command.Plan = &volume.Plan{Size: volume.MiB}
	}
	decision, err := fsm.Decide(entry.Value, command, time.Now().UTC())
	s.must(err)
	_, err = s.records.CompareAndSet(s.ctx, request.Key.String(), decision.Record, entry.Revision)
	s.must(err)
}

func TestUnmanage_CancelledBeforeItsCall_LeavesTheVolume(t *testing.T) {
	s := start(t)
	s.written("v", "precious")
	entered, release := s.gate("release", "v")
	defer close(release)
	s.publish(commands.Request{Key: key("v"), Verb: volume.VerbUnmanage, ID: "u1"})
	s.awaitCall(entered)
	s.wantReply(s.do(commands.Request{Key: key("v"), Verb: volume.VerbCancel, Args: volume.Args{Target: "u1"}}), volume.Succeeded, volume.StateAvailable, "")
	s.wantWitnesses("v", volume.EventCreate, volume.EventReady, volume.EventDelete, volume.EventError, volume.EventCancelled)
}
