package snapshots_test

import (
	"context"
	"errors"

	"github.com/jetvol/jetvol/kv"
	"github.com/jetvol/jetvol/snapshots"
	"github.com/jetvol/jetvol/volume"
)

// uses are all that can be done with a transaction.
func uses(ctx context.Context) map[string]struct {
	writes bool
	use    func(*snapshots.Tx) error
} {
	type use = struct {
		writes bool
		use    func(*snapshots.Tx) error
	}
	key := k("any")
	return map[string]use{
		"create":   {true, func(tx *snapshots.Tx) error { _, err := tx.Create(ctx, snapshots.Active, k("new"), k("")); return err }},
		"commit":   {true, func(tx *snapshots.Tx) error { _, err := tx.Commit(ctx, key, k("x"), snapshots.Usage{}); return err }},
		"remove":   {true, func(tx *snapshots.Tx) error { _, err := tx.Remove(ctx, key); return err }},
		"update":   {true, func(tx *snapshots.Tx) error { _, err := tx.Update(ctx, snapshots.Info{Name: key}); return err }},
		"apply":    {true, func(tx *snapshots.Tx) error { return tx.Apply(ctx) }},
		"stat":     {false, func(tx *snapshots.Tx) error { _, err := tx.Stat(ctx, key); return err }},
		"get":      {false, func(tx *snapshots.Tx) error { _, err := tx.Get(ctx, key); return err }},
		"usage":    {false, func(tx *snapshots.Tx) error { _, err := tx.Usage(ctx, key); return err }},
		"chain":    {false, func(tx *snapshots.Tx) error { _, err := tx.Chain(ctx, key); return err }},
		"children": {false, func(tx *snapshots.Tx) error { _, err := tx.Children(ctx, key); return err }},
		"id map":   {false, func(tx *snapshots.Tx) error { _, err := tx.IDMap(ctx); return err }},
		"walk": {false, func(tx *snapshots.Tx) error {
			return tx.Walk(ctx, func(context.Context, snapshots.Info) error { return nil })
		}},
		"rollback": {false, func(tx *snapshots.Tx) error { return tx.Rollback() }},
	}
}

func testLifecycle(e env) {
	_, err := e.create(snapshots.Active, "any", "")
	e.must(err)
	for name, use := range uses(e.ctx) {
		e.refused(name+" of nil", use.use(nil), snapshots.ErrNoTransaction)
		for _, writable := range []bool{false, true} {
			for _, end := range []string{"rollback", "apply"} {
				tx, err := e.store.Begin(e.ctx, e.project, writable)
				e.must(err)
				if err := uses(e.ctx)[end].use(tx); (err == nil) != (writable || end == "rollback") {
					e.Errorf("%s, writable %v: got %v", end, writable, err)
				}
				if writable || end == "rollback" {
					e.refused(name+" after "+end, use.use(tx), snapshots.ErrNoTransaction)
				}
			}
		}
		tx, err := e.store.Begin(e.ctx, e.project, false)
		e.must(err)
		if err := use.use(tx); use.writes != errors.Is(err, snapshots.ErrReadOnly) || !use.writes && err != nil {
			e.Errorf("%s in a read-only transaction: got %v", name, err)
		}
	}
	_, err = e.store.Begin(e.ctx, "No Project", true)
	e.refused("a project that is none", err, volume.ErrInvalidName)
}

func testAllOrNone(e env) {
	defer e.sound()
	e.layer("base", "")
	change := func(tx *snapshots.Tx) error {
		if _, err := tx.Create(e.ctx, snapshots.Active, k("one"), k("base")); err != nil {
			return err
		}
		_, err := tx.Create(e.ctx, snapshots.View, k("two"), k("base"))
		return err
	}
	tx, err := e.store.Begin(e.ctx, e.project, true)
	e.must(err)
	e.must(change(tx))
	if _, err := tx.Stat(e.ctx, k("one")); err != nil {
		e.Errorf("its own change: got %v", err)
	}
	if children, err := tx.Children(e.ctx, k("base")); err != nil || len(children) != 2 {
		e.Errorf("its own children: got %v, %v", children, err)
	}
	_, err = e.store.Stat(e.ctx, e.project, k("one"))
	e.refused("seen from outside", err, volume.NotFound)
	e.must(tx.Rollback())
	_, err = e.store.Stat(e.ctx, e.project, k("one"))
	e.refused("after the rollback", err, volume.NotFound)
	fault := errors.New("changed my mind")
	e.refused("update that fails", e.update(func(tx *snapshots.Tx) error {
		e.must(change(tx))
		return fault
	}), fault)
	_, err = e.store.Stat(e.ctx, e.project, k("two"))
	e.refused("after the update that failed", err, volume.NotFound)
	e.must(e.update(change))
	if _, err := e.store.Stat(e.ctx, e.project, k("two")); err != nil {
		e.Error(err)
	}
}

