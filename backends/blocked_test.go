package backends_test

import (
	"errors"
	"fmt"
	"testing"

	"github.com/jetvol/jetvol/backends"
	"github.com/jetvol/jetvol/volume"
)

func TestBlocked_SeveralKinds_ListsEachOnceInOrder(t *testing.T) {
	err := backends.Blocked(
		backends.Blocker{Kind: backends.BlockedByChild, Name: "default.copy"},
		backends.Blocker{Kind: backends.BlockedBySnapshot, Name: "tuesday"},
		backends.Blocker{Kind: backends.BlockedBySnapshot, Name: "monday"},
		backends.Blocker{Kind: backends.BlockedByWatcher, Name: "127.0.0.1:0/42"},
		backends.Blocker{Kind: backends.BlockedByNode, Name: "n12"},
		backends.Blocker{Kind: backends.BlockedBySnapshot, Name: "monday"},
	)
	wantClass(t, err, volume.FailedPrecondition)
	want := "blocked by node n12, watcher 127.0.0.1:0/42, snapshot monday, snapshot tuesday, child default.copy: failed_precondition"
	if got := err.Error(); got != want {
		t.Errorf("text: got %q, want %q", got, want)
	}
	if blocked, ok := errors.AsType[*backends.BlockedError](fmt.Errorf("delete: %w", err)); !ok || len(blocked.By) != 5 {
		t.Errorf("error: got %#v, want 5 blockers", blocked)
	}
}

func TestBlocked_ByNothing_IsNoError(t *testing.T) {
	if err := backends.Blocked(); err != nil {
		t.Errorf("blocked by nothing: got %v, want no error", err)
	}
}

func TestBlocked_MoreThanTheLimit_CountsTheOthers(t *testing.T) {
	const others = 3
	var by []backends.Blocker
	for i := range backends.MaxBlockers + others {
		by = append(by, backends.Blocker{Kind: backends.BlockedBySnapshot, Name: fmt.Sprintf("s%03d", i)})
	}
	blocked, ok := errors.AsType[*backends.BlockedError](backends.Blocked(by...))
	if !ok || len(blocked.By) != backends.MaxBlockers || blocked.More != others {
		t.Fatalf("error: got %v, want %d listed and %d more", blocked, backends.MaxBlockers, others)
	}
}

func TestBlocked_OnlyByWatchers_IsBusy(t *testing.T) {
	watcher := backends.Blocker{Kind: backends.BlockedByWatcher, Name: "127.0.0.1:0/42"}
	wantClass(t, backends.Blocked(watcher), volume.Busy)
	wantClass(t, backends.Blocked(watcher, backends.Blocker{Kind: backends.BlockedByNode, Name: "n12"}), volume.FailedPrecondition)
}
