package doctor_test

import (
	"fmt"
	"testing"
	"time"

	"github.com/nats-io/nats.go/jetstream"

	"github.com/jetvol/jetvol/doctor"
	"github.com/jetvol/jetvol/kv"
	"github.com/jetvol/jetvol/volume"
	"github.com/jetvol/jetvol/worker/ownership"
)

// plant stores a record.
func (c *clinic) plant(name string, state volume.State, idle time.Duration, change func(*volume.Record)) {
	c.Helper()
	key := volume.Key{Project: "default", Name: volume.Name(name)}
	r := volume.Record{
		SchemaVersion: volume.SchemaVersion, State: state, Generation: 1, Key: key, ID: volume.NewID(key, 1),
		UpdatedAt: time.Now().Add(-idle),
	}
	if change != nil {
		change(&r)
	}
	_, err := kv.NewVolumes(c.js).Create(c.ctx, key.String(), r)
	c.must(err)
}

func TestVolumes_WhoNeedsSomebody_IsTold(t *testing.T) {
	c := start(t)
	c.lease(ownership.Lease{Worker: "w1"})
	owner := func(instance string) func(*volume.Record) {
		return func(r *volume.Record) { r.Owner = volume.Owner{Worker: "w1", Instance: instance, Epoch: 1} }
	}
	c.plant("fine", volume.StateAvailable, time.Hour, nil)
	c.plant("broken", volume.StateError, time.Hour, nil)
	c.plant("orphan", volume.StateAttaching, time.Hour, owner("a former run"))
	c.plant("slow", volume.StateFlattening, time.Hour, owner("w1-run"))
	c.plant("quick", volume.StateAttaching, 0, owner("a former run"))
	c.plant("drifted", volume.StateAvailable, 0, func(r *volume.Record) {
		r.Drift = &volume.Drift{FoundAt: time.Now(), Differences: []volume.Difference{{Kind: volume.DriftSize}}}
	})
	_, err := c.js.Publish(c.ctx, "$KV.volumes.default.corrupt", []byte("{"))
	c.must(err)

	report := c.examine(doctor.Options{})
	report.want("volumes.error", "default.broken", "jetvol volume reconcile default.broken")
	report.want("volumes.stuck", "default.orphan", "attaching for 1h0m0s", `worker "w1" is gone`)
	report.want("volumes.slow", "default.slow", "flattening for 1h0m0s", "w1 is alive")
	report.want("volumes.drifted", "default.drifted", "1 difference")
	report.want("volumes.unreadable", "default.corrupt")
	report.none("volumes.fine", "volumes.bounded")
	if got := len(report.find("volumes.stuck")); got != 1 {
		t.Errorf("got %d stuck volumes, want one:\n%s", got, report.text())
	}
}

// A look is bounded by a page, and a report by what can be read.
func TestVolumes_Many_LooksAndTellsSomeUnlessDeep(t *testing.T) {
	c := start(t)
	js, err := jetstream.New(c.conn, jetstream.WithPublishAsyncMaxPending(100))
	c.must(err)
	const broken, fine = 30, kv.MaxPageSize
	for n := range broken + fine {
		state := volume.StateError
		if n >= broken {
			state = volume.StateAvailable
		}
		_, err := js.PublishAsync(fmt.Sprintf("$KV.volumes.default.v%d", n),
			fmt.Appendf(nil, `{"schema_version":1,"state":%q,"project":"default","name":"v%d"}`, state, n))
		c.must(err)
	}
	select {
	case <-js.PublishAsyncComplete():
	case <-c.ctx.Done():
		t.Fatal("records are not stored")
	}
	c.plant("last", volume.StateAttaching, time.Hour, nil)
	report := c.examine(doctor.Options{})
	report.want("volumes.bounded", "1000 volumes", "--deep")
	report.none("volumes.stuck")
	report.want("volumes.error", "10 more")
	if got := len(report.find("volumes.error")); got != 21 {
		t.Errorf("got %d findings, want 20 and how many more", got)
	}
	report = c.examine(doctor.Options{Deep: true})
	report.want("volumes.stuck", "default.last")
	report.none("volumes.bounded")
}
