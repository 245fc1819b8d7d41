package volume_test

import (
	"errors"
	"fmt"
	"reflect"
	"strings"
	"testing"

	"github.com/jetvol/jetvol/volume"
)

// blocked is an error that says what blocks.
type blocked []volume.Blocker

func (blocked) Error() string                { return "blocked" }
func (blocked) Unwrap() error                { return volume.FailedPrecondition }
func (b blocked) Blockers() []volume.Blocker { return b }

func children(n int) blocked {
	var by blocked
	for i := range n {
		by = append(by, volume.Blocker{Kind: volume.BlockedByChild, Name: fmt.Sprintf("clone-%d", i)})
	}
	return by
}

func TestNewFailure_BlockedBy(t *testing.T) {
	two := children(2)
	for name, test := range map[string]struct {
		err  error
		want []volume.Blocker
	}{
		"none":                  {volume.BackendError(volume.Busy), nil},
		"bare":                  {two, two},
		"wrapped":               {fmt.Errorf("delete: %w", two), two},
		"of a backend":          {volume.BackendError(fmt.Errorf("delete: %w", two)), two},
		"with a code":           {volume.Errorf(volume.ErrSnapshotInUse, "snapshot db-01@monday: %w", two), two},
		"among others":          {errors.Join(volume.Busy, two), two},
		"says that nothing is":  {children(0), nil},
		"the most":              {children(volume.MaxBlockers), children(volume.MaxBlockers)},
		"more than are listed":  {children(volume.MaxBlockers + 3), children(volume.MaxBlockers)},
		"the outer one decides": {fmt.Errorf("%w: %w", two, children(3)), two},
	} {
		t.Run(name, func(t *testing.T) {
			if got := volume.NewFailure(test.err).BlockedBy; !reflect.DeepEqual(got, test.want) {
				t.Errorf("got %+v, want %+v", got, test.want)
			}
		})
	}
}

// TestNewFailure_BlockedBy_IsItsOwn: a failure is stored, an error may be changed.
func TestNewFailure_BlockedBy_IsItsOwn(t *testing.T) {
	err := children(2)
	failure := volume.NewFailure(err)
	err[0].Name = "changed"
	if got := failure.BlockedBy[0].Name; got != "clone-0" {
		t.Errorf("got %q, want clone-0", got)
	}
}

func TestNewFailure_IsBounded(t *testing.T) {
	var by blocked
	for range volume.MaxBlockers {
		by = append(by, volume.Blocker{Kind: volume.BlockedByWatcher, Name: strings.Repeat("ä", 5000)})
	}
	failure := volume.NewFailure(fmt.Errorf("%s: %w", strings.Repeat("ö", 5000), by))
	size := len(failure.Message)
	for _, one := range failure.BlockedBy {
		size += len(one.Kind) + len(one.Name)
		if strings.ToValidUTF8(one.Name, "") != one.Name || !strings.HasSuffix(one.Name, "…") {
			t.Fatalf("got the name %q, want it cut between letters", one.Name)
		}
	}
	if most := 20 << 10; size > most {
		t.Errorf("got a failure of %d bytes, want at most %d", size, most)
	}
}
