package worker_test

import (
	"context"
	"os"
	"path/filepath"
	"slices"
	"testing"

	"github.com/jetvol/jetvol/backends"
	"github.com/jetvol/jetvol/backends/null"
	"github.com/jetvol/jetvol/commands"
	"github.com/jetvol/jetvol/quotas"
	"github.com/jetvol/jetvol/volume"
	"github.com/jetvol/jetvol/worker"
)

func adoptImage(name string, image volume.Image) commands.Request {
	return adopt(name, volume.Args{Image: image})
}

// image makes a file that jetvol never made.
func (s *system) image(name, text string) {
	s.t.Helper()
	data := make([]byte, volume.MiB)
	copy(data, text)
	s.must(os.WriteFile(filepath.Join(s.dir, name), data, 0o600))
}

// wantTakenIn wants the volume to have the content, the image's name to be free, and the last
// event to tell it.
func (s *system) wantTakenIn(name, image, text string) {
	s.t.Helper()
	data, err := os.ReadFile(s.file(key(name)))
	s.must(err)
	if len(data) != int(volume.MiB) || string(data[:len(text)]) != text {
		s.t.Errorf("volume %s: got %d bytes that begin with %q, want %q", name, len(data), data[:len(text)], text)
	}
	if _, err := os.Lstat(filepath.Join(s.dir, image)); !os.IsNotExist(err) {
		s.t.Errorf("file %s: got %v, want it gone", image, err)
	}
	last := s.events(name)[len(s.events(name))-1]
	if want := "adopted: backend local had it as " + image; last.Reason != want || string(last.Image) != image {
		s.t.Errorf("event %s: got reason %q, image %q, want %q", last.Event, last.Reason, last.Image, want)
	}
}

// wantUntouched wants the image to be as it was made.
func (s *system) wantUntouched(image, text string) {
	s.t.Helper()
	data, err := os.ReadFile(filepath.Join(s.dir, image))
	if err != nil || string(data[:len(text)]) != text {
		s.t.Errorf("image %s: got %v, want it as it was", image, err)
	}
}

func TestAdoptImage_FileOfSomebody_BecomesAVolume(t *testing.T) {
	s := start(t)
	s.image("web-disk", "precious")
	request := adoptImage("v", "web-disk")
	request.ID = "adopt-v"
	reply := s.do(request)
	s.wantReply(reply, volume.Succeeded, volume.StateAvailable, "")
	if again := s.do(request); !again.Repeat || again.Image != "web-disk" || reply.Image != "web-disk" || again.VolumeID != reply.VolumeID {
		t.Errorf("got %+v and again %+v", reply, again)
	}
	s.wantTakenIn("v", "web-disk", "precious")
	if record := s.record("v"); record.ID != "default.v.1" || record.Size != volume.MiB || record.Backend != "local" || record.CreatedAt.IsZero() {
		t.Errorf("got %+v", record)
	}
	s.wantReply(s.do(adoptImage("v", "web-disk")), volume.Rejected, volume.StateAvailable, volume.ErrVolumeExists)
	s.wantReply(s.attach("v", "n1"), volume.Succeeded, volume.StateAttached, "")
	s.wantReply(s.verb("v", volume.VerbDetach), volume.Succeeded, volume.StateAvailable, "")
	s.wantReply(s.verb("v", volume.VerbDelete), volume.Succeeded, volume.StateDeleted, "")
	s.wantWitnesses("v", volume.EventCreate, volume.EventReady, volume.EventRejected, volume.EventAttach, volume.EventAttached,
		volume.EventDetach, volume.EventDetached, volume.EventDelete, volume.EventDeleted)
}

// What was let go of comes back, under its own name or another.
func TestAdoptImage_Unmanaged_ComesBack(t *testing.T) {
	for _, name := range []string{"v", "w"} {
		t.Run(name, func(t *testing.T) {
			s := start(t)
			s.written("v", "precious")
			s.wantReply(s.do(unmanage("v", "web-disk")), volume.Succeeded, volume.StateDeleted, "")
			s.wantReply(s.do(adoptImage(name, "web-disk")), volume.Succeeded, volume.StateAvailable, "")
			s.wantTakenIn(name, "web-disk", "precious")
			if record := s.record("v"); name == "v" && record.ID != "default.v.5" {
				t.Errorf("got id %s, want another life's", record.ID)
			}
		})
	}
}

