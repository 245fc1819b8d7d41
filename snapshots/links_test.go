package snapshots_test

import (
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/nats-io/nats.go/jetstream"

	"github.com/jetvol/jetvol/kv"
	"github.com/jetvol/jetvol/snapshots"
	"github.com/jetvol/jetvol/volume"
)

// A link whose marker has expired may come back when the server is killed: without its entry,
// or beside one that stands elsewhere by now.
func testLinksLeftBehind(e env) {
	e.snapshot("db@s1", "db.1")
	e.snapshot("db@s2", "db.2")
	_, err := e.store.CreateClone(e.ctx, e.project, "moved", k("db@s2"), "moved.1", nil)
	e.must(err)
	for _, child := range []string{"gone", "moved"} {
		e.publish("c.db.s1."+child+"._", `{"schema_version":1,"id":"`+child+`.0"}`)
	}
	e.wantChildren("db@s1")
	if linked, err := e.store.Linked(e.ctx, e.project, k("db@s1")); err != nil || len(linked) != 2 {
		e.Errorf("linked: got %v, %v, want both leftovers", linked, err)
	}
	e.wantChildren("db@s2", "moved")
	e.sound()
	e.must(e.store.BeginRemove(e.ctx, e.project, k("db@s1"), "c1"))
	e.must(e.store.FinishRemove(e.ctx, e.project, k("db@s1"), "c1"))
	// And one that has its entry is in the way.
	for _, child := range []string{"gone", "past"} { // before it and behind it
		e.publish("c.db.s2."+child+"._", `{"schema_version":1,"id":"`+child+`.0"}`)
	}
	e.wantChildren("db@s2", "moved")
	e.sound()
	err = e.store.BeginRemove(e.ctx, e.project, k("db@s2"), "c2")
	e.refused("a child beside leftovers", err, volume.ErrSnapshotInUse)
	var blocked *snapshots.BlockedError
	if !errors.As(err, &blocked) || !slices.Equal(blocked.Children, keys("moved")) {
		e.Errorf("a child beside leftovers: got %v, want blocked by moved only", err)
	}
}

// wantChildren compares the children that are told, in the ways in which they are.
func (e env) wantChildren(of string, want ...string) {
	e.Helper()
	got, err := e.store.Children(e.ctx, e.project, k(of))
	e.must(err)
	if fmt.Sprint(got) != fmt.Sprint(want) {
		e.Errorf("children of %s: got %v, want %v", of, got, want)
	}
	has, err := e.store.HasChildren(e.ctx, e.project, k(of))
	e.must(err)
	if has != (len(want) > 0) {
		e.Errorf("has %s children: got %v, want %v", of, has, len(want) > 0)
	}
}

// What the children of an entry cost must not grow with all that it ever had, so the markers
// of links go; that of an entry stays, or the entry might come back.
func testMarkersExpire(e env) {
	e.snapshot("db@s1", "db.1")
	_, err := e.store.CreateClone(e.ctx, e.project, "copy", k("db@s1"), "copy.1", nil)
	e.must(err)
	e.must(e.store.Remove(e.ctx, e.project, k("copy"), "copy.1"))
	for key, want := range map[string]time.Duration{"c.db.s1.copy._": kv.MarkerTTL, "e.copy._": 0} {
		stream, err := e.js.Stream(e.ctx, "KV_"+kv.SnapshotsBucket)
		e.must(err)
		marker, err := stream.GetLastMsgForSubject(e.ctx, e.subject(key))
		e.must(err)
		var got time.Duration
		if text := marker.Header.Get(jetstream.MsgTTLHeader); text != "" {
			got, err = time.ParseDuration(text)
			e.must(err)
		}
		if operation := marker.Header.Get("KV-Operation"); operation != "DEL" || got != want {
			e.Errorf("%s: got %q that expires after %s, want a marker that does after %s", key, operation, got, want)
		}
	}
	if children, err := e.store.Children(e.ctx, e.project, k("db@s1")); err != nil || len(children) > 0 {
		e.Errorf("children: got %v, %v, want none", children, err)
	}
}

func (e env) subject(key string) string {
	return "$KV." + kv.SnapshotsBucket + "." + string(e.project) + "." + key
}

func (e env) publish(key, data string) {
	e.Helper()
	_, err := e.js.Publish(e.ctx, e.subject(key), []byte(data))
	e.must(err)
}
