package doctor_test

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/jetvol/jetvol/doctor"
	"github.com/jetvol/jetvol/drift"
	"github.com/jetvol/jetvol/kv"
	"github.com/jetvol/jetvol/volume"
)

// found stores what a sweep found.
func (c *clinic) found(name, backend string, kind volume.DriftKind) {
	c.Helper()
	key := volume.Key{Project: "default", Name: volume.Name(name)}
	_, err := drift.NewFindings(c.js).Put(c.ctx, drift.Finding{
		SchemaVersion: volume.SchemaVersion, Key: key, Backend: backend, ObjectID: volume.NewID(key, 1),
		Kinds: []volume.DriftKind{kind}, Differences: []volume.Difference{{Kind: kind, Actual: "1MiB"}}, FoundAt: time.Now(), SeenAt: time.Now(),
	})
	c.must(err)
}

func TestOrphans_Found_CountedUnlessSettled(t *testing.T) {
	c := start(t)
	c.examine(doctor.Options{}).want("orphans.none")
	for n := range 6 {
		c.found(fmt.Sprintf("left-%d", n), "local", volume.DriftOrphan)
	}
	c.found("image", "ceph", volume.DriftOrphan)
	c.found("lost", "local", volume.DriftGhost)
	c.found("adopted", "local", volume.DriftOrphan)
	c.plant("adopted", volume.StateAvailable, 0, func(r *volume.Record) { r.Backend = "local" })

	report := c.examine(doctor.Options{})
	report.want("orphans.present", "7 objects", "1 at ceph, 6 at local", "left-0", "and others", "jetvol drift list --kind orphan")
	report.none("orphans.none", "orphans.unreadable")
}

func TestOrphans_UnreadableFinding_Told(t *testing.T) {
	c := start(t)
	_, err := c.js.Publish(c.ctx, "$KV.drift.default.corrupt", []byte("{"))
	c.must(err)
	c.found("left", "local", volume.DriftOrphan)
	report := c.examine(doctor.Options{})
	report.want("orphans.unreadable", "default.corrupt")
	report.want("orphans.present", "1 object")
}

// Many that are settled, since somebody adopted them all, do not hide one that is not.
func TestOrphans_MoreThanAreCounted_ToldUnlessSettled(t *testing.T) {
	c := start(t)
	const adopted = 1001
	for n := range adopted {
		name := fmt.Sprintf("adopted-%d", n)
		c.found(name, "local", volume.DriftOrphan)
		c.plant(name, volume.StateAvailable, 0, func(r *volume.Record) { r.Backend = "local" })
	}
	c.found("left", "local", volume.DriftOrphan)
	c.examine(doctor.Options{}).want("orphans.present", "1 object ", "default.left")

	records, err := c.js.Stream(c.ctx, "KV_"+kv.VolumesBucket)
	c.must(err)
	c.must(records.Purge(c.ctx)) // nothing is settled any more
	c.examine(doctor.Options{}).want("orphans.present", "at least 1000 objects")
	report := c.examine(doctor.Options{Deep: true})
	report.want("orphans.present", "1002 objects")
	for _, f := range report.find("orphans.present") {
		if strings.Contains(f.Text, "at least") {
			t.Errorf("got %q, want all counted", f.Text)
		}
	}
}