func TestAdoptImage_Refused_LeavesNothing(t *testing.T) {
	s := start(t, func(c *worker.Config) {
		blind := backends.New("null", null.New(null.Options{}), backends.Options{})
		t.Cleanup(func() { must(t, blind.Close()) })
		c.Backends["null"] = blind
	})
	s.image("web-disk", "precious")
	s.must(os.WriteFile(filepath.Join(s.dir, "empty"), nil, 0o600))
	s.create("live", volume.MiB)
	s.unrecorded("orphan", 7, volume.MiB)
	for name, test := range map[string]struct {
		request commands.Request
		code    volume.Code
	}{
		"absent":     {adoptImage("v", "nothing"), volume.ErrBackendNotFound},
		"empty":      {adoptImage("v", "empty"), volume.ErrBackendPrecondition},
		"a volume's": {adoptImage("v", "default.live.img"), volume.ErrBackendPrecondition},
		"exists":     {adoptImage("live", "web-disk"), volume.ErrVolumeExists},
		"orphan":     {adoptImage("orphan", "web-disk"), volume.ErrBackendExists},
		"no backend": {adopt("v", volume.Args{Image: "web-disk", Backend: "tape"}), volume.ErrUnknownBackend},
		"cannot":     {adopt("v", volume.Args{Image: "web-disk", Backend: "null"}), volume.ErrBackendUnsupported},
		"with an id": {adopt("v", volume.Args{Image: "web-disk", ID: "default.v.1"}), volume.ErrInvalidArgument},
	} {
		for _, dry := range []bool{true, false} {
			test.request.ValidateOnly = dry
			if reply := s.do(test.request); reply.Outcome != volume.Rejected || codeOf(reply) != test.code || reply.Plan != nil {
				t.Errorf("%s, dry run %t: got %s %+v, want %s", name, dry, reply.Outcome, reply.Failure, test.code)
			}
		}
	}
	s.wantUntouched("web-disk", "precious")
	for _, name := range []string{"v", "orphan"} {
		if record := s.record(name); record.ID != "" || record.Generation != 0 {
			t.Errorf("%s: got a record %+v", name, record)
		}
	}
}

func TestAdoptImage_ValidateOnly_TellsThePlanAndChangesNothing(t *testing.T) {
	s := start(t)
	s.image("web-disk", "precious")
	request := adoptImage("v", "web-disk")
	request.ValidateOnly = true
	want := volume.Plan{Backend: "local", Image: "web-disk", Size: volume.MiB, Becomes: "default.v.img"}
	if reply := s.do(request); reply.Outcome != volume.Valid || reply.Plan == nil || *reply.Plan != want {
		t.Errorf("got %+v with %+v, want %+v", reply, reply.Plan, want)
	}
	s.wantUntouched("web-disk", "precious")
	request.ValidateOnly = false
	if reply := s.do(request); reply.VolumeID != "default.v.1" || reply.Plan != nil {
		t.Errorf("got %+v, want that nothing was before it", reply)
	}
}

// The bytes of the image are asked for before it is touched.
func TestAdoptImage_OverQuota_IsRefusedBeforeTheBackendIsCalled(t *testing.T) {
	s := start(t)
	s.image("web-disk", "precious")
	request, asked := adoptImage("v", "web-disk"), adoptImage("v", "web-disk")
	asked.ValidateOnly = true
	for _, limits := range []quotas.Limits{{Volumes: quotas.Limit(0)}, {Bytes: quotas.Limit(int64(volume.MiB) - 1)}} {
		s.setQuota(limits)
		for _, r := range []commands.Request{asked, request} {
			if reply := s.do(r); reply.Outcome != volume.Rejected || codeOf(reply) != volume.ErrQuotaExceeded {
				t.Errorf("got %s %+v", reply.Outcome, reply.Failure)
			}
		}
		s.wantUsed(quotas.Usage{})
	}
	if calls := s.backend.callsOf(key("v")); slices.Contains(calls, "import") {
		t.Errorf("got calls %q", calls)
	}
	s.wantUntouched("web-disk", "precious")
	s.setQuota(quotas.Limits{Volumes: quotas.Limit(1), Bytes: quotas.Limit(int64(volume.MiB))})
	s.wantReply(s.do(request), volume.Succeeded, volume.StateAvailable, "")
	s.wantUsed(quotas.Usage{Volumes: 1, Bytes: int64(volume.MiB)})
}

// beforeImport has somebody change an image between the look at it and the import.
func (s *system) beforeImport(change func() error) {
	s.backend.hook(func(_ context.Context, call string, _ backends.Ref) error {
		if call == "import" {
			return change()
		}
		return nil
	}, nil)
}

