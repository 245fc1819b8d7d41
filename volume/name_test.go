package volume_test

import (
	"errors"
	"fmt"
	"math"
	"strconv"
	"strings"
	"testing"

	"github.com/jetvol/jetvol/volume"
)

func ExampleNewID() {
	id := volume.NewID(volume.Key{Project: "default", Name: "db-01"}, 1)
	key, err := id.Key()
	fmt.Println(id, key, err)
	// Output: default.db-01.1 default.db-01 <nil>
}

func TestKey_Validate(t *testing.T) {
	longest := strings.Repeat("a", volume.MaxNameLength)
	tests := []struct {
		name  string
		valid bool
	}{
		{"a", true},
		{"0", true},
		{"db-01", true},
		{"a--b", true},
		{longest, true},

		{"", false},
		{longest + "a", false},
		{"-a", false},
		{"a-", false},
		{"-", false},
		{"A", false},
		{"a.b", false},
		{"a_b", false},
		{"a b", false},
		{"a\n", false},
		{"\na", false},
		{"a\x00", false},
		{"../../etc", false},
		{"a/b", false},
		{"*", false},
		{">", false},
		{"ä", false},
		{"а", false}, // Cyrillic
		{"\xff", false},
	}
	for _, test := range tests {
		t.Run(strconv.Quote(test.name), func(t *testing.T) {
			asName := volume.Key{Project: "default", Name: volume.Name(test.name)}
			asProject := volume.Key{Project: volume.Project(test.name), Name: "db-01"}
			for _, key := range []volume.Key{asName, asProject} {
				err := key.Validate()
				if (err == nil) != test.valid || err != nil && !errors.Is(err, volume.ErrInvalidName) {
					t.Errorf("key %q: got %v, want valid %v", key, err, test.valid)
				}
				if parsed, err := volume.ParseKey(key.String()); test.valid && (err != nil || parsed != key) {
					t.Errorf("parse key %q: got %v, %v", key, parsed, err)
				}
			}
		})
	}
}

func TestParseKey_Refused(t *testing.T) {
	for _, text := range []string{"", ".", "a", "a.", ".a", "a.b.c", "a..b", "a.b.", " a.b"} {
		if _, err := volume.ParseKey(text); !errors.Is(err, volume.ErrInvalidName) {
			t.Errorf("key %q: got %v, want %v", text, err, volume.ErrInvalidName)
		}
	}
}

func TestID_Key(t *testing.T) {
	key := volume.Key{Project: "default", Name: "db-01"}
	for _, generation := range []uint64{0, 1, 10, math.MaxUint64} {
		if got, err := volume.NewID(key, generation).Key(); err != nil || got != key {
			t.Errorf("generation %d: got %v, %v, want %v", generation, got, err, key)
		}
	}
	refused := []volume.ID{
		"", ".", "default.db-01", "default.db-01.", "default.db-01.x", "default.db-01.-1", "default.db-01.+1",
		"default.db-01.01", "default.db-01.1.1", "default.db-01.18446744073709551616", "db-01.1", ".db-01.1", "default.DB.1",
	}
	for _, id := range refused {
		if got, err := id.Key(); !errors.Is(err, volume.ErrInvalidName) || got != (volume.Key{}) {
			t.Errorf("id %q: got %v, %v, want %v", id, got, err, volume.ErrInvalidName)
		}
	}
}

// FuzzIDKey: an ID is accepted only if it is one that NewID makes.
func FuzzIDKey(f *testing.F) {
	for _, seed := range []string{"default.db-01.1", "a.b.01", "a.b", "..", "a.b.18446744073709551615"} {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, text string) {
		key, err := volume.ID(text).Key()
		if err != nil {
			if !errors.Is(err, volume.ErrInvalidName) {
				t.Fatalf("got %v, want %v", err, volume.ErrInvalidName)
			}
			return
		}
		generation, err := strconv.ParseUint(text[strings.LastIndexByte(text, '.')+1:], 10, 64)
		if err != nil || key.Validate() != nil || string(volume.NewID(key, generation)) != text {
			t.Fatalf("%q: got %v, generation %d, %v", text, key, generation, err)
		}
	})
}

