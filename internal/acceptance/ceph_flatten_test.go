//go:build ceph

package acceptance

import (
	"encoding/json"
	"strings"
	"testing"
	"time"

	"github.com/nats-io/nats.go"

	"github.com/jetvol/jetvol/commands"
	"github.com/jetvol/jetvol/internal/cephtest"
	"github.com/jetvol/jetvol/internal/natstest"
	"github.com/jetvol/jetvol/volume"
)

// A flatten that takes long enough to be told of several times.
const (
	flattenSize     = 256 * mib
	flattenPatience = 3 * time.Minute
)

// slow makes the OSD wait a little before half of what it does.
func slow(t *testing.T, cluster *cephtest.Cluster) {
	t.Helper()
	cluster.Ceph(t, "config", "set", "osd", "osd_debug_inject_dispatch_delay_duration", "0.05")
	cluster.Ceph(t, "config", "set", "osd", "osd_debug_inject_dispatch_delay_probability", "0.5")
}

func fast(t *testing.T, cluster *cephtest.Cluster) {
	t.Helper()
	cluster.Ceph(t, "config", "rm", "osd", "osd_debug_inject_dispatch_delay_probability")
}

// A worker that is killed in the middle of a long flatten is followed by another one, which
// finishes it: it tells of the progress, nothing is left of the first attempt, and nothing
// is missing. The last is not a matter of course: `rbd flatten` of Ceph 16.2.15 that is killed
// and begun again leaves out what was under way, and then lets go of the parent (see "avoid
// data corruption on flatten when object map is inconsistent", ceph pull request 61129).
func TestCeph_WorkerKilledInFlatten_AnotherFinishes(t *testing.T) {
	dependOnSources(t)
	cluster := cephtest.StartOwn(t)
	p := newPlace(t, cluster)
	s := &server{url: natstest.Start(t).URL(), workDir: t.TempDir()}
	workers := map[string]*program{}
	for _, id := range []string{"w1", "w2"} {
		workers[id] = startWorker(t, s, "--id "+id+" --config "+p.file(t))
	}
	d := newTale(newStage(t, s, images{p}), byNATS)
	d.sparing = true
	d.great(t)
	tracked, err := d.conn.SubscribeSync("volume.event.default.copy.*")
	if err != nil {
		t.Fatal(err)
	}
	slow(t, cluster)
	request := commands.Request{Key: d.key("copy"), Verb: volume.VerbFlatten, Actor: "test"}
	if _, err := d.client.Publish(t.Context(), request); err != nil {
		t.Fatal(err)
	}
	before := awaitEvent(t, tracked, volume.EventProgress)
	record, _ := readWitnessesOf(t, d.js, d.driver(t), d.key("copy"))
	killed := record.Owner.Worker
	workers[killed].kill()
	began := time.Now()
	after := awaitEvent(t, tracked, volume.EventFlattened)
	fast(t, cluster)
	t.Logf("before the kill %v, after it %v, flattened %s after the kill", progressOf(before), progressOf(after), time.Since(began).Round(time.Millisecond))
	if len(progressOf(after)) == 0 {
		t.Error("the second worker told of no progress")
	}
	record, _ = readWitnessesOf(t, d.js, d.driver(t), d.key("copy"))
	if record.Owner.Worker == killed || !record.Source.IsZero() {
		t.Errorf("record: owner %s, source %q, want another owner than %s and no source", record.Owner.Worker, record.Source, killed)
	}
	d.compare(t, "the takeover")
	if info := cluster.RBD(t, "info", p.image(imageOf(d.key("copy")))); strings.Contains(info, "parent:") {
		t.Errorf("rbd info: got\n%s\nwant no parent", info)
	}
	d.outlived(t)
}

// great makes a volume full of bytes, a snapshot of it, and a clone.
func (d *tale) great(t *testing.T) {
	t.Helper()
	d.does(t, "base", "create", "", `{"size":"256MiB"}`, d.becomes("base", "", flattenSize))
	d.attach(t, "base", volume.ReadWrite)
	for piece := range int64(8) {
		d.write(t, "base", piece*flattenSize/8, flattenSize/8, byte(piece+1))
	}
	d.detach(t, "base")
	d.does(t, "base", "snapshot", "", `{"snapshot":"s"}`, d.becomes("base@s", "base", flattenSize))
	d.does(t, "copy", "create", "", `{"source":"base@s"}`, d.becomes("copy", "base@s", flattenSize))
}

// outlived deletes the source of the clone, and then the clone.
func (d *tale) outlived(t *testing.T) {
	t.Helper()
	d.does(t, "base", "delete_snapshot", "", `{"snapshot":"s"}`, d.vanishes("base@s"))
	d.does(t, "base", "delete", "", `{}`, d.vanishes("base"))
	d.compare(t, "the end of the source")
	d.does(t, "copy", "delete", "", `{}`, d.vanishes("copy"))
	d.nothingLeft(t)
}

// awaitEvent returns the events of a subscription up to the first of the kind.
func awaitEvent(t *testing.T, tracked *nats.Subscription, kind volume.Event) (told []volume.Transition) {
	t.Helper()
	late := time.Now().Add(flattenPatience)
	for {
		msg, err := tracked.NextMsg(time.Until(late))
		if err != nil {
			t.Fatalf("event %s: %v after %d events", kind, err, len(told))
		}
		var event struct{ Data volume.Transition }
		if err := json.Unmarshal(msg.Data, &event); err != nil {
			t.Fatal(err)
		}
		told = append(told, event.Data)
		if event.Data.Event == kind {
			return told
		}
	}
}

// progressOf returns how far the events told that something has come.
func progressOf(told []volume.Transition) (steps []volume.Progress) {
	for _, event := range told {
		if event.Progress != nil {
			steps = append(steps, *event.Progress)
		}
	}
	return steps
}
