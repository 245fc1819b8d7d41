package snapshots_test

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"reflect"
	"slices"
	"testing"

	"github.com/jetvol/jetvol/snapshots"
	"github.com/jetvol/jetvol/volume"
)

// baseTree makes seven entries: three committed layers, two active and two views.
func (e env) baseTree() map[string]snapshots.Info {
	e.Helper()
	tree := map[string]snapshots.Info{}
	for _, l := range [][2]string{{"layer-1", ""}, {"layer-2", "layer-1"}, {"db@snap", "layer-2"}} {
		tree[l[0]] = e.layer(l[0], l[1], snapshots.WithLabels(volume.Labels{"of": l[0]}))
	}
	for _, c := range []struct {
		kind        snapshots.Kind
		key, parent string
	}{
		{snapshots.Active, "bare", ""},
		{snapshots.Active, "on-3", "db@snap"},
		{snapshots.View, "view-1", "layer-1"},
		{snapshots.View, "view-3", "db@snap"},
	} {
		info, err := e.create(c.kind, c.key, c.parent)
		e.must(err)
		tree[c.key] = info
	}
	return tree
}

func testBaseTree(e env) {
	tree := e.baseTree()
	defer e.sound()
	for key, want := range tree {
		got, err := e.store.Stat(e.ctx, e.project, k(key))
		if err != nil || !reflect.DeepEqual(got, want) {
			e.Errorf("stat %s: got %+v, %v, want %+v", key, got, err, want)
		}
	}
	if got, err := e.walk(); err != nil || !slices.Equal(got, slices.Sorted(maps.Keys(tree))) {
		e.Errorf("walk: got %v, %v", got, err)
	}
	if info := tree["on-3"]; info.Kind != snapshots.Active || info.Parent != k("db@snap") || info.Created.IsZero() || info.Updated != info.Created {
		e.Errorf("got %+v", info)
	}
	_, err := e.store.Stat(e.ctx, e.project, k("missing"))
	e.refused("stat of a missing one", err, volume.ErrSnapshotNotFound)
	e.refused("stat of a missing one", err, volume.NotFound)
	_, err = e.get("missing")
	e.refused("get of a missing one", err, volume.NotFound)
	_, err = e.get("layer-2")
	e.refused("get of a committed one", err, volume.FailedPrecondition)
	want := snapshots.Snapshot{Kind: snapshots.View, ID: tree["view-3"].ID, ParentIDs: []string{tree["db@snap"].ID, tree["layer-2"].ID, tree["layer-1"].ID}}
	if got, err := e.get("view-3"); err != nil || !reflect.DeepEqual(got, want) {
		e.Errorf("got %+v, %v, want %+v", got, err, want)
	}
	if got, err := e.get("bare"); err != nil || got.Kind != snapshots.Active || len(got.ParentIDs) != 0 {
		e.Errorf("got %+v, %v", got, err)
	}
	children, err := e.store.Children(e.ctx, e.project, k("db@snap"))
	if err != nil || !slices.Equal(children, keys("on-3", "view-3")) {
		e.Errorf("got children %v, %v", children, err)
	}
}

func testIDs(e env) {
	tree := e.baseTree()
	var ids map[string]snapshots.Key
	e.must(e.store.View(e.ctx, e.project, func(tx *snapshots.Tx) (err error) {
		ids, err = tx.IDMap(e.ctx)
		return err
	}))
	if len(ids) != len(tree) {
		e.Fatalf("got %d ids of %d entries", len(ids), len(tree))
	}
	for key, info := range tree {
		if ids[info.ID] != k(key) {
			e.Errorf("id %s: got %s, want %s", info.ID, ids[info.ID], key)
		}
	}
	committed, err := e.commit("on-3", "layer-4", snapshots.Usage{})
	if err != nil || committed.ID != tree["on-3"].ID {
		e.Errorf("got id %s after the commit, %v, want %s", committed.ID, err, tree["on-3"].ID)
	}
	own, err := e.create(snapshots.Active, "own", "", snapshots.WithID("given"))
	if err != nil || own.ID != "given" {
		e.Errorf("got %+v, %v, want the id given", own, err)
	}
}

