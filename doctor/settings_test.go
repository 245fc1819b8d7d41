package doctor_test

import (
	"fmt"
	"strconv"
	"testing"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"

	"github.com/jetvol/jetvol/commands"
	"github.com/jetvol/jetvol/doctor"
	"github.com/jetvol/jetvol/events"
	"github.com/jetvol/jetvol/internal/natstest"
	"github.com/jetvol/jetvol/internal/provision"
	"github.com/jetvol/jetvol/kv"
)

func count(n uint64) string { return strconv.FormatUint(n, 10) }

func TestStreams_ChangedSettings_ToldByTheirWeight(t *testing.T) {
	c := admit(t, natstest.Start(t).Connect(t))
	config := events.StreamConfig(1)
	config.MaxAge, config.DenyPurge = time.Hour, false
	_, err := c.js.CreateStream(c.ctx, config)
	c.must(err)
	config = commands.StreamConfig(1)
	config.Duplicates = time.Minute
	_, err = c.js.CreateStream(c.ctx, config)
	c.must(err)
	config = kv.SnapshotsConfig(1)
	config.Storage = jetstream.MemoryStorage
	_, err = c.js.CreateStream(c.ctx, config)
	c.must(err)

	report := c.examine(doctor.Options{})
	f := report.want("streams.breaks", "VOLUME_EVENTS", "max_age is 1h0m0s", "thrown away", "jetvol provision --update")
	if f.Severity != doctor.Error {
		t.Errorf("got %s, want an error", f.Severity)
	}
	report.want("streams.breaks", "VOLUME_EVENTS", "deny_purge is null, wanted true")
	f = report.want("streams.differs", "VOLUME_COMMANDS", "duplicate_window is 1m0s, wanted 100ms", "jetvol provision --update")
	if f.Severity != doctor.Warning {
		t.Errorf("got %s, want a warning", f.Severity)
	}
	f = report.want("streams.breaks", "bucket snapshots", "storage")
	if f.Remedy == "jetvol provision --update" {
		t.Errorf("got %q as remedy: it does not help there", f.Remedy)
	}
	report.want("streams.missing", "bucket volumes", "jetvol provision")
	report.want("workers.unknown")
	report.want("volumes.unknown")
}

func TestClock_NoStreams_Unknown(t *testing.T) {
	c := admit(t, natstest.Start(t).Connect(t))
	report := c.examine(doctor.Options{})
	report.want("clock.unknown")
	report.want("consumers.unknown")
	if got, want := len(report.find("streams.missing")), len(provision.Configs(provision.Options{})); got != want {
		t.Errorf("got %d missing streams, want %d", got, want)
	}
}

func TestAccount_LimitsNear_Warning(t *testing.T) {
	wanted := len(provision.Configs(provision.Options{}))
	s := configured(t, fmt.Sprintf(`accounts { A {
		jetstream: {max_mem: 1MB, max_file: 100MB, max_streams: %d, max_consumers: 100}
		users [{user: a, password: a}] } }`, wanted+1))
	c := admit(t, connect(t, s.ClientURL(), nats.UserInfo("a", "a")))
	c.provision(1)
	report := c.examine(doctor.Options{})
	report.want("account.near_full", "streams", fmt.Sprintf("%d of %d", wanted, wanted+1))
	if got := report.find("account.near_full"); len(got) != 1 {
		t.Errorf("got %+v, want the streams only", got)
	}
	_, err := c.js.CreateStream(c.ctx, jetstream.StreamConfig{Name: "OTHER", Subjects: []string{"other"}, MaxBytes: 90 << 20})
	c.must(err)
	c.examine(doctor.Options{}).want("account.near_full", "file storage", "90 MiB of 100 MiB")
}

func TestSync_Monitor_TellsTheInterval(t *testing.T) {
	interval := configured(t, "server_name: n1\nhttp: 127.0.0.1:-1\njetstream: {sync_interval: 30s, max_file_store: 10MB}")
	c := admit(t, connect(t, interval.ClientURL()))
	c.provision(1)
	monitor := fmt.Sprintf("http://%s", interval.MonitorAddr())
	report := c.examine(doctor.Options{Monitor: []string{monitor}})
	report.want("sync.interval", "n1", "30s", "power cut")
	report.want("sync.storage", "n1")
	report.none("sync.unknown", "sync.always")

	_, err := c.js.CreateStream(c.ctx, jetstream.StreamConfig{Name: "OTHER", Subjects: []string{"other"}, MaxBytes: 9 << 20})
	c.must(err)
	c.examine(doctor.Options{Monitor: []string{monitor + "/"}}).want("sync.storage_near_full", "n1")

	// Without quotes "1m" is a million, and that many seconds.
	long := configured(t, "server_name: n3\nhttp: 127.0.0.1:-1\njetstream: {sync_interval: 1m}")
	c.examine(doctor.Options{Monitor: []string{"http://" + long.MonitorAddr().String()}}).want("sync.interval_long", "n3", "277h46m40s", "quotes")

	always := configured(t, "server_name: n2\nhttp: 127.0.0.1:-1\njetstream: {sync_interval: always}")
	monitors := []string{fmt.Sprintf("http://%s/varz", always.MonitorAddr()), "http://127.0.0.1:1"}
	report = c.examine(doctor.Options{Monitor: monitors})
	report.want("sync.always", "n2")
	report.want("sync.unreachable", "http://127.0.0.1:1", "curl http://127.0.0.1:1/varz")
}
