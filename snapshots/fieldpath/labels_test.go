package fieldpath_test

import (
	"errors"
	"fmt"
	"maps"
	"strings"
	"testing"

	"pgregory.net/rapid"

	"github.com/jetvol/jetvol/snapshots/fieldpath"
	"github.com/jetvol/jetvol/volume"
)

func ExampleApplyLabels() {
	current := volume.Labels{"team": "web", "tier": "db"}
	wanted := volume.Labels{"team": "storage"}
	fmt.Println(fieldpath.ApplyLabels(current, wanted, "labels.team"))
	fmt.Println(fieldpath.ApplyLabels(current, wanted, "labels.tier"))
	fmt.Println(fieldpath.ApplyLabels(current, wanted, "labels"))
	// Output:
	// map[team:storage tier:db] <nil>
	// map[team:web] <nil>
	// map[team:storage] <nil>
}

// full are as many labels as there may be: k0 to k31.
func full() volume.Labels {
	labels := volume.Labels{}
	for i := range volume.MaxLabels {
		labels[fmt.Sprintf("k%d", i)] = "v"
	}
	return labels
}

// TestApplyLabels_UpdateTable is requirement E3.
func TestApplyLabels_UpdateTable(t *testing.T) {
	many := full()
	delete(many, "k0")
	many["one-more"] = "v"
	tests := []struct {
		name            string
		current, wanted volume.Labels
		paths           []string
		want            volume.Labels
	}{
		{"no path replaces all", volume.Labels{"a": "1", "b": "2"}, volume.Labels{"b": "3", "c": "4"}, nil, volume.Labels{"b": "3", "c": "4"}},
		{"labels replaces all", volume.Labels{"a": "1", "b": "2"}, volume.Labels{"b": "3", "c": "4"}, []string{"labels"}, volume.Labels{"b": "3", "c": "4"}},
		{"labels with none removes all", volume.Labels{"a": "1"}, nil, []string{"labels"}, nil},
		{"labels without empty values", volume.Labels{"a": "1"}, volume.Labels{"a": "", "b": "2"}, []string{"labels"}, volume.Labels{"b": "2"}},
		{"labels with empty values only", volume.Labels{"a": "1"}, volume.Labels{"a": ""}, []string{"labels"}, nil},
		{"one label of none", nil, volume.Labels{"a": "1"}, []string{"labels.a"}, volume.Labels{"a": "1"}},
		{"one more label", volume.Labels{"a": "1"}, volume.Labels{"b": "2"}, []string{"labels.b"}, volume.Labels{"a": "1", "b": "2"}},
		{"one label changed", volume.Labels{"a": "1", "b": "2"}, volume.Labels{"a": "3"}, []string{"labels.a"}, volume.Labels{"a": "3", "b": "2"}},
		{"others in wanted are left alone", volume.Labels{"a": "1"}, volume.Labels{"a": "2", "b": "3"}, []string{"labels.a"}, volume.Labels{"a": "2"}},
		{"an empty value removes", volume.Labels{"a": "1", "b": "2"}, volume.Labels{"a": ""}, []string{"labels.a"}, volume.Labels{"b": "2"}},
		{"no value removes", volume.Labels{"a": "1", "b": "2"}, nil, []string{"labels.a"}, volume.Labels{"b": "2"}},
		{"the last one removed", volume.Labels{"a": "1"}, nil, []string{"labels.a"}, nil},
		{"one removed that is not there", volume.Labels{"a": "1"}, nil, []string{"labels.b"}, volume.Labels{"a": "1"}},
		{"one removed of none", nil, nil, []string{"labels.b"}, nil},
		{"an empty one that is not named stays", volume.Labels{"a": "", "b": "2"}, nil, []string{"labels.b"}, volume.Labels{"a": ""}},
		{"several", volume.Labels{"a": "1", "b": "2"}, volume.Labels{"a": "3", "c": "4"}, []string{"labels.a", "labels.b", "labels.c"}, volume.Labels{"a": "3", "c": "4"}},
		{"one and then all", volume.Labels{"a": "1"}, volume.Labels{"b": "2"}, []string{"labels.a", "labels"}, volume.Labels{"b": "2"}},
		{"a dotted key", nil, volume.Labels{"example.com/team": "x"}, []string{"labels.example.com/team"}, volume.Labels{"example.com/team": "x"}},
		{"a quoted key", nil, volume.Labels{"example.com/team": "x"}, []string{`labels."example.com/team"`}, volume.Labels{"example.com/team": "x"}},
		{"as many as there may be", full(), volume.Labels{"one-more": "v"}, []string{"labels.one-more", "labels.k0"}, many},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			current, wanted := maps.Clone(test.current), maps.Clone(test.wanted)
			got, err := fieldpath.ApplyLabels(test.current, test.wanted, test.paths...)
			if err != nil || !maps.Equal(got, test.want) || (got == nil) != (test.want == nil) {
				t.Errorf("got %#v, %v, want %#v", got, err, test.want)
			}
			if !maps.Equal(current, test.current) || !maps.Equal(wanted, test.wanted) {
				t.Errorf("got the arguments changed: %v, %v", test.current, test.wanted)
			}
		})
	}
}

