package snapshots

import (
	"strings"
	"testing"

	"github.com/jetvol/jetvol/volume"
)

// The order of a walk is that in which the bucket has the keys.
func TestCompareKeys_IsTheOrderOfTheTokens(t *testing.T) {
	var keys []Key
	for _, name := range []volume.Name{"a", "a-b", "a0", "aa", "a--a", "b", "0", "ab-c"} {
		for _, snapshot := range []volume.SnapshotName{"", "a", "a-b", "0", "z"} {
			keys = append(keys, Key{Volume: name, Snapshot: snapshot})
		}
	}
	for _, a := range keys {
		for _, b := range keys {
			if got, want := compareKeys(a, b), strings.Compare(a.tokens(), b.tokens()); got != want {
				t.Errorf("%s and %s: got %d, want %d", a, b, got, want)
			}
		}
	}
}