func testChains(e env) {
	defer e.sound()
	var ids []string
	parent := ""
	for length := range 33 {
		if length == 0 || length == 1 || length == 2 || length == 8 || length == 32 {
			key := fmt.Sprint("end-", length)
			_, err := e.create(snapshots.View, key, parent)
			e.must(err)
			got, err := e.get(key)
			if err != nil || !slices.Equal(got.ParentIDs, ids) {
				e.Errorf("length %d: got %v, %v, want %v", length, got.ParentIDs, err, ids)
			}
			if depth, err := e.store.Depth(e.ctx, e.project, k(key)); err != nil || depth != length {
				e.Errorf("depth: got %d, %v, want %d", depth, err, length)
			}
		}
		name := fmt.Sprint("link-", length)
		ids = append([]string{e.layer(name, parent).ID}, ids...)
		parent = name
	}
	if depth, err := e.store.Depth(e.ctx, e.project, k("no-clone")); err != nil || depth != 0 {
		e.Errorf("depth of a volume without an entry: got %d, %v, want 0", depth, err)
	}
	_, err := e.store.Depth(e.ctx, e.project, k("no@snapshot"))
	e.refused("depth of a missing snapshot", err, volume.ErrSnapshotNotFound)
}

func testKeyReuse(e env) {
	defer e.sound()
	e.layer("base", "")
	first, err := e.create(snapshots.Active, "again", "base")
	e.must(err)
	e.must(e.remove("again"))
	second, err := e.create(snapshots.View, "again", "base")
	if err != nil || second.ID == first.ID {
		e.Errorf("got %+v, %v, want another id than %s", second, err, first.ID)
	}
	e.must(e.remove("again"))
	e.must(e.remove("base"))
	if got, err := e.walk(); err != nil || len(got) != 0 {
		e.Errorf("got %v, %v, want nothing left", got, err)
	}
	// In one transaction too.
	e.must(e.update(func(tx *snapshots.Tx) error {
		for range 2 {
			if _, err := tx.Create(e.ctx, snapshots.Active, k("base"), k("")); err != nil {
				return err
			}
			if _, err := tx.Remove(e.ctx, k("base")); err != nil {
				return err
			}
		}
		return nil
	}))
}

func testCommit(e env) {
	defer e.sound()
	base := e.layer("base", "")
	active, err := e.create(snapshots.Active, "work", "base", snapshots.WithLabels(volume.Labels{"draft": "yes", "empty": ""}))
	e.must(err)
	if !reflect.DeepEqual(active.Labels, volume.Labels{"draft": "yes"}) {
		e.Errorf("got labels %v", active.Labels)
	}
	done, err := e.commit("work", "work@done", snapshots.Usage{Size: 7, Inodes: 2}, snapshots.WithLabels(volume.Labels{"final": "yes"}))
	e.must(err)
	if done.ID != active.ID || done.Kind != snapshots.Committed || done.Parent != base.Name ||
		!reflect.DeepEqual(done.Labels, volume.Labels{"final": "yes"}) || done.Created.Before(active.Created) {
		e.Errorf("got %+v after %+v", done, active)
	}
	_, err = e.store.Stat(e.ctx, e.project, k("work"))
	e.refused("the old key", err, volume.NotFound)
	children, err := e.store.Children(e.ctx, e.project, k("base"))
	if err != nil || !slices.Equal(children, keys("work@done")) {
		e.Errorf("got children %v, %v", children, err)
	}
}

func testCreateRefusals(e env) {
	e.baseTree()
	defer e.sound()
	before, _ := e.walk()
	tests := map[string]struct {
		kind        snapshots.Kind
		key, parent string
		labels      volume.Labels
		want        error
	}{
		"unknown kind":               {"other", "new", "", nil, volume.InvalidArgument},
		"committed":                  {snapshots.Committed, "new", "", nil, volume.InvalidArgument},
		"parent missing":             {snapshots.Active, "new", "missing", nil, volume.ErrSnapshotNotFound},
		"parent active":              {snapshots.Active, "new", "bare", nil, volume.FailedPrecondition},
		"parent view":                {snapshots.View, "new", "view-1", nil, volume.FailedPrecondition},
		"key of an active one":       {snapshots.Active, "bare", "", nil, volume.ErrSnapshotExists},
		"key of a view":              {snapshots.View, "view-1", "layer-1", nil, volume.AlreadyExists},
		"key of a committed one":     {snapshots.Active, "layer-1", "", nil, volume.AlreadyExists},
		"labels that are none":       {snapshots.Active, "new", "", volume.Labels{"-": "x"}, volume.InvalidArgument},
		"on itself":                  {snapshots.Active, "new", "new", nil, volume.NotFound},
		"on itself where it is used": {snapshots.Active, "layer-1", "layer-1", nil, volume.AlreadyExists},
	}
	for name, test := range tests {
		_, err := e.create(test.kind, test.key, test.parent, snapshots.WithLabels(test.labels))
		e.refused(name, err, test.want)
	}
	for _, key := range []snapshots.Key{{}, {Volume: "UPPER"}, {Volume: "a", Snapshot: "b@c"}, {Snapshot: "s"}} {
		err := e.update(func(tx *snapshots.Tx) error {
			_, err := tx.Create(e.ctx, snapshots.Active, key, k(""))
			return err
		})
		e.refused(fmt.Sprintf("key %q", key), err, volume.ErrInvalidName)
	}
	if after, _ := e.walk(); !slices.Equal(before, after) {
		e.Errorf("got %v, want %v as before", after, before)
	}
}

