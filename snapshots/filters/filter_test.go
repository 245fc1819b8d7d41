package filters_test

import (
	"slices"
	"testing"

	"github.com/jetvol/jetvol/snapshots/filters"
)

var everyone = []string{"base@c1", "base@c2", "a1", "a2", "a3", "v1", "v2"}

// TestWalk_TenFilters is the acceptance family of requirement E4: each form of a filter
// over the same tree.
func TestWalk_TenFilters(t *testing.T) {
	tests := []struct {
		name  string
		texts []string
		want  []string
	}{
		{"none", nil, everyone},
		{"kind", []string{"kind==committed"}, []string{"base@c1", "base@c2"}},
		{"not the kind", []string{"kind!=active"}, []string{"base@c1", "base@c2", "v1", "v2"}},
		{"name", []string{"name==a2"}, []string{"a2"}},
		{"parent", []string{"parent==base@c2"}, []string{"a2", "v2"}},
		{"parent present", []string{"parent"}, []string{"base@c2", "a2", "a3", "v2"}},
		{"and", []string{"kind==active,labels.team==storage"}, []string{"a2"}},
		{"or", []string{"kind==view", "labels.team==storage"}, []string{"base@c2", "a2", "v1", "v2"}},
		{"matches", []string{"name~=^a[12]$"}, []string{"a1", "a2"}},
		{"label with a quoted key", []string{`labels."a.b/c"==x`}, []string{"base@c2"}},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			wantNames(t, test.texts, names(mustParse(t, test.texts...), tree), test.want)
		})
	}
}

func TestMatch_Forms(t *testing.T) {
	tests := []struct {
		texts []string
		want  []string
	}{
		// Everything.
		{[]string{""}, everyone},
		{[]string{"name==nobody", ""}, everyone},
		// Presence: an empty label is there, a label of another entry is not.
		{[]string{"labels.empty"}, []string{"a3"}},
		{[]string{`labels.empty==""`}, []string{"a3"}},
		{[]string{"labels.nobody"}, nil},
		{[]string{"labels.team,labels.note"}, []string{"a2"}},
		// An absent field reads as the empty text, for != and ~= only.
		{[]string{`parent==""`}, nil},
		{[]string{`parent!=""`}, []string{"base@c2", "a2", "a3", "v2"}},
		{[]string{"labels.team!=storage"}, []string{"base@c1", "a1", "a3", "v1", "v2"}},
		{[]string{"labels.team,labels.team!=storage"}, []string{"a1"}},
		{[]string{"labels.team~=^$"}, []string{"base@c1", "a3", "v1", "v2"}},
		// Dots in keys, with and without quotes.
		{[]string{"labels.app.tier==db"}, []string{"v1"}},
		{[]string{`labels."app.tier"==db`}, []string{"v1"}},
		{[]string{`labels."app".tier==db`}, []string{"v1"}},
		{[]string{`"labels"."a.b/c"`}, []string{"base@c2"}},
		// Values.
		{[]string{`labels.note=="two words, one comma"`}, []string{"a2"}},
		{[]string{`name=="\x61\u0031"`}, []string{"a1"}},
		{[]string{"name==a1=b"}, nil},
		// Expressions: unanchored, in all their quotes, and alternatives in one.
		{[]string{"name~=2"}, []string{"base@c2", "a2", "v2"}},
		{[]string{"name~=/^[av]1$/"}, []string{"a1", "v1"}},
		{[]string{"name~=|^(a1/)?v|"}, []string{"v1", "v2"}},
		{[]string{`name~="^a{1,2}[0-9]"`}, []string{"a1", "a2", "a3"}},
		{[]string{"name~=/^a{1,2}[0-9]/,labels.team"}, []string{"a1", "a2"}},
		{[]string{`name~=/^a\\d/`}, []string{"a1", "a2", "a3"}},
		{[]string{`name~=^a\d`}, []string{"a1", "a2", "a3"}},
		{[]string{`labels."a.b/c"~=/\/|x/`}, []string{"base@c2"}},
		{[]string{`name~=/\\b2/`}, nil},
		{[]string{`name~=/\\bc2/`}, []string{"base@c2"}},
		// Blanks around terms and operators; lines are alternatives.
		{[]string{" kind == view , parent\t"}, []string{"v2"}},
		{[]string{"name==a1\nname==a2", "name==a3"}, []string{"a1", "a2", "a3"}},
		// What contradicts itself matches nothing.
		{[]string{"name==a1,name==a2"}, nil},
	}
	for _, test := range tests {
		wantNames(t, test.texts, names(mustParse(t, test.texts...), tree), test.want)
	}
}

