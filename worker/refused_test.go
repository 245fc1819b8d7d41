package worker_test

import (
	"context"
	"strings"
	"testing"

	"github.com/jetvol/jetvol/backends"
	"github.com/jetvol/jetvol/volume"
)

// TestWorker_BackendRefuses_VolumeStaysUsable: what is in the way of a delete or a detach is told,
// and nothing is wrong with the volume.
func TestWorker_BackendRefuses_VolumeStaysUsable(t *testing.T) {
	s := start(t)
	s.create("v", volume.MiB)
	inTheWay := map[string]error{
		"delete": backends.Errorf(volume.FailedPrecondition, "snapshot before-upgrade"),
		"detach": backends.Errorf(volume.Busy, "opened by client 127.0.0.1:0/77"),
	}
	s.backend.hook(func(_ context.Context, call string, _ backends.Ref) error { return inTheWay[call] }, nil)

	refused := s.verb("v", volume.VerbDelete)
	s.wantReply(refused, volume.Failed, volume.StateAvailable, volume.ErrBackendPrecondition)
	if !strings.Contains(refused.Failure.Message, "snapshot before-upgrade") {
		t.Errorf("refused delete: got %q, want what is in the way", refused.Failure.Message)
	}
	s.attach("v", "n1")
	refused = s.verb("v", volume.VerbDetach)
	s.wantReply(refused, volume.Failed, volume.StateAttached, volume.ErrBackendBusy)
	if !strings.Contains(refused.Failure.Message, "127.0.0.1:0/77") {
		t.Errorf("refused detach: got %q, want what is in the way", refused.Failure.Message)
	}
	s.backend.hook(nil, nil)
	s.wantReply(s.verb("v", volume.VerbDetach), volume.Succeeded, volume.StateAvailable, "")
	s.wantReply(s.verb("v", volume.VerbDelete), volume.Succeeded, volume.StateDeleted, "")
	s.wantWitnesses("v", volume.EventCreate, volume.EventReady,
		volume.EventDelete, volume.EventError, volume.EventRefused,
		volume.EventAttach, volume.EventAttached,
		volume.EventDetach, volume.EventError, volume.EventRetry, volume.EventError, volume.EventRetry, volume.EventError, volume.EventRefused,
		volume.EventDetach, volume.EventDetached, volume.EventDelete, volume.EventDeleted)
}