func testCommitRefusals(e env) {
	e.baseTree()
	defer e.sound()
	tests := map[string]struct {
		key, name string
		usage     snapshots.Usage
		want      error
	}{
		"name exists":         {"bare", "layer-1", snapshots.Usage{}, volume.ErrSnapshotExists},
		"name is the key":     {"bare", "bare", snapshots.Usage{}, volume.AlreadyExists},
		"missing":             {"missing", "new", snapshots.Usage{}, volume.ErrSnapshotNotFound},
		"view":                {"view-1", "new", snapshots.Usage{}, volume.FailedPrecondition},
		"committed already":   {"layer-1", "new", snapshots.Usage{}, volume.FailedPrecondition},
		"usage below nothing": {"bare", "new", snapshots.Usage{Size: -1}, volume.InvalidArgument},
		"inodes below none":   {"bare", "new", snapshots.Usage{Inodes: -1}, volume.InvalidArgument},
	}
	for name, test := range tests {
		_, err := e.commit(test.key, test.name, test.usage)
		e.refused(name, err, test.want)
	}
	e.refused("remove of a missing one", e.remove("missing"), volume.ErrSnapshotNotFound)
	_, err := e.store.Stat(e.ctx, e.project, k("new"))
	e.refused("after the refusals", err, volume.NotFound)
}

func testRebase(e env) {
	tree := e.baseTree()
	defer e.sound()
	_, err := e.commit("bare", "new", snapshots.Usage{}, snapshots.WithParent(k("missing")))
	e.refused("on a missing parent", err, volume.NotFound)
	_, err = e.commit("bare", "new", snapshots.Usage{}, snapshots.WithParent(k("view-1")))
	e.refused("on a view", err, volume.FailedPrecondition)
	_, err = e.commit("on-3", "new", snapshots.Usage{}, snapshots.WithParent(k("layer-1")))
	e.refused("of one that has another parent", err, volume.FailedPrecondition)
	same, err := e.commit("on-3", "same", snapshots.Usage{}, snapshots.WithParent(k("db@snap")))
	if err != nil || same.Parent != k("db@snap") {
		e.Errorf("on its own parent: got %+v, %v", same, err)
	}
	moved, err := e.commit("bare", "moved", snapshots.Usage{}, snapshots.WithParent(k("layer-2")))
	if err != nil || moved.Parent != k("layer-2") || moved.ID != tree["bare"].ID {
		e.Errorf("got %+v, %v, want it on layer-2", moved, err)
	}
	var blocked *snapshots.BlockedError
	if err := e.remove("layer-2"); !errors.As(err, &blocked) || !slices.Equal(blocked.Children, keys("db@snap", "moved")) {
		e.Errorf("got %v, want blocked by db@snap and moved", err)
	}
}

func testRemoveWithChildren(e env) {
	e.baseTree()
	defer e.sound()
	err := e.remove("db@snap")
	var blocked *snapshots.BlockedError
	if !errors.As(err, &blocked) || blocked.Key != k("db@snap") || !slices.Equal(blocked.Children, keys("on-3", "view-3")) {
		e.Errorf("got %v, want blocked by on-3 and view-3", err)
	}
	e.refused("with children", err, volume.ErrSnapshotInUse)
	e.refused("with children", err, volume.FailedPrecondition)
	if class := volume.ClassOf(err); class != volume.FailedPrecondition {
		e.Errorf("got class %s", class)
	}
	// Children and parent go in one transaction, the parent last.
	e.must(e.update(func(tx *snapshots.Tx) error {
		for _, key := range keys("on-3", "view-3", "db@snap") {
			if _, err := tx.Remove(e.ctx, key); err != nil {
				return err
			}
		}
		return nil
	}))
	if got, _ := e.walk(); !slices.Equal(got, []string{"bare", "layer-1", "layer-2", "view-1"}) {
		e.Errorf("got %v left", got)
	}
}