// Whatever a transaction depends on is changed under it in turn.
func testConflict(e env) {
	e.baseTree()
	defer e.sound()
	label := func(key string) func() {
		return func() {
			e.must(e.update(func(tx *snapshots.Tx) error {
				_, err := tx.Update(e.ctx, snapshots.Info{Name: k(key), Labels: volume.Labels{"n": key}}, "labels.n")
				return err
			}))
		}
	}
	appear := func(key, parent string) func() {
		return func() {
			_, err := e.create(snapshots.View, key, parent)
			e.must(err)
		}
	}
	stat := func(key string) func(*snapshots.Tx) error {
		return func(tx *snapshots.Tx) error {
			if _, err := tx.Stat(e.ctx, k(key)); err != nil && !errors.Is(err, volume.NotFound) {
				return err
			}
			_, err := tx.Create(e.ctx, snapshots.Active, k("never"), k(""))
			return err
		}
	}
	tests := map[string]struct {
		use  func(*snapshots.Tx) error
		then func()
	}{
		"the parent changes": {func(tx *snapshots.Tx) error {
			_, err := tx.Create(e.ctx, snapshots.Active, k("never"), k("layer-1"))
			return err
		}, label("layer-1")},
		"the key appears": {func(tx *snapshots.Tx) error {
			_, err := tx.Create(e.ctx, snapshots.Active, k("came-1"), k("layer-1"))
			return err
		}, appear("came-1", "layer-1")},
		"the entry changes": {func(tx *snapshots.Tx) error { _, err := tx.Remove(e.ctx, k("on-3")); return err }, label("on-3")},
		"the name appears": {func(tx *snapshots.Tx) error {
			_, err := tx.Commit(e.ctx, k("on-3"), k("came-2"), snapshots.Usage{})
			return err
		}, appear("came-2", "")},
		"what was looked at": {stat("view-3"), label("view-3")},
		"what was not there": {stat("came-3"), appear("came-3", "")},
		"a chain was followed to": {func(tx *snapshots.Tx) error {
			_, err := tx.Chain(e.ctx, k("on-3"))
			e.must(err)
			return stat("bare")(tx)
		}, label("on-3")},
	}
	e.layer("childless", "")
	tests["a child appears"] = struct {
		use  func(*snapshots.Tx) error
		then func()
	}{func(tx *snapshots.Tx) error { _, err := tx.Remove(e.ctx, k("childless")); return err }, appear("child", "childless")}
	for name, test := range tests {
		tx, err := e.store.Begin(e.ctx, e.project, true)
		e.must(err)
		e.must(test.use(tx))
		test.then()
		err = tx.Apply(e.ctx)
		e.refused(name, err, snapshots.ErrConflict)
		if class := volume.ClassOf(err); class != volume.Aborted {
			e.Errorf("%s: got class %s, want aborted", name, class)
		}
		e.refused(name+": applied again", tx.Apply(e.ctx), snapshots.ErrNoTransaction)
	}
	for _, key := range []string{"never"} {
		_, err := e.store.Stat(e.ctx, e.project, k(key))
		e.refused(key, err, volume.NotFound)
	}
	// Update repeats until it wins.
	attempts := 0
	e.must(e.update(func(tx *snapshots.Tx) error {
		attempts++
		if _, err := tx.Create(e.ctx, snapshots.Active, k("at-last"), k("layer-2")); err != nil {
			return err
		}
		if attempts < 3 {
			label("layer-2")()
		}
		return nil
	}))
	if attempts != 3 {
		e.Errorf("got %d attempts, want 3", attempts)
	}
	// But not for ever.
	attempts = 0
	e.refused("one that never wins", e.update(func(tx *snapshots.Tx) error {
		attempts++
		_, err := tx.Create(e.ctx, snapshots.Active, k("never"), k("layer-2"))
		label("layer-2")()
		return err
	}), snapshots.ErrConflict)
	if attempts < 3 || attempts > 50 {
		e.Errorf("got %d attempts", attempts)
	}
}

func testCloseTwice(e env) {
	tx, err := e.store.Begin(e.ctx, e.project, true)
	e.must(err)
	e.must(e.store.Close())
	e.must(e.store.Close())
	_, err = e.store.Begin(e.ctx, e.project, true)
	e.refused("begin after close", err, snapshots.ErrClosed)
	e.refused("update after close", e.update(func(*snapshots.Tx) error { return nil }), snapshots.ErrClosed)
	_, err = tx.Create(e.ctx, snapshots.Active, k("begun-before"), k(""))
	e.must(err)
	e.must(tx.Apply(e.ctx))
}

func testCorrupt(e env) {
	e.baseTree()
	subject := func(key string) string { return "$KV." + kv.SnapshotsBucket + "." + string(e.project) + ".e." + key }
	for name, plant := range map[string]struct {
		data string
		want error
	}{
		"no JSON":               {"{", kv.ErrCorrupt},
		"of another key":        {`{"schema_version":1,"kind":"active","name":"other","id":"x"}`, kv.ErrCorrupt},
		"of no key":             {`{"schema_version":1,"kind":"active","id":"x"}`, kv.ErrCorrupt},
		"of an unknown kind":    {`{"schema_version":1,"kind":"odd","name":"bad","id":"x"}`, kv.ErrCorrupt},
		"without id":            {`{"schema_version":1,"kind":"active","name":"bad"}`, kv.ErrCorrupt},
		"of a newer jetvol":     {`{"schema_version":99,"kind":"active","name":"bad","id":"x"}`, kv.ErrSchema},
		"with an odd parent":    {`{"schema_version":1,"kind":"active","name":"bad","id":"x","parent":"a@b@c"}`, kv.ErrCorrupt},
		"with a missing parent": {`{"schema_version":1,"kind":"active","name":"bad","id":"x","parent":"lost"}`, kv.ErrCorrupt},
	} {
		if _, err := e.js.Publish(e.ctx, subject("bad._"), []byte(plant.data)); err != nil {
			e.Fatal(err)
		}
		_, err := e.get("bad")
		e.refused(name, err, plant.want)
		if name != "with a missing parent" {
			_, err = e.walk()
			e.refused("walk: "+name, err, plant.want)
			_, err = e.create(snapshots.Active, "bad", "")
			e.refused("create over: "+name, err, plant.want)
		}
		faults, err := e.store.Check(e.ctx, e.project)
		if err == nil && len(faults) == 0 {
			e.Errorf("%s: the check finds nothing", name)
		}
	}
}
