package main

import (
	"bytes"
	"testing"

	"github.com/nats-io/nats.go"

	"github.com/jetvol/jetvol/commands"
	"github.com/jetvol/jetvol/internal/natstest"
)

// deadScript is the script that begins with the letters of plantDeadLetters.
const deadScript = "testdata/dead.txt"

// plantDeadLetters sends commands that nobody can carry out and returns when the worker
// has buried them in this order.
func plantDeadLetters(t *testing.T, url string) {
	t.Helper()
	nc, js := natstest.Dial(t, url)
	const answers = "answers.test"
	replies, err := nc.SubscribeSync(answers)
	if err != nil {
		t.Fatal(err)
	}
	for _, planted := range []struct{ id, subject, payload string }{
		{"typo-1", "default.db-01.create", `{"sise":"1GiB"}`},
		{"junk-1", "default.db-02.create", string(bytes.Repeat([]byte{0x1b, '[', 0xff, 'J'}, 100))},
		{"name-1", "default.DB.create", `{"size":"1GiB"}`},
		{"verb-1", "default.db-01.explode", ``},
		{"bad id!", "default.db-03.create", `{"size":"1MiB"}`},
		{"", "billing.ledger.create", `{"size":0}`},
	} {
		msg := nats.NewMsg("volume.command." + planted.subject)
		msg.Data = []byte(planted.payload)
		msg.Header = nats.Header{commands.HeaderReply: {answers}, "X-Evil": {"\x1b[2J"}}
		if planted.id != "" {
			msg.Header.Set(commands.HeaderID, planted.id)
		}
		if _, err := js.PublishMsg(t.Context(), msg); err != nil {
			t.Fatal(err)
		}
		if _, err := replies.NextMsg(patience); err != nil {
			t.Fatalf("%s: no answer: %v", planted.subject, err)
		}
	}
	if _, err := js.Publish(t.Context(), "volume.dead.a.b.c", []byte("no dead letter")); err != nil {
		t.Fatal(err)
	}
}

// What --payload prints can be given to another program as it is.
func TestDead_ShowPayload_IsByteForByte(t *testing.T) {
	_, url := up(t, "--dir", t.TempDir())
	plantDeadLetters(t, url)
	want := string(bytes.Repeat([]byte{0x1b, '[', 0xff, 'J'}, 100))
	if end := jetvol(t, "-s", url, "dead", "show", "2", "--payload"); end.stdout != want || end.code != exitSucceeded {
		t.Errorf("got %d bytes, exit code %d, want %d", len(end.stdout), end.code, len(want))
	}
}

func TestDead_NoServerOrStream_Unavailable(t *testing.T) {
	server := natstest.Start(t)
	for name, args := range map[string][]string{
		"no server": {"-s", deadServer},
		"no stream": {"-s", server.URL(), "--timeout", "100ms"},
	} {
		for _, command := range [][]string{{"list"}, {"show", "1"}, {"replay", "1"}, {"drop", "1"}} {
			t.Run(name+" "+command[0], func(t *testing.T) {
				jetvol(t, append(append(args, "dead"), command...)...).want(t, exitUnavailable, "unavailable: ")
			})
		}
	}
}
