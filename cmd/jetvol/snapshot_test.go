package main

import (
	"strings"
	"testing"

	"github.com/jetvol/jetvol/snapshots"
	"github.com/jetvol/jetvol/volume"
)

// entriesOf reads lines of `name parent`.
func entriesOf(t *testing.T, lines ...string) []snapshots.Info {
	t.Helper()
	var entries []snapshots.Info
	for _, line := range lines {
		name, parent, _ := strings.Cut(line, " ")
		info := snapshots.Info{Kind: snapshots.Committed}
		if err := info.Name.UnmarshalText([]byte(name)); err != nil {
			t.Fatal(err)
		}
		if err := info.Parent.UnmarshalText([]byte(parent)); err != nil {
			t.Fatal(err)
		}
		entries = append(entries, info)
	}
	return entries
}

func TestTree_Drawn(t *testing.T) {
	forest := []string{"a@1", "a@2", "b a@1", "b@1 a@1", "c b@1", "c@1 b@1", "d@1 gone@1", "e d@1"}
	for name, test := range map[string]struct {
		of    volume.Name
		depth int
		want  string
	}{
		"all, one whose parent is gone as a root": {"", 0, `
├── a@1
│   ├── b
│   └── b@1
│       ├── c
│       └── c@1
├── a@2
└── d@1
    └── e
`},
		"a volume in the middle":         {"b", 0, "\n└── a@1\n    ├── b\n    └── b@1\n        ├── c\n        └── c@1\n"},
		"a volume at the end":            {"e", 0, "\n└── d@1\n    └── e\n"},
		"cut":                            {"", 2, "\n├── a@1\n│   ├── b\n│   └── b@1\n│       └── … 2 more\n├── a@2\n└── d@1\n    └── e\n"},
		"a volume that is not there":     {"nobody", 3, "\n"},
		"cut after the volume was found": {"c", 1, "\n└── a@1\n    └── … 3 more\n"},
	} {
		t.Run(name, func(t *testing.T) {
			tree := growTree(entriesOf(t, forest...))
			if test.of != "" {
				tree.keep(test.of)
			}
			if test.depth > 0 {
				tree.cut(test.depth)
			}
			var got strings.Builder
			got.WriteString("\n")
			drawTree(&got, tree, "")
			if got.String() != test.want {
				t.Errorf("got:%s\nwant:%s", got.String(), test.want)
			}
		})
	}
}

func TestPercentText_IsWholeOnlyAtTheEnd(t *testing.T) {
	const most = ^uint64(0)
	for want, progress := range map[string]volume.Progress{
		"0 %": {Done: 0, Total: 7}, "42 %": {Done: 3, Total: 7}, "99 %": {Done: most - 1, Total: most}, "100 %": {Done: 7, Total: 7},
	} {
		if got := percentText(progress); got != want {
			t.Errorf("%+v: got %q, want %q", progress, got, want)
		}
	}
	if got := percentText(volume.Progress{}); got != "100 %" {
		t.Errorf("nothing to do: got %q, want 100 %%", got)
	}
}

func TestShow_ChainOfAVolume(t *testing.T) {
	var got strings.Builder
	showRecord(&got, volume.Record{Spec: volume.Spec{
		Source: volume.SnapshotKey{Volume: "db-00", Snapshot: "monday"}, ReadOnly: true, Snapshots: 3, HalfRestored: "tuesday",
	}})
	for _, line := range []string{
		"  source      db-00@monday\n", "  access      read-only\n", "  snapshots   3\n", "  content     half restored from snapshot tuesday: ",
	} {
		if !strings.Contains(got.String(), line) {
			t.Errorf("got %s, want it to hold %q", got.String(), line)
		}
	}
}

func TestShow_Progress(t *testing.T) {
	var got strings.Builder
	showTransition(&got, volume.Transition{
		Event: volume.EventProgress, From: volume.StateRestoring, To: volume.StateRestoring, Generation: 7,
		Snapshot: &volume.Snapshot{Name: "monday"}, Progress: &volume.Progress{Done: 1, Total: 4},
	})
	if want := "progress    restoring → restoring  generation 7  snapshot monday  25 %\n"; !strings.HasSuffix(got.String(), want) {
		t.Errorf("got %q, want its end %q", got.String(), want)
	}
}

func TestShow_LabelsFromOutside_AreFitForATerminal(t *testing.T) {
	hostile := volume.Labels{"a": "x\x1b[2J\ny"}
	var got strings.Builder
	showRecord(&got, volume.Record{Spec: volume.Spec{Labels: hostile}})
	showSnapshot(&got, shownSnapshot{Info: snapshots.Info{Labels: hostile, RemovedBy: "\x1b[2J"}})
	entries := entriesOf(t, "a@1")
	entries[0].Labels = hostile
	if err := showEntries(&got, "default", entries); err != nil {
		t.Fatal(err)
	}
	if text := got.String(); strings.Contains(text, "\x1b") || strings.Count(text, "a=x?[2J?y") != 3 {
		t.Errorf("got %q, want three harmless labels", text)
	}
}
