package doctor_test

import (
	"fmt"
	"testing"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"
	"github.com/nats-io/nats.go/micro"

	"github.com/jetvol/jetvol/commands"
	"github.com/jetvol/jetvol/doctor"
	"github.com/jetvol/jetvol/events"
	"github.com/jetvol/jetvol/kv"
	"github.com/jetvol/jetvol/volume"
	"github.com/jetvol/jetvol/worker/ownership"
)

// lease plants the lease of a worker that is not there.
func (c *clinic) lease(l ownership.Lease) {
	c.Helper()
	l.SchemaVersion, l.Instance = volume.SchemaVersion, l.Worker+"-run"
	if l.JoinedAt.IsZero() {
		l.JoinedAt = time.Now()
	}
	_, err := kv.Open[ownership.Lease](c.js, kv.LeasesBucket).Create(c.ctx, ownership.LeaseKey(l.Worker), l)
	c.must(err)
}

func partitions(from, to int) []int {
	var all []int
	for n := from; n <= to; n++ {
		all = append(all, n)
	}
	return all
}

// consumer makes the consumer of a partition, as a worker does but for what change changes.
func (c *clinic) consumer(partition int, change func(*jetstream.ConsumerConfig)) jetstream.Consumer {
	c.Helper()
	config := jetstream.ConsumerConfig{
		Durable: fmt.Sprintf("partition-%d", partition), FilterSubject: commands.PartitionFilter(partition),
		AckPolicy: jetstream.AckExplicitPolicy, MaxDeliver: -1, MaxAckPending: 10,
		PriorityPolicy: jetstream.PriorityPolicyPinned, PriorityGroups: []string{"worker"}, PinnedTTL: time.Minute,
	}
	if change != nil {
		change(&config)
	}
	consumer, err := c.js.CreateConsumer(c.ctx, commands.StreamName, config)
	c.must(err)
	return consumer
}

// command stores a create and returns its partition.
func (c *clinic) command(name string) int {
	c.Helper()
	ack, err := c.js.Publish(c.ctx, commands.Subject(volume.Key{Project: "default", Name: volume.Name(name)}, volume.VerbCreate), []byte(`{"size":1}`))
	c.must(err)
	stream, err := c.js.Stream(c.ctx, commands.StreamName)
	c.must(err)
	msg, err := stream.GetMsg(c.ctx, ack.Sequence)
	c.must(err)
	address, err := commands.ParseSubject(msg.Subject)
	c.must(err)
	return address.Partition
}

func TestWorkers_None_Error(t *testing.T) {
	report := start(t).examine(doctor.Options{})
	report.want("workers.none", "commands are stored and wait")
	report.want("consumers.missing", "partitions 0-15")
}

func TestWorkers_Leases_TellPartitions(t *testing.T) {
	c := start(t)
	c.lease(ownership.Lease{Worker: "w1", Partitions: partitions(0, 7)})
	c.lease(ownership.Lease{Worker: "w2", Partitions: partitions(7, 12)})
	c.lease(ownership.Lease{Worker: "w3", Draining: true, Busy: []volume.Key{{Project: "default", Name: "v"}}})
	_, err := c.js.Publish(c.ctx, "$KV.leases.worker.w4", []byte("no lease"))
	c.must(err)
	c.lease(ownership.Lease{Worker: "gone"})
	leases := kv.Open[ownership.Lease](c.js, kv.LeasesBucket)
	revision, _, err := leases.Head(c.ctx, ownership.LeaseKey("gone"))
	c.must(err)
	c.must(leases.Delete(c.ctx, ownership.LeaseKey("gone"), revision))
	report := c.examine(doctor.Options{})
	report.want("workers.live", "w1", "partitions 0-7")
	report.want("workers.draining", "w3", "1 volume")
	report.want("workers.unowned", "partitions 13-15")
	report.want("workers.twice", "partition 7", "w1, w2")
	report.want("workers.unreadable", "worker.w4")
}

func TestWorkers_ServiceVersions_Differ(t *testing.T) {
	c := start(t)
	c.lease(ownership.Lease{Worker: "w1", Partitions: partitions(0, 15)})
	for i, build := range []string{"1.0.0", "1.0.0", "1.1.0-rc1"} {
		service, err := micro.AddService(c.conn, micro.Config{
			Name: "jetvol", Version: "1.0.0", Metadata: map[string]string{"build": build},
		})
		c.must(err)
		c.Cleanup(func() { _ = service.Stop() })
		report := c.examine(doctor.Options{})
		if i < 2 {
			report.none("workers.versions")
		} else {
			report.want("workers.versions", "2 of 1.0.0, 1 of 1.1.0-rc1")
		}
	}
}

func TestClock_LeaseAhead_ByItsDegree(t *testing.T) {
	c := start(t)
	c.lease(ownership.Lease{Worker: "exact"})
	c.lease(ownership.Lease{Worker: "ahead", JoinedAt: time.Now().Add(5 * time.Second)})
	c.lease(ownership.Lease{Worker: "far", JoinedAt: time.Now().Add(time.Minute)})
	report := c.examine(doctor.Options{})
	report.want("clock.worker", "exact")
	report.want("clock.worker_off", "worker ahead is", "ahead of")
	report.want("clock.worker_far_off", "worker far is", "ahead of")
}

