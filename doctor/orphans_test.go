package doctor_test

import (
	"fmt"
	"testing"
	"time"

	"github.com/jetvol/jetvol/doctor"
	"github.com/jetvol/jetvol/drift"
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
	c.examine(doctor.Options{}).want("drift.none")
	for n := range 6 {
		c.found(fmt.Sprintf("left-%d", n), "local", volume.DriftOrphan)
	}
	c.found("image", "ceph", volume.DriftOrphan)
	c.found("lost", "local", volume.DriftGhost)
	c.found("adopted", "local", volume.DriftOrphan)
	c.plant("adopted", volume.StateAvailable, 0, func(r *volume.Record) { r.Backend = "local" })

	report := c.examine(doctor.Options{})
	report.want("drift.orphans", "7 objects", "1 at ceph, 6 at local", "left-0", "and others", "jetvol drift list --kind orphan")
	report.none("drift.none", "drift.unreadable")
}

func TestOrphans_UnreadableFinding_Told(t *testing.T) {
	c := start(t)
	_, err := c.js.Publish(c.ctx, "$KV.drift.default.corrupt", []byte("{"))
	c.must(err)
	c.found("left", "local", volume.DriftOrphan)
	report := c.examine(doctor.Options{})
	report.want("drift.unreadable", "default.corrupt")
	report.want("drift.orphans", "1 object")
}
