package volume_test

import (
	"encoding/json"
	"errors"
	"fmt"
	"strconv"
	"strings"
	"testing"

	"github.com/jetvol/jetvol/volume"
)

func ExampleParseSnapshotKey() {
	key, err := volume.ParseSnapshotKey("db-01@monday")
	fmt.Println(key.Volume, key.Snapshot, key, err)
	_, err = volume.ParseSnapshotKey("db-01")
	fmt.Println(err)
	// Output:
	// db-01 monday db-01@monday <nil>
	// snapshot key "db-01": want <volume>@<snapshot>: invalid_name
}

func TestParseSnapshotKey(t *testing.T) {
	longest := strings.Repeat("v", volume.MaxNameLength)
	for _, text := range []string{"a@b", "0@0", "db-01@before-upgrade", longest + "@" + longest} {
		key, err := volume.ParseSnapshotKey(text)
		if err != nil || key.String() != text || key.IsZero() || key.Validate() != nil {
			t.Errorf("%q: got %q, %v, want it read", text, key, err)
		}
	}
	for _, text := range []string{
		"", "@", "a", "a@", "@b", "a@b@c", "a@@b", "A@b", "a@B", "a@b ", " a@b", "a@b\n", "a\x00@b", "a.b@c", "a@b/c",
		"-a@b", "a-@b", "a@-b", "a@b-", "é@b", "a@é", "a\xff@b", "a＠b", longest + "v@b", "a@" + longest + "v",
	} {
		if _, err := volume.ParseSnapshotKey(text); !errors.Is(err, volume.ErrInvalidName) {
			t.Errorf("%q: got %v, want %v", text, err, volume.ErrInvalidName)
		}
	}
}

// TestSnapshotKey_Refusals_AreShort: whatever is refused, its error fits into a message.
func TestSnapshotKey_Refusals_AreShort(t *testing.T) {
	long := strings.Repeat("x", 1<<20)
	for _, text := range []string{long, long + "@a", "a@" + long} {
		if _, err := volume.ParseSnapshotKey(text); err == nil || len(err.Error()) > 1024 {
			t.Errorf("got an error of %d bytes", len(fmt.Sprint(err)))
		}
	}
}

func TestSnapshotKey_JSON(t *testing.T) {
	type holder struct {
		Key volume.SnapshotKey `json:"key,omitzero"`
	}
	given := volume.SnapshotKey{Volume: "db-01", Snapshot: "monday"}
	for _, test := range []struct {
		json string
		want volume.SnapshotKey
		fail bool
	}{
		{`{"key":"base@gold"}`, volume.SnapshotKey{Volume: "base", Snapshot: "gold"}, false},
		{`{"key":"b\u0061se@gold"}`, volume.SnapshotKey{Volume: "base", Snapshot: "gold"}, false},
		{`{"key":""}`, volume.SnapshotKey{}, false},
		{`{}`, given, false},
		{`{"key":"base"}`, given, true},
		{`{"key":"base@"}`, given, true},
		{`{"key":"Base@gold"}`, given, true},
		{`{"key":7}`, given, true},
		{`{"key":{"Volume":"base","Snapshot":"gold"}}`, given, true},
	} {
		t.Run(strconv.Quote(test.json), func(t *testing.T) {
			got := holder{Key: given}
			err := json.Unmarshal([]byte(test.json), &got)
			if (err != nil) != test.fail || got.Key != test.want {
				t.Errorf("got %q, %v, want %q", got.Key, err, test.want)
			}
		})
	}
	for want, key := range map[string]volume.SnapshotKey{`{"key":"db-01@monday"}`: given, `{}`: {}} {
		if got, err := json.Marshal(holder{Key: key}); err != nil || string(got) != want {
			t.Errorf("got %s, %v, want %s", got, err, want)
		}
	}
}

// FuzzParseSnapshotKey: whatever is accepted is valid and reads the same as text and JSON;
// whatever is not leaves a key that is read into as it was.
func FuzzParseSnapshotKey(f *testing.F) {
	for _, seed := range []string{"", "@", "db-01@monday", "a@b@c", "A@b", "a@-b", "\xff@a", "a"} {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, text string) {
		key, err := volume.ParseSnapshotKey(text)
		given := volume.SnapshotKey{Volume: "v", Snapshot: "s"}
		read := given
		readErr := read.UnmarshalText([]byte(text))
		if text == "" {
			if err == nil || readErr != nil || !read.IsZero() {
				t.Fatalf("no text: got %v, then %q, %v", err, read, readErr)
			}
			return
		}
		if err != nil {
			if !errors.Is(err, volume.ErrInvalidName) || !errors.Is(readErr, volume.ErrInvalidName) || read != given {
				t.Fatalf("%q: got %v, then %q, %v", text, err, read, readErr)
			}
			return
		}
		encoded, err := json.Marshal(key)
		if err != nil {
			t.Fatal(err)
		}
		var again volume.SnapshotKey
		if err := json.Unmarshal(encoded, &again); err != nil || again != key || read != key || key.String() != text || key.Validate() != nil {
			t.Fatalf("%q: got %q, text %q, JSON %s gives %q, %v", text, key, read, encoded, again, err)
		}
	})
}
