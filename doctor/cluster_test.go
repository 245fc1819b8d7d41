package doctor_test

import (
	"testing"
	"time"

	"github.com/nats-io/nats.go/jetstream"

	"github.com/jetvol/jetvol/commands"
	"github.com/jetvol/jetvol/doctor"
	"github.com/jetvol/jetvol/events"
	"github.com/jetvol/jetvol/internal/natstest"
)

// A cluster loses one server after another.
func TestReplicas_Cluster_LosesServers(t *testing.T) {
	cluster := natstest.StartCluster(t, 3)
	c := admit(t, cluster.Connect(t))
	options := doctor.Options{Timeout: 2 * time.Second}
	c.provision(1)
	report := c.examine(options)
	report.want("replicas.one_copy", "VOLUME_EVENTS", "KV_volumes", "jetvol provision --replicas 3 --update")
	report.none("replicas.complete", "replicas.one_server")

	// What lies on one server only has no leader without it.
	only := cluster.StopLeader(t, events.StreamName)
	report = c.await(options, "replicas.no_leader")
	report.want("replicas.no_leader", "stream VOLUME_EVENTS")
	report.none("streams.missing")
	cluster.Restart(t, only)
	cluster.AwaitCurrent(t)

	c.provision(3)
	cluster.AwaitCurrent(t)
	monitored := configured(t, "server_name: n9\nhttp: 127.0.0.1:-1\njetstream: {sync_interval: \"1m\"}")
	report = c.examine(doctor.Options{Monitor: []string{"http://" + monitored.MonitorAddr().String()}})
	report.want("sync.interval_replicated", "n9", "1m0s", "most servers at once")
	report.want("replicas.complete", "VOLUME_EVENTS 3")
	report.none("replicas.offline", "replicas.behind", "replicas.no_leader", "replicas.one_copy")
	report.want("connectivity.server", "cluster test")

	first := (cluster.LeaderOf(t, commands.StreamName) + 1) % 3
	cluster.Stop(t, first)
	c.await(options, "replicas.offline").want("replicas.offline", "one more loss")

	cluster.Stop(t, (first+1)%3)
	report = c.await(options, "connectivity.silent")
	report.none("streams.missing", "workers.none")
}

// A replica that is behind stays so for moments only, which no test can hold: this is the
// server's word for it.
func TestReplicas_Behind_Warning(t *testing.T) {
	cluster := &jetstream.ClusterInfo{Leader: "n1", Replicas: []*jetstream.PeerInfo{
		{Name: "n4", Current: true, Lag: 5000}, {Name: "n3", Lag: 7}, {Name: "n2", Current: true, Lag: 3},
	}}
	report := record(t, doctor.Report{Findings: doctor.ReplicaFindings("KV_volumes", jetstream.StreamInfo{Cluster: cluster})})
	report.want("replicas.behind", "bucket volumes", "n3 7 operations behind")
	report.want("replicas.behind", "bucket volumes", "n4 5000 operations behind")
	if got := len(report.Findings); got != 2 {
		t.Errorf("got %d findings, want 2:\n%s", got, report.text())
	}
}
