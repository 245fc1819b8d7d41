package acceptance

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"strings"
	"testing"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"

	"github.com/jetvol/jetvol/internal/natstest"
)

// The server's answer goes to the reply subject with the server's own rights, and a push
// consumer delivers so too. These are subjects where that would do harm.
var harmful = []string{
	"volume.tx.default.forged.ready",
	"$KV.volumes.default.forged",
	"$KV.snapshots.default.e.forged._",
	"$JS.API.STREAM.DELETE.KV_outcomes",
	"$JS.API.STREAM.PURGE.KV_volumes",
}

// asked are the requests of users who are not trusted with the streams.
var asked = map[string][]struct{ subject, payload string }{
	"publisher": {{"volume.command.default.asked.create", `{"size":"1MiB"}`}, {"volume.command.default.asked.create", ""}},
	"auditor": {
		{"JETVOL.API.STREAM.INFO.KV_volumes", ""},
		{"JETVOL.API.STREAM.MSG.GET.KV_volumes", `{"seq":1}`},
		{"JETVOL.API.DIRECT.GET.KV_volumes.$KV.volumes.default.seed", ""},
		{"JETVOL.API.DIRECT.GET.KV_volumes.$KV.volumes.default.none", ""},
		{"JETVOL.API.CONSUMER.CREATE.VOLUME_EVENTS.asked", `{"stream_name":"VOLUME_EVENTS","config":{"name":"asked","ack_policy":"none"}}`},
		{"JETVOL.API.CONSUMER.INFO.VOLUME_EVENTS.asked", ""},
		{"JETVOL.API.CONSUMER.MSG.NEXT.VOLUME_EVENTS.asked", "1"},
		{"JETVOL.API.CONSUMER.DELETE.VOLUME_EVENTS.asked", ""},
	},
}

// harm has the users send their requests with harmful reply subjects, and an auditor make
// push consumers, and returns how the streams are changed by it.
func harm(t *testing.T, config string) (changes []string) {
	t.Helper()
	g := startGuarded(t, config)
	g.provision(t)
	worker := g.as(t, "worker")
	seed(t, worker, "$KV.volumes.default.seed", "volume.tx.default.seed.ready")
	before := g.streams(t)
	for role, requests := range asked {
		conn := g.as(t, role)
		for _, subject := range harmful {
			for _, r := range requests {
				if err := conn.PublishRequest(r.subject, subject, []byte(r.payload)); err != nil {
					t.Fatal(err)
				}
			}
			if role == "auditor" {
				pushTo(t, conn, subject)
			}
		}
		if err := conn.Flush(); err != nil {
			t.Fatal(err)
		}
		if err := conn.LastError(); err != nil {
			t.Errorf("%s: %v", role, err)
		}
	}
	g.settle(t, len(harmful)*len(asked["publisher"]))
	after := g.streams(t)
	for name, was := range before {
		if is := after[name]; is != was && name != "VOLUME_COMMANDS" {
			changes = append(changes, fmt.Sprintf("%s was %q, is %q", name, was, is))
		}
	}
	return changes
}

// seed stores a message on each subject, for others to read.
func seed(t *testing.T, conn *nats.Conn, subjects ...string) {
	t.Helper()
	js, err := jetstream.New(conn)
	if err != nil {
		t.Fatal(err)
	}
	for _, subject := range subjects {
		if _, err := js.Publish(t.Context(), subject, []byte("seed")); err != nil {
			t.Fatal(err)
		}
	}
}

// pushTo makes a consumer that delivers the events to a subject.
func pushTo(t *testing.T, conn *nats.Conn, subject string) {
	t.Helper()
	name := strings.NewReplacer(".", "-", "$", "").Replace(subject)
	request, err := json.Marshal(map[string]any{
		"stream_name": "VOLUME_EVENTS",
		"config":      jetstream.ConsumerConfig{Name: name, DeliverSubject: subject, AckPolicy: jetstream.AckNonePolicy},
	})
	if err != nil {
		t.Fatal(err)
	}
	if _, err := conn.Request("JETVOL.API.CONSUMER.CREATE.VOLUME_EVENTS."+name, request, patience); err != nil {
		t.Fatalf("consumer to %s: %v", subject, err)
	}
}