// Events tell a clock that is ahead. One that is behind is told by several of them, unless
// one got onto the stream at once: the others were only late.
func TestClock_Events_BehindUnlessOneWasInTime(t *testing.T) {
	c := start(t)
	for _, id := range []string{"behind", "late", "few", "ahead"} {
		c.lease(ownership.Lease{Worker: id})
	}
	event := func(worker string, ago time.Duration) {
		c.Helper()
		key := volume.Key{Project: "default", Name: "v"}
		transition := volume.Transition{
			ID: "default.v/1", Key: key, Event: volume.EventReady, Generation: 1, Worker: worker, Time: time.Now().Add(-ago),
		}
		data, err := events.Encode(transition)
		c.must(err)
		_, err = c.js.Publish(c.ctx, events.PublishSubject(key, volume.EventReady), data)
		c.must(err)
	}
	for range 3 {
		event("behind", 20*time.Second)
		event("late", time.Minute)
		event("dead", time.Minute)
	}
	event("late", 0)
	event("few", time.Minute)
	event("few", time.Minute)
	event("ahead", -time.Minute)
	report := c.examine(doctor.Options{})
	report.want("clock.worker_far_off", "worker behind is", "behind that of the servers")
	report.want("clock.worker_far_off", "worker ahead is", "ahead of that of the servers")
	report.want("clock.worker", "late")
	report.want("clock.worker", "few")
	if got := len(report.find("clock.worker_far_off")); got != 2 {
		t.Errorf("got %d workers, want two:\n%s", got, report.text())
	}
}

func TestClock_Here_ByItsDegree(t *testing.T) {
	c := start(t)
	for code, ahead := range map[string]time.Duration{
		"clock.here": 0, "clock.here_off": 4 * time.Second, "clock.here_far_off": -time.Minute,
	} {
		direction := map[bool]string{true: "behind", false: "a"}[ahead < 0]
		report := c.examine(doctor.Options{Now: func() time.Time { return time.Now().Add(ahead) }})
		report.want(code, "this machine", direction)
	}
}

func TestConsumers_PausedAndWithoutInterest_Told(t *testing.T) {
	c := start(t)
	c.lease(ownership.Lease{Worker: "w1", Partitions: partitions(0, 15)})
	c.consumer(3, nil)
	c.consumer(4, func(config *jetstream.ConsumerConfig) { config.MaxDeliver = 5 })
	_, err := c.js.PauseConsumer(c.ctx, commands.StreamName, "partition-3", time.Now().Add(time.Hour))
	c.must(err)
	report := c.examine(doctor.Options{})
	report.want("consumers.paused", "partition-3", "nats consumer resume VOLUME_COMMANDS partition-3")
	report.want("consumers.no_interest", "partition-4")
	report.want("consumers.settings", "partition-4", "max_deliver is 5, wanted -1")
	report.want("consumers.missing", "partitions 0-2, 5-15")
	if got := report.find("consumers.no_interest"); len(got) != 1 {
		t.Errorf("got %+v, want none for the paused one", got)
	}
}

func purge(c *clinic) {
	c.Helper()
	stream, err := c.js.Stream(c.ctx, commands.StreamName)
	c.must(err)
	c.must(stream.Purge(c.ctx))
}

func TestConsumers_OldCommands_NamedWithTheirVolume(t *testing.T) {
	c := start(t)
	partition := c.command("db-01")
	for n, other := 0, partition; other == partition; n++ { // an older one, of another partition
		purge(c)
		other = c.command(fmt.Sprintf("other-%d", n))
		partition = c.command("db-01")
	}
	c.consumer(partition, nil)
	c.examine(doctor.Options{}).none("consumers.old_command", "consumers.no_interest") // which nobody is to have
	report := c.examine(doctor.Options{OldCommand: time.Nanosecond})
	report.want("consumers.old_command", "its create, command sequence", "jetvol explain default.db-01")
}

func TestConsumers_AckPendingNearItsLimit_Told(t *testing.T) {
	c := start(t)
	var partition int
	for range 11 { // of one volume, so that all lie in one partition
		partition = c.command("db-01")
	}
	consumer := c.consumer(partition, nil)
	take := func(n int) {
		c.Helper()
		batch, err := consumer.Fetch(n, jetstream.FetchMaxWait(patience), jetstream.FetchPriorityGroup("worker"))
		c.must(err)
		for range batch.Messages() {
		}
		c.must(batch.Error())
	}
	take(8)
	c.examine(doctor.Options{}).none("consumers.full")
	take(1)
	report := c.examine(doctor.Options{})
	report.want("consumers.full", "9 not ended", "2 more wait")
	report.want("consumers.lag", "2 commands wait, 9 are worked on")
}

func TestDeadLetters_Present_NewestTold(t *testing.T) {
	c := start(t)
	for _, reason := range []string{"older", "newer\x1b[31m"} {
		_, err := c.js.PublishMsg(c.ctx, &nats.Msg{
			Subject: "volume.dead.default.db-01.create", Data: []byte("{"),
			Header: nats.Header{commands.HeaderDeadCode: {"invalid_payload"}, commands.HeaderDeadReason: {reason}},
		})
		c.must(err)
	}
	report := c.examine(doctor.Options{})
	report.want("dead_letters.present", "2 messages", "letter 2", "invalid_payload newer?[31m", "jetvol dead list")
	report.none("dead_letters.none")
}
