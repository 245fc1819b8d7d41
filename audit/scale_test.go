package audit_test

import (
	"bytes"
	"encoding/json"
	"flag"
	"fmt"
	"os"
	"os/exec"
	"testing"
	"time"

	"github.com/nats-io/nats.go/jetstream"

	"github.com/jetvol/jetvol/audit"
	"github.com/jetvol/jetvol/kv"
	"github.com/jetvol/jetvol/volume"
)

// `make audit-scale` sets these to 1,000,000 events of 100,000 volumes.
var (
	scaleVolumes = flag.Int("scale-volumes", 400, "volumes of the test of scale")
	scaleEvents  = flag.Int("scale-events", 10, "events of each")
)

// group is how many volumes have their events mixed on the stream.
const group = 100

// TestVerify_AtScale makes volumes as workers would, straight onto the stream, verifies in a
// process of its own, and then plants one damage of each kind, each of which has to be found.
func TestVerify_AtScale(t *testing.T) {
	p := newPlaceFor(t, time.Hour)
	started := time.Now()
	for from := 0; from < *scaleVolumes; from += group {
		p.populate(from, min(from+group, *scaleVolumes))
	}
	p.flush()
	t.Logf("%d events of %d volumes were written in %s", *scaleEvents**scaleVolumes, *scaleVolumes, time.Since(started).Round(time.Second))

	report, worked := p.verifyApart()
	t.Logf("clean: %d events, %d volumes, %d records in %.1f s, %.0f events/s (%.0f in a second of processor time), passes %d, peak RSS %d MiB",
		report.Events, report.Volumes, report.Records, report.Seconds, report.Rate, float64(report.Events)/worked.Seconds(), report.Passes, report.PeakKiB>>10)
	if len(report.Faults) != 0 || report.Events != uint64(*scaleEvents**scaleVolumes) || report.Volumes != uint64(*scaleVolumes) {
		t.Fatalf("%d events, %d volumes, faults %v", report.Events, report.Volumes, report.Faults)
	}

	planted := p.plantOneOfEach()
	report, _ = p.verifyApart()
	found := map[string]audit.Kind{}
	for _, fault := range report.Faults {
		t.Log(fault)
		found[fault.Volume] = fault.Kind
	}
	for name, kind := range planted {
		if found[name] != kind {
			t.Errorf("%s: got %q, want %s", name, found[name], kind)
		}
	}
	if len(found) != len(planted) {
		t.Errorf("%d faults, want %d", len(found), len(planted))
	}
}

// populate writes volumes, their events in turn.
func (p *place) populate(from, to int) {
	p.t.Helper()
	var lives []*life
	for i := from; i < to; i++ {
		lives = append(lives, lead(p.t, fmt.Sprintf("v-%06d", i), *scaleEvents))
	}
	for i := range *scaleEvents {
		for _, l := range lives {
			p.event(l.events[i])
		}
	}
	for _, l := range lives {
		_, err := p.js.PublishAsync("$KV."+kv.VolumesBucket+"."+l.record.Key.String(), encode(p.t, l.record), jetstream.WithStallWait(limit))
		p.must(err)
	}
}

// plantOneOfEach adds volumes with each kind of damage, and damages records.
func (p *place) plantOneOfEach() map[string]audit.Kind {
	p.t.Helper()
	planted := map[string]audit.Kind{"default.v-000007": audit.RecordDiffers, "default.v-000009": audit.RecordMissing}
	for i, d := range damages {
		l := lead(p.t, fmt.Sprintf("damaged-%d", i), 12)
		switch d.name {
		case "dropped", "doubled", "altered actor", "swapped":
			d.do(l)
			p.settle(l)
			planted[l.record.Key.String()] = d.kind
		}
	}
	entry, err := p.records.ByKey(p.ctx, key("v-000007"))
	p.must(err)
	entry.Value.Size += volume.MiB
	p.keep(entry.Value)
	entry, err = p.records.ByKey(p.ctx, key("v-000009"))
	p.must(err)
	p.must(p.records.Delete(p.ctx, entry.Key, entry.Revision))
	return planted
}

// verifyApart verifies in another process, and returns also how long processors worked for it.
func (p *place) verifyApart() (result apart, worked time.Duration) {
	p.t.Helper()
	self, err := os.Executable()
	p.must(err)
	command := exec.CommandContext(p.ctx, self)
	command.Env = append(os.Environ(), childURL+"="+p.server.URL())
	var out, trouble bytes.Buffer
	command.Stdout, command.Stderr = &out, &trouble
	if err := command.Run(); err != nil {
		p.t.Fatalf("verify: %v: %s", err, trouble.String())
	}
	p.must(json.Unmarshal(out.Bytes(), &result))
	return result, command.ProcessState.UserTime() + command.ProcessState.SystemTime()
}
