package volume_test

import (
	"errors"
	"strings"
	"testing"

	"github.com/jetvol/jetvol/volume"
)

func TestImage_NamesOfOthers_AreTaken(t *testing.T) {
	for _, name := range []volume.Image{
		"a", "7", "_x", "volume-0b2c4f0e-8a0f-4c1c-9d0e-0d9b5d7f2a11", "Web.Disk+1_old", "released-default.db-01.1",
		volume.Image(strings.Repeat("x", volume.MaxImageLength)),
	} {
		if err := name.Validate(); err != nil {
			t.Errorf("%q: got %v, want no error", name, err)
		}
	}
}

func TestImage_NamesThatLeadElsewhere_AreRefused(t *testing.T) {
	for _, name := range []volume.Image{
		"", ".", "..", "a..b", "../a", "a/b", "/a", "a\nb", "a\x00", "a b", "a@b", "-rf", "+a", ".hidden", "a:b", "a*", "\xff", "ä",
		volume.Image(strings.Repeat("x", volume.MaxImageLength+1)),
	} {
		if err := name.Validate(); !errors.Is(err, volume.ErrInvalidArgument) {
			t.Errorf("%q: got %v, want %v", name, err, volume.ErrInvalidArgument)
		}
	}
}

func TestReleasedImage_AnyID_IsItsOwnName(t *testing.T) {
	long := volume.Key{Project: volume.Project(strings.Repeat("p", 63)), Name: volume.Name(strings.Repeat("v", 63))}
	seen := map[volume.Image]volume.ID{}
	for _, id := range []volume.ID{"default.db-01.1", "default.db-01.10", volume.NewID(long, 1), volume.NewID(long, 1<<63)} {
		name := volume.ReleasedImage(id)
		if err := name.Validate(); err != nil || seen[name] != "" {
			t.Errorf("%s: got %q (%v), as of %q", id, name, err, seen[name])
		}
		seen[name] = id
	}
	if got, want := volume.ReleasedImage("default.db-01.1"), volume.Image("released-default.db-01.1"); got != want {
		t.Errorf("got %q, want %q", got, want)
	}
}