func testUpdateLabels(e env) {
	start := volume.Labels{"a": "1", "b": "2"}
	many := volume.Labels{}
	for i := range volume.MaxLabels + 1 {
		many[fmt.Sprint("l", i)] = "x"
	}
	tests := map[string]struct {
		labels volume.Labels
		paths  []string
		want   volume.Labels
		err    error
	}{
		"all without a path":        {volume.Labels{"c": "3"}, nil, volume.Labels{"c": "3"}, nil},
		"all by path":               {volume.Labels{"c": "3"}, []string{"labels"}, volume.Labels{"c": "3"}, nil},
		"all away":                  {nil, nil, nil, nil},
		"one added":                 {volume.Labels{"c": "3", "d": "4"}, []string{"labels.c"}, volume.Labels{"a": "1", "b": "2", "c": "3"}, nil},
		"one changed":               {volume.Labels{"a": "9"}, []string{"labels.a"}, volume.Labels{"a": "9", "b": "2"}, nil},
		"one removed by empty":      {volume.Labels{"a": ""}, []string{"labels.a"}, volume.Labels{"b": "2"}, nil},
		"one removed by none":       {nil, []string{"labels.a"}, volume.Labels{"b": "2"}, nil},
		"two paths":                 {volume.Labels{"a": "9", "c": "3"}, []string{"labels.a", "labels.c"}, volume.Labels{"a": "9", "b": "2", "c": "3"}, nil},
		"a key with dots":           {volume.Labels{"a.b/c": "3"}, []string{"labels.a.b/c"}, volume.Labels{"a": "1", "b": "2", "a.b/c": "3"}, nil},
		"path of the parent":        {nil, []string{"parent"}, start, volume.InvalidArgument},
		"path of the kind":          {nil, []string{"labels.a", "kind"}, start, volume.InvalidArgument},
		"path of an impossible key": {nil, []string{"labels.-"}, start, volume.InvalidArgument},
		"too many":                  {many, nil, start, volume.InvalidArgument},
	}
	i := 0
	for name, test := range tests {
		i++
		key := fmt.Sprint("labelled-", i)
		made, err := e.create(snapshots.Active, key, "", snapshots.WithLabels(start))
		e.must(err)
		err = e.update(func(tx *snapshots.Tx) error {
			_, err := tx.Update(e.ctx, snapshots.Info{Name: k(key), Labels: test.labels}, test.paths...)
			return err
		})
		if test.err == nil && err != nil || !errors.Is(err, test.err) {
			e.Errorf("%s: got %v, want %v", name, err, test.err)
		}
		got, err := e.store.Stat(e.ctx, e.project, k(key))
		if err != nil || !reflect.DeepEqual(got.Labels, test.want) {
			e.Errorf("%s: got %v, %v, want %v", name, got.Labels, err, test.want)
		}
		if changed := got.Updated.After(made.Updated); changed != (test.err == nil) || got.Created != made.Created {
			e.Errorf("%s: got updated %s after %s", name, got.Updated, made.Updated)
		}
	}
	err := e.update(func(tx *snapshots.Tx) error {
		_, err := tx.Update(e.ctx, snapshots.Info{Name: k("missing")})
		return err
	})
	e.refused("update of a missing one", err, volume.NotFound)
	e.sound()
}

func testImmutableParent(e env) {
	tree := e.baseTree()
	for key, info := range tree {
		changed := info
		changed.Parent, changed.Kind, changed.ID = k("layer-1"), snapshots.View, "other"
		changed.Labels = volume.Labels{"seen": "yes"}
		e.must(e.update(func(tx *snapshots.Tx) error {
			_, err := tx.Update(e.ctx, changed)
			return err
		}))
		got, err := e.store.Stat(e.ctx, e.project, k(key))
		if err != nil || got.Parent != info.Parent || got.Kind != info.Kind || got.ID != info.ID || got.Labels["seen"] != "yes" {
			e.Errorf("got %+v, %v, want %+v with other labels", got, err, info)
		}
	}
	e.sound()
}

