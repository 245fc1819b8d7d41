package snapshots_test

import (
	"errors"
	"fmt"
	"strings"

	"github.com/jetvol/jetvol/kv"
)

// Each violation is planted alone in a sound store, is found, and is taken away again.
func testCheckPlanted(e env) {
	e.baseTree()
	e.sound()
	bare, err := e.store.Stat(e.ctx, e.project, k("bare"))
	e.must(err)
	value := func(kind, name, id, parent string) string {
		return fmt.Sprintf(`{"schema_version":1,"kind":%q,"name":%q,"id":%q,"parent":%q}`, kind, name, id, parent)
	}
	tests := map[string]struct {
		plant map[string]string // by the rest of the key
		want  string
	}{
		"an entry whose parent is missing": {map[string]string{
			"e.odd._": value("active", "odd", "x", "lost"), "c.lost._.odd._": `{"id":"x"}`,
		}, "missing"},
		"an entry on a view": {map[string]string{
			"e.odd._": value("active", "odd", "x", "view-1"), "c.view-1._.odd._": `{"id":"x"}`,
		}, "is view"},
		"an entry without its link":   {map[string]string{"e.odd._": value("active", "odd", "x", "layer-1")}, "no link"},
		"a link of another id":        {map[string]string{"e.odd._": value("active", "odd", "x", "layer-1"), "c.layer-1._.odd._": `{"id":"y"}`}, "it is of id y"},
		"an id of two entries":        {map[string]string{"e.odd._": value("active", "odd", bare.ID, "")}, "it has the id"},
		"an entry under a wrong key":  {map[string]string{"e.odd.x": value("active", "odd", "x", "")}, "says that it is"},
		"an entry of no kind":         {map[string]string{"e.odd._": value("odd", "odd", "x", "")}, "of kind"},
		"an entry that is no entry":   {map[string]string{"e.odd._": `{"name":7}`}, "entry"},
		"a link that is no link":      {map[string]string{"c.layer-1._.odd._": `{"id":7}`}, "link"},
		"a link with a malformed key": {map[string]string{"c.layer-1.odd": `{"id":"x"}`}, "link"},
		"a record of neither sort":    {map[string]string{"x.odd": `{}`}, "neither"},
		"a circle": {map[string]string{
			"e.round._": value("committed", "round", "x", "round"), "c.round._.round._": `{"id":"x"}`,
		}, "its own ancestor"},
	}
	raw := kv.Open[map[string]any](e.js, kv.SnapshotsBucket)
	for name, test := range tests {
		revisions := map[string]uint64{}
		for key, data := range test.plant {
			key = string(e.project) + "." + key
			ack, err := e.js.Publish(e.ctx, "$KV."+kv.SnapshotsBucket+"."+key, []byte(data))
			e.must(err)
			revisions[key] = ack.Sequence
		}
		faults, err := e.store.Check(e.ctx, e.project)
		if found := errors.Join(faults...); err != nil || found == nil || !strings.Contains(found.Error(), test.want) {
			e.Errorf("%s: got %v, %v, want %q", name, found, err, test.want)
		}
		for key, revision := range revisions {
			e.must(raw.Delete(e.ctx, key, revision))
		}
		e.sound()
	}
}