// streams returns for each stream what it holds, as the operator sees it.
func (g *guarded) streams(t *testing.T) map[string]string {
	t.Helper()
	held := map[string]string{}
	js, err := jetstream.New(g.as(t, "operator"))
	if err != nil {
		t.Fatal(err)
	}
	for _, name := range []string{"VOLUME_COMMANDS", "VOLUME_EVENTS", "KV_volumes", "KV_outcomes", "KV_leases", "KV_snapshots"} {
		stream, err := js.Stream(t.Context(), name)
		if err != nil {
			held[name] = err.Error()
			continue
		}
		state := stream.CachedInfo().State
		held[name] = fmt.Sprintf("%d messages to %d", state.Msgs, state.LastSeq)
	}
	return held
}

// settle waits until all commands are stored, and then for whatever the server still has
// in hand: it answers requests of an account one after the other.
func (g *guarded) settle(t *testing.T, commands int) {
	t.Helper()
	js, err := jetstream.New(g.as(t, "operator"))
	if err != nil {
		t.Fatal(err)
	}
	poll(t, "the commands are stored", func() bool {
		stream, err := js.Stream(context.Background(), "VOLUME_COMMANDS")
		return err == nil && stream.CachedInfo().State.LastSeq >= uint64(commands)
	})
}

// With accounts of their own neither reaches the streams in this way.
func TestSecurity_Example_ReplySubjectsReachNoStream(t *testing.T) {
	for _, change := range harm(t, readDocument(t, exampleConfig)) {
		t.Error(change)
	}
}

// In the account of the streams the same list does not hold: this is why there are
// accounts, and how these tests are known to see what they look for.
func TestSecurity_PublisherInTheAccountOfTheStreams_ForgesRecordsAndEvents(t *testing.T) {
	config := readDocument(t, exampleConfig)
	from := strings.Index(config, "{ user: publisher,")
	size := strings.Index(config[from:], "} }") + len("} }")
	moved := config[from : from+size]
	config = config[:from] + config[from+size:]
	config = strings.Replace(config, "{ user: operator,", moved+"\n{ user: operator,", 1)
	got := strings.Join(harm(t, config), "\n")
	for _, stream := range []string{"VOLUME_EVENTS", "KV_volumes", "KV_snapshots"} {
		if !strings.Contains(got, stream) {
			t.Errorf("%s: want a forged message, got %q", stream, got)
		}
	}
}

// An answer without content, such as that to a read of nothing, is a request to delete.
func TestSecurity_ReaderInTheAccountOfTheStreams_DeletesOne(t *testing.T) {
	server := natstest.Start(t, natstest.WithUsers(
		natstest.User{Name: "admin", Password: "a"},
		natstest.User{Name: "reader", Password: "r", PublishAllow: []string{"$JS.API.DIRECT.GET.>"}},
	))
	js, err := jetstream.New(server.Connect(t, nats.UserInfo("admin", "a")))
	if err != nil {
		t.Fatal(err)
	}
	config := jetstream.StreamConfig{Name: "RECORDS", Subjects: []string{"records.>"}, AllowDirect: true}
	if _, err := js.CreateStream(t.Context(), config); err != nil {
		t.Fatal(err)
	}
	reader := server.Connect(t, nats.UserInfo("reader", "r"))
	if err := reader.PublishRequest("$JS.API.DIRECT.GET.RECORDS.none", "$JS.API.STREAM.DELETE.RECORDS", nil); err != nil {
		t.Fatal(err)
	}
	poll(t, "the stream is deleted", func() bool {
		_, err := js.Stream(t.Context(), config.Name)
		return errors.Is(err, jetstream.ErrStreamNotFound)
	})
	if err := reader.LastError(); err != nil {
		t.Errorf("the server refused something: %v", err)
	}
}