// Between the look and the import the image has grown: the record and the quota tell what is
// there.
func TestAdoptImage_GrownMeanwhile_IsAsLargeAsItIs(t *testing.T) {
	s := start(t)
	s.setQuota(quotas.Limits{Volumes: quotas.Limit(1)})
	s.image("web-disk", "precious")
	s.beforeImport(func() error { return os.Truncate(filepath.Join(s.dir, "web-disk"), int64(2*volume.MiB)) })
	s.wantReply(s.do(adoptImage("v", "web-disk")), volume.Succeeded, volume.StateAvailable, "")
	if record := s.record("v"); record.Size != 2*volume.MiB {
		t.Errorf("got size %s", record.Size)
	}
	s.wantUsed(quotas.Usage{Volumes: 1, Bytes: int64(2 * volume.MiB)})
}

// Somebody takes the image away after the look: nothing is broken, and the name is free.
func TestAdoptImage_GoneMeanwhile_LeavesTheNamePending(t *testing.T) {
	s := start(t)
	s.setQuota(quotas.Limits{Volumes: quotas.Limit(1)})
	s.image("web-disk", "precious")
	s.beforeImport(func() error { return os.Rename(filepath.Join(s.dir, "web-disk"), filepath.Join(s.dir, "elsewhere")) })
	s.wantReply(s.do(adoptImage("v", "web-disk")), volume.Failed, volume.StatePending, volume.ErrBackendNotFound)
	s.backend.hook(nil, nil)
	s.wantUsed(quotas.Usage{})
	s.wantReply(s.do(adoptImage("v", "elsewhere")), volume.Succeeded, volume.StateAvailable, "")
	s.wantTakenIn("v", "elsewhere", "precious")
	s.wantWitnesses("v", volume.EventCreate, volume.EventError, volume.EventRefused, volume.EventCreate, volume.EventReady)
}

func TestAdoptImage_AnswerOfTheBackendLost_IsDoneOnce(t *testing.T) {
	s := start(t)
	s.image("web-disk", "precious")
	lost := 0
	s.backend.hook(nil, func(call string, _ backends.Ref) error {
		if lost++; call == "import" && lost == 2 { // the look was the first
			return backends.Errorf(volume.Unavailable, "the answer is lost")
		}
		return nil
	})
	s.wantReply(s.do(adoptImage("v", "web-disk")), volume.Succeeded, volume.StateAvailable, "")
	s.wantTakenIn("v", "web-disk", "precious")
	s.wantWitnesses("v", volume.EventCreate, volume.EventError, volume.EventRetry, volume.EventReady)
}

// The former owner died after its call, or before it.
func TestAdoptImage_OwnerDied_NextOneEndsIt(t *testing.T) {
	for name, imported := range map[string]bool{"after its call": true, "before its call": false} {
		t.Run(name, func(t *testing.T) {
			s := start(t)
			s.image("web-disk", "precious")
			s.wantReply(s.attach("v", "n1"), volume.Rejected, "", volume.ErrVolumeNotFound) // it has a record to begin from
			must(t, s.stop())
			request := adoptImage("v", "web-disk")
			request.ID = "a1"
			s.begun(request)
			if imported {
				_, err := s.backend.Driver.Import(t.Context(), s.ref("v"), "web-disk")
				must(t, err)
			}
			s.stop = s.startAnother(s.config)
			s.awaitEvent("v", ofCommand("a1"))
			s.wantReply(s.do(request), volume.Succeeded, volume.StateAvailable, "")
			s.wantTakenIn("v", "web-disk", "precious")
		})
	}
}

func TestAdoptImage_CancelledBeforeItsCall_LeavesTheImage(t *testing.T) {
	s := start(t)
	s.image("web-disk", "precious")
	entered, release := s.gate("import", "v")
	defer close(release)
	request := adoptImage("v", "web-disk")
	request.ID = "a1"
	s.publish(request)
	s.awaitCall(entered)
	s.wantReply(s.do(commands.Request{Key: key("v"), Verb: volume.VerbCancel, Args: volume.Args{Target: "a1"}}), volume.Succeeded, volume.StatePending, "")
	s.wantUntouched("web-disk", "precious")
	s.wantWitnesses("v", volume.EventCreate, volume.EventError, volume.EventCancelled)
}

// A cancel comes too late: the image is in, and the reason says so.
func TestAdoptImage_CancelledAfterItsCall_IsAVolume(t *testing.T) {
	s := start(t)
	s.image("web-disk", "precious")
	s.loseAnswers("import")
	request := adoptImage("v", "web-disk")
	request.ID = "a1"
	s.publish(request)
	s.awaitEvent("v", func(t volume.Transition) bool { return t.Event == volume.EventError })
	s.wantReply(s.do(commands.Request{Key: key("v"), Verb: volume.VerbCancel, Args: volume.Args{Target: "a1"}}), volume.Succeeded, volume.StateAvailable, "")
	s.wantTakenIn("v", "web-disk", "precious")
}