func testUsage(e env) {
	_, err := e.create(snapshots.Active, "used", "")
	e.must(err)
	usage := func(key string) (u snapshots.Usage, err error) {
		err = e.store.View(e.ctx, e.project, func(tx *snapshots.Tx) (err error) {
			u, err = tx.Usage(e.ctx, k(key))
			return err
		})
		return u, err
	}
	if got, err := usage("used"); err != nil || got != (snapshots.Usage{}) {
		e.Errorf("got %+v, %v, want nothing before the commit", got, err)
	}
	want := snapshots.Usage{Size: 4096, Inodes: 3}
	_, err = e.commit("used", "used@1", want)
	e.must(err)
	if got, err := usage("used@1"); err != nil || got != want {
		e.Errorf("got %+v, %v, want %+v", got, err, want)
	}
	_, err = usage("used")
	e.refused("usage of a missing one", err, volume.NotFound)
}

func testFilters(e env) {
	e.baseTree()
	_, err := e.create(snapshots.Active, "marked", "layer-1", snapshots.WithLabels(volume.Labels{"team": "storage", "a.b": "c"}))
	e.must(err)
	tests := []struct {
		filters []string
		want    []string
	}{
		{[]string{"kind==active"}, []string{"bare", "marked", "on-3"}},
		{[]string{"kind!=committed"}, []string{"bare", "marked", "on-3", "view-1", "view-3"}},
		{[]string{"name==layer-1"}, []string{"layer-1"}},
		{[]string{`name=="db@snap"`}, []string{"db@snap"}},
		{[]string{`name~=/^layer-/`}, []string{"layer-1", "layer-2"}},
		{[]string{"parent==layer-1"}, []string{"layer-2", "marked", "view-1"}},
		{[]string{"parent==layer-1,kind==view"}, []string{"view-1"}},
		{[]string{"parent"}, []string{"db@snap", "layer-2", "marked", "on-3", "view-1", "view-3"}},
		{[]string{"labels.team==storage", "name==bare"}, []string{"bare", "marked"}},
		{[]string{"labels.of"}, []string{"db@snap", "layer-1", "layer-2"}},
		{[]string{`labels."a.b"==c`}, []string{"marked"}},
		{[]string{`parent!=""`}, []string{"db@snap", "layer-2", "marked", "on-3", "view-1", "view-3"}},
		{[]string{"name==NO"}, nil},
		{[]string{"parent==missing"}, nil},
	}
	for _, test := range tests {
		if got, err := e.walk(test.filters...); err != nil || !slices.Equal(got, test.want) {
			e.Errorf("%q: got %v, %v, want %v", test.filters, got, err, test.want)
		}
	}
	for _, bad := range []string{"kind=active", "size==1", "name~=/(/", "labels", ","} {
		_, err := e.walk(bad)
		e.refused(bad, err, volume.InvalidArgument)
	}
	stop := errors.New("enough")
	err = e.store.View(e.ctx, e.project, func(tx *snapshots.Tx) error {
		return tx.Walk(e.ctx, func(context.Context, snapshots.Info) error { return stop })
	})
	e.refused("walk that is stopped", err, stop)
}

func testWalkOwnChanges(e env) {
	e.baseTree()
	err := e.update(func(tx *snapshots.Tx) error {
		if _, err := tx.Remove(e.ctx, k("view-1")); err != nil {
			return err
		}
		if _, err := tx.Create(e.ctx, snapshots.View, k("view-2"), k("layer-1")); err != nil {
			return err
		}
		if _, err := tx.Commit(e.ctx, k("bare"), k("bare@1"), snapshots.Usage{}, snapshots.WithParent(k("layer-1"))); err != nil {
			return err
		}
		for _, filter := range []string{"parent==layer-1", `parent~="^layer-1$"`} { // by the index, and by reading all
			var found []string
			err := tx.Walk(e.ctx, func(_ context.Context, info snapshots.Info) error {
				found = append(found, info.Name.String())
				_, err := tx.Stat(e.ctx, info.Name) // the walk holds no lock
				return err
			}, filter)
			if err != nil || !slices.Equal(found, []string{"bare@1", "layer-2", "view-2"}) {
				e.Errorf("%s: got %v, %v", filter, found, err)
			}
		}
		return nil
	})
	e.must(err)
	e.sound()
}

func TestParseKey_Forms(t *testing.T) {
	for text, valid := range map[string]bool{
		"a": true, "a@b": true, "db-01@2026-01-02": true,
		"": false, "@": false, "a@": false, "@b": false, "a@b@c": false, "a.b": false, "A": false, "_": false, "a@_": false,
	} {
		key, err := snapshots.ParseKey(text)
		if (err == nil) != valid || valid && key.String() != text || !valid && !errors.Is(err, volume.ErrInvalidName) {
			t.Errorf("%q: got %v, %v, want valid %v", text, key, err, valid)
		}
	}
}