// FuzzNewID: the key of an ID is the key that it was made from.
func FuzzNewID(f *testing.F) {
	f.Add("default", "db-01", uint64(1))
	f.Fuzz(func(t *testing.T, project, name string, generation uint64) {
		want := volume.Key{Project: volume.Project(project), Name: volume.Name(name)}
		got, err := volume.NewID(want, generation).Key()
		if want.Validate() == nil && (err != nil || got != want) {
			t.Fatalf("got %v, %v, want %v", got, err, want)
		}
		if want.Validate() != nil && err == nil {
			t.Fatalf("got %v of an invalid key %q", got, want)
		}
	})
}

func TestNode_Validate(t *testing.T) {
	valid := []volume.Node{"n1", "N1", "node-1.rack_2.example.com", volume.Node(strings.Repeat("n", volume.MaxNodeLength))}
	refused := []volume.Node{
		"", "-n", "n-", ".n", "n.", "n 1", "n\n", "n/1", "n*", "ñ", "\xff", volume.Node(strings.Repeat("n", volume.MaxNodeLength+1)),
	}
	for _, node := range valid {
		if err := node.Validate(); err != nil {
			t.Errorf("node %q: got %v, want it valid", node, err)
		}
	}
	for _, node := range refused {
		if err := node.Validate(); !errors.Is(err, volume.ErrInvalidArgument) {
			t.Errorf("node %q: got %v, want %v", node, err, volume.ErrInvalidArgument)
		}
	}
}

func TestMode_Validate(t *testing.T) {
	for mode, valid := range map[volume.Mode]bool{
		volume.ReadWrite: true, volume.ReadOnly: true, "": false, "rw": false, "Read-Only": false,
	} {
		if err := mode.Validate(); (err == nil) != valid || err != nil && !errors.Is(err, volume.ErrInvalidArgument) {
			t.Errorf("mode %q: got %v, want valid %v", mode, err, valid)
		}
	}
}

func TestLabels_Validate(t *testing.T) {
	full := volume.Labels{}
	for i := range volume.MaxLabels {
		full[fmt.Sprintf("k%d", i)] = strings.Repeat("v", volume.MaxLabelValueLength)
	}
	tooMany := volume.Labels{"one-more": ""}
	for key, value := range full {
		tooMany[key] = value
	}
	tests := []struct {
		name   string
		labels volume.Labels
		valid  bool
	}{
		{"none", nil, true},
		{"full", full, true},
		{"a key with a domain", volume.Labels{"example.com/team_a-1": "x"}, true},
		{"too many", tooMany, false},
		{"empty key", volume.Labels{"": "x"}, false},
		{"key too long", volume.Labels{strings.Repeat("k", volume.MaxLabelKeyLength+1): "x"}, false},
		{"key with a space", volume.Labels{"a b": "x"}, false},
		{"key with an end of line", volume.Labels{"a\n": "x"}, false},
		{"value too long", volume.Labels{"a": strings.Repeat("v", volume.MaxLabelValueLength+1)}, false},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			err := test.labels.Validate()
			if (err == nil) != test.valid || err != nil && !errors.Is(err, volume.ErrInvalidArgument) {
				t.Errorf("got %v, want valid %v", err, test.valid)
			}
		})
	}
}

func TestSnapshotName_Validate(t *testing.T) {
	longest := volume.SnapshotName(strings.Repeat("s", volume.MaxNameLength))
	for _, name := range []volume.SnapshotName{"a", "0", "before-upgrade", "2026-11-21", longest} {
		if err := name.Validate(); err != nil {
			t.Errorf("snapshot name %q: got %v, want it valid", name, err)
		}
	}
	for _, name := range []volume.SnapshotName{"", "-a", "a-", "A", "a.b", "a/b", "a@b", "a b", "a\n", "ñ", "\xff", longest + "s"} {
		if err := name.Validate(); !errors.Is(err, volume.ErrInvalidName) {
			t.Errorf("snapshot name %q: got %v, want %v", name, err, volume.ErrInvalidName)
		}
	}
}
