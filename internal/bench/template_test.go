package bench

import (
	"context"
	"encoding/json"
	"errors"
	"strings"
	"sync/atomic"
	"testing"

	"github.com/nats-io/nats.go"

	"github.com/jetvol/jetvol/commands"
	"github.com/jetvol/jetvol/events"
	"github.com/jetvol/jetvol/internal/natstest"
	"github.com/jetvol/jetvol/internal/provision"
	"github.com/jetvol/jetvol/kv"
	"github.com/jetvol/jetvol/volume"
)

// TestTemplate_WriteMadeTwice_IsNone: a cluster refuses guards without cause, and the worker makes
// the write again (kv, events). The sampler hears both. In the ceiling each command of the round
// would make one write more than jetvol's do, and the ratio would be too good.
func TestTemplate_WriteMadeTwice_IsNone(t *testing.T) {
	record, begun, ended := Write{}, Write{Event: "create"}, Write{Event: "ready"}
	good := Template{Reply: Message{Data: succeeded(t)}, Writes: []Write{record, begun, record, ended}}
	must(t, good.check())
	for name, writes := range map[string][]Write{
		"a record":          {record, record, begun, record, ended},
		"an event":          {record, begun, begun, record, ended},
		"one of each":       {record, record, begun, begun, record, ended},
		"the last event":    {record, begun, record, ended, ended},
		"nothing":           {},
		"no event":          {record, record},
		"no record":         {begun, ended},
		"the event earlier": {begun, record, ended, record},
	} {
		twice := good
		if twice.Writes = writes; !errors.Is(twice.check(), errNoTemplate) {
			t.Errorf("%s: got %v, want %v", name, twice.check(), errNoTemplate)
		}
	}
}

func succeeded(t *testing.T) []byte {
	t.Helper()
	reply, err := json.Marshal(commands.Reply{CommandID: "c-1", Outcome: volume.Succeeded, Project: "p", Volume: "v", State: volume.StateAvailable})
	must(t, err)
	return reply
}

// A sample that shows a write twice is taken anew, of another volume, and its command counts.
func TestRun_SampleWithAWriteMadeTwice_IsTakenAnew(t *testing.T) {
	for name, c := range map[string]struct{ odd, commands int }{
		"none is odd": {0, 1}, "the first is odd": {1, 2}, "all are odd": {sampleTries, sampleTries},
	} {
		t.Run(name, func(t *testing.T) {
			ctx, cancel := context.WithTimeout(t.Context(), testLimit)
			defer cancel()
			js := natstest.Start(t).JetStream(t)
			_, err := provision.Apply(ctx, js, provision.Options{})
			must(t, err)
			given := publishTwice(t, js.Conn(), c.odd)
			r := run{conn: js.Conn(), sampler: sampler{conn: js.Conn(), js: js}}
			r.jetvol.source = newSource(Options{Workload: Create}, testProject, nil)
			err = r.sample(ctx, r.jetvol.source.sample)
			if failed := c.odd == sampleTries; failed != errors.Is(err, errNoTemplate) || failed != (err != nil) {
				t.Errorf("got %v with %d samples that are odd", err, c.odd)
			}
			if err == nil && len(r.templates[volume.VerbCreate].Writes) != 4 {
				t.Errorf("got %d writes, want 4", len(r.templates[volume.VerbCreate].Writes))
			}
			if got := int(given.Load()); got != c.commands {
				t.Errorf("got %d commands given, want %d", got, c.commands)
			}
			if sent, _ := r.jetvol.source.counts.both(); err == nil && sent[volume.VerbCreate] != c.commands {
				t.Errorf("got %d commands counted, want %d", sent[volume.VerbCreate], c.commands)
			}
		})
	}
}

// publishTwice answers creates with what a worker publishes, and makes the first record of the
// first odd ones twice.
func publishTwice(t *testing.T, conn *nats.Conn, odd int) (given *atomic.Int64) {
	t.Helper()
	given, reply := new(atomic.Int64), succeeded(t)
	_, err := conn.Subscribe("volume.command.>", func(msg *nats.Msg) {
		tokens := strings.Split(msg.Subject, ".") // volume.command.<project>.<volume>.<verb>
		key := volume.Key{Project: volume.Project(tokens[2]), Name: volume.Name(tokens[3])}
		record := "$KV." + kv.VolumesBucket + "." + key.String()
		subjects := []string{record, events.PublishSubject(key, "create"), record, events.PublishSubject(key, "ready")}
		if int(given.Add(1)) <= odd {
			subjects = append([]string{record}, subjects...)
		}
		for _, subject := range subjects {
			_ = conn.Publish(subject, []byte("{}")) // what is not heard fails the test
		}
		_ = conn.Publish(msg.Header.Get(commands.HeaderReply), reply)
	})
	must(t, err)
	return given
}