func TestApplyLabels_Refused(t *testing.T) {
	long := strings.Repeat("v", volume.MaxLabelValueLength+1)
	tests := []struct {
		name    string
		current volume.Labels
		wanted  volume.Labels
		path    string
	}{
		{"empty path", nil, nil, ""},
		{"name", nil, nil, "name"},
		{"parent", nil, nil, "parent"},
		{"kind", nil, nil, "kind"},
		{"created", nil, nil, "created"},
		{"another case", nil, nil, "Labels"},
		{"almost labels", nil, nil, "labelsx"},
		{"label", nil, nil, "label.a"},
		{"no key", nil, nil, "labels."},
		{"empty quoted key", nil, nil, `labels.""`},
		{"open quotes", nil, nil, `labels."a`},
		{"text behind quotes", nil, nil, `labels."a".b`},
		{"key that no label can have", nil, volume.Labels{"a b": "x"}, "labels.a b"},
		{"the same, only removed", nil, nil, "labels.a b"},
		{"one label too many", full(), volume.Labels{"one-more": "v"}, "labels.one-more"},
		{"value too long", nil, volume.Labels{"a": long}, "labels.a"},
		{"value too long among all", nil, volume.Labels{"a": long}, "labels"},
		{"bad key among all", nil, volume.Labels{"a b": "x"}, "labels"},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			for _, paths := range [][]string{{test.path}, {"labels.ok", test.path}} {
				got, err := fieldpath.ApplyLabels(test.current, test.wanted, paths...)
				if !errors.Is(err, volume.ErrInvalidArgument) || got != nil {
					t.Errorf("paths %q: got %v, %v, want %v", paths, got, err, volume.ErrInvalidArgument)
				}
			}
		})
	}
}

// TestApplyLabels_ResultIsItsOwn: who changes the result changes no argument.
func TestApplyLabels_ResultIsItsOwn(t *testing.T) {
	for _, path := range []string{"labels", "labels.a", "labels.c"} {
		current, wanted := volume.Labels{"a": "1"}, volume.Labels{"a": "2", "b": "3"}
		got, err := fieldpath.ApplyLabels(current, wanted, path)
		if err != nil {
			t.Fatal(err)
		}
		clear(got)
		if len(current) != 1 || len(wanted) != 2 {
			t.Errorf("path %s: got the arguments %v, %v emptied with the result", path, current, wanted)
		}
	}
}

// TestApplyLabels_Rules: what is named is as wanted, what is not named is as it was, and
// a second time changes nothing.
func TestApplyLabels_Rules(t *testing.T) {
	keys := []string{"a", "b", "c.d", "e/f"}
	labels := rapid.MapOfN(rapid.SampledFrom(keys), rapid.SampledFrom([]string{"", "1", "2"}), 0, 4)
	rapid.Check(t, func(t *rapid.T) {
		current, wanted := volume.Labels(labels.Draw(t, "current")), volume.Labels(labels.Draw(t, "wanted"))
		named := rapid.SliceOfN(rapid.SampledFrom(keys), 1, 4).Draw(t, "named")
		var paths []string
		for _, key := range named {
			paths = append(paths, "labels."+key)
		}
		want := maps.Clone(current)
		for _, key := range named {
			want[key] = wanted[key]
			if want[key] == "" {
				delete(want, key)
			}
		}
		got, err := fieldpath.ApplyLabels(current, wanted, paths...)
		if err != nil || !maps.Equal(got, want) {
			t.Fatalf("got %v, %v, want %v", got, err, want)
		}
		if again, err := fieldpath.ApplyLabels(got, wanted, paths...); err != nil || !maps.Equal(again, got) {
			t.Fatalf("a second time: got %v, %v, want %v", again, err, got)
		}
	})
}