func TestParse_WithoutFields_AllowsAny(t *testing.T) {
	filter, err := filters.Parse("colour.of.the==sky")
	if err != nil {
		t.Fatal(err)
	}
	var asked [][]string
	match := filter.Match(filters.AdaptorFunc(func(path []string) (string, bool) {
		asked = append(asked, path)
		return "sky", true
	}))
	if want := []string{"colour", "of.the"}; !match || len(asked) != 1 || !slices.Equal(asked[0], want) {
		t.Errorf("got %v, asked for %q, want it to match and to ask for %q", match, asked, want)
	}
}

func TestFilter_Zero_MatchesEverything(t *testing.T) {
	var zero filters.Filter
	if got := names(zero, tree); !slices.Equal(got, everyone) {
		t.Errorf("got %v, want %v", got, everyone)
	}
	if got := zero.String(); got != "" {
		t.Errorf("got %q, want an empty text", got)
	}
}

func TestFilter_String(t *testing.T) {
	tests := []struct {
		texts []string
		want  string
	}{
		{nil, ""},
		{[]string{"", "name==a"}, ""},
		{[]string{` "name" == "a" , parent `}, "name==a,parent"},
		{[]string{"name", "parent"}, "name\nparent"},
		{[]string{`labels."a.b"`}, "labels.a.b"},
		{[]string{`labels."a..b"`}, `labels."a..b"`},
		{[]string{`labels."a/b"==c/d`}, `labels."a/b"==c/d`},
		{[]string{`labels."-a"`}, `labels."-a"`},
		{[]string{`name==""`}, `name==""`},
		{[]string{`name~=/a b/`}, `name~="a b"`},
		{[]string{`name~=/a\/b/`}, `name~=a/b`},
		{[]string{`name~=/\\d,/`}, `name~="\\d,"`},
		{[]string{`name=="/a"`}, `name=="/a"`},
		{[]string{`name=="=a"`}, `name=="=a"`},
		{[]string{`name=="'a'"`}, `name=="'a'"`},
		{[]string{`name=="a\nb\xff"`}, `name=="a\nb\xff"`},
		{[]string{`name==ä`}, `name==ä`},
	}
	for _, test := range tests {
		filter := mustParse(t, test.texts...)
		if got := filter.String(); got != test.want {
			t.Errorf("filters %q: got %s, want %s", test.texts, got, test.want)
		}
		if got := mustParse(t, test.want).String(); got != test.want {
			t.Errorf("filter %s: got %s after reading it again", test.want, got)
		}
	}
}

func TestFilter_Only(t *testing.T) {
	tests := []struct {
		texts   []string
		path    []string
		want    []string
		limited bool
	}{
		{nil, []string{"name"}, nil, false},
		{[]string{"name==a"}, []string{"name"}, []string{"a"}, true},
		{[]string{"kind==view,name==a"}, []string{"name"}, []string{"a"}, true},
		{[]string{"name==b", "name==a", "name==b,parent"}, []string{"name"}, []string{"b", "a"}, true},
		{[]string{"name==a", "kind==view"}, []string{"name"}, nil, false},
		{[]string{"name==a", ""}, []string{"name"}, nil, false},
		{[]string{"name!=a"}, []string{"name"}, nil, false},
		{[]string{"name~=^a$"}, []string{"name"}, nil, false},
		{[]string{"name"}, []string{"name"}, nil, false},
		{[]string{"parent==a"}, []string{"name"}, nil, false},
		{[]string{`labels."x.y"==a`}, []string{"labels", "x.y"}, []string{"a"}, true},
		{[]string{`labels.x==a`}, []string{"labels", "y"}, nil, false},
	}
	for _, test := range tests {
		got, limited := mustParse(t, test.texts...).Only(test.path...)
		if !slices.Equal(got, test.want) || limited != test.limited {
			t.Errorf("filters %q, path %q: got %q, %v, want %q, %v", test.texts, test.path, got, limited, test.want, test.limited)
		}
	}
}
