package commands_test

import (
	"bufio"
	"bytes"
	"errors"
	"net"
	"net/url"
	"strings"
	"testing"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"

	"github.com/jetvol/jetvol/commands"
	"github.com/jetvol/jetvol/volume"
)

func dial(t *testing.T, address string) net.Conn {
	t.Helper()
	parsed, err := url.Parse(address)
	if err != nil {
		t.Fatal(err)
	}
	conn, err := net.Dial("tcp", parsed.Host)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = conn.Close() })
	return conn
}

// awaitPong returns when the server has read all that was sent to it.
func awaitPong(t *testing.T, conn net.Conn) {
	t.Helper()
	for lines := bufio.NewScanner(conn); lines.Scan(); {
		switch text := lines.Text(); {
		case text == "PONG":
			return
		case strings.HasPrefix(text, "-ERR"):
			t.Fatal(text)
		}
	}
	t.Fatal("the connection ended")
}

func withID(b commands.Burial, id string) commands.Burial {
	b.Header = nats.Header{commands.HeaderID: {id}, "X-Team": {"storage"}}
	return b
}

func (g *graveyard) command(sequence uint64) *jetstream.RawStreamMsg {
	g.t.Helper()
	stream, err := jetStream(g.t, g.nc).Stream(testContext(g.t), commands.StreamName)
	if err != nil {
		g.t.Fatal(err)
	}
	msg, err := stream.GetMsg(testContext(g.t), sequence)
	if err != nil {
		g.t.Fatal(err)
	}
	return msg
}

func TestDeadLetters_Replay_PublishesTheSameCommandAndDrops(t *testing.T) {
	g := newGraveyard(t)
	b := withID(burial(1, "default.db-01.create", ` {"size": "1GiB"} `), "order-1")
	b.Cause = volume.Errorf(volume.ErrInternal, "record torn")
	b.Header["Nats-Expected-Last-Sequence"] = []string{"12345"}
	g.bury(b)
	receipt, err := g.letters.Replay(testContext(t), g.get(1), commands.Replay{})
	if err != nil || receipt.CommandID != "order-1" || receipt.Sequence != 1 {
		t.Fatalf("got %+v, %v", receipt, err)
	}
	msg := g.command(1)
	if !strings.HasSuffix(msg.Subject, ".default.db-01.create") || string(msg.Data) != ` {"size": "1GiB"} ` {
		t.Errorf("got %s %q", msg.Subject, msg.Data)
	}
	if msg.Header.Get(commands.HeaderID) != "order-1" || msg.Header.Get("X-Team") != "storage" || len(msg.Header[commands.HeaderDeadCode]) > 0 {
		t.Errorf("got headers %v", msg.Header)
	}
	if g.left() != 0 {
		t.Error("the letter is still there")
	}
}

// A crash between the two steps leaves the letter; the second replay is the same command.
func TestDeadLetters_ReplayTwice_IsOneCommand(t *testing.T) {
	for name, test := range map[string]struct {
		burial commands.Burial
		how    commands.Replay
		prefix string
	}{
		"own id":     {withID(burial(1, "default.db-01.create", `{"size":"1GiB"}`), "order-1"), commands.Replay{}, "order-1"},
		"no id":      {burial(1, "default.db-01.create", `{"size":"1GiB"}`), commands.Replay{}, "replay-seq-1-"},
		"new id":     {withID(burial(1, "default.db-01.create", `{"size":"1GiB"}`), "order-1"), commands.Replay{NewID: true}, "replay-1-"},
		"corrected":  {withID(burial(1, "default.db-01.create", `{"sise":"1GiB"}`), "order-1"), commands.Replay{Payload: []byte(`{"size":"1GiB"}`)}, "order-1"},
		"no payload": {withID(burial(1, "default.db-01.delete", `{"sise":"1GiB"}`), "order-1"), commands.Replay{Payload: []byte{}}, "order-1"},
	} {
		t.Run(name, func(t *testing.T) {
			g := newGraveyard(t)
			g.bury(test.burial)
			test.how.Keep = true
			first, err := g.letters.Replay(testContext(t), g.get(1), test.how)
			if err != nil || !strings.HasPrefix(string(first.CommandID), test.prefix) {
				t.Fatalf("got %+v, %v, want an id that begins with %s", first, err, test.prefix)
			}
			test.how.Keep = false
			second, err := g.letters.Replay(testContext(t), g.get(1), test.how)
			if err != nil || second.CommandID != first.CommandID {
				t.Errorf("again: got %+v, %v, want command %s", second, err, first.CommandID)
			}
			if test.how.Payload != nil && !bytes.Equal(g.command(first.Sequence).Data, test.how.Payload) {
				t.Errorf("got payload %q", g.command(first.Sequence).Data)
			}
			if _, err := g.letters.Get(testContext(t), 1); !errors.Is(err, volume.NotFound) {
				t.Errorf("the letter: %v", err)
			}
		})
	}
}

func TestDeadLetters_Replay_RefusesWhatWouldBeBuriedAgain(t *testing.T) {
	good := func() commands.Burial { return withID(burial(1, "default.db-01.create", `{"size":"1GiB"}`), "order-1") }
	header := func(name, value string) commands.Burial {
		b := good()
		b.Header[name] = []string{value}
		return b
	}
	reused := good()
	reused.Cause = volume.ErrCommandIDReused
	for name, test := range map[string]struct {
		burial commands.Burial
		how    commands.Replay
		want   volume.Code
	}{
		"same fault":          {burial(1, "default.db-01.create", `{"sise":1}`), commands.Replay{}, volume.ErrUnknownField},
		"another fault":       {good(), commands.Replay{Payload: []byte("{")}, volume.ErrInvalidPayload},
		"name":                {burial(1, "default.DB.create", `{"size":"1GiB"}`), commands.Replay{}, volume.ErrInvalidName},
		"verb":                {burial(1, "default.db-01.explode", `{}`), commands.Replay{}, volume.ErrUnknownVerb},
		"subject":             {burial(1, "default.create", `{}`), commands.Replay{}, volume.ErrInvalidArgument},
		"wildcard":            {burial(1, "default.*.create", `{}`), commands.Replay{}, volume.ErrInvalidName},
		"id":                  {withID(good(), "seq-1"), commands.Replay{}, volume.ErrInvalidCommandID},
		"id reused":           {reused, commands.Replay{}, volume.ErrCommandIDReused},
		"the server's header": {header("Nats-Rollup", "all"), commands.Replay{}, volume.ErrInvalidArgument},
		"pin":                 {header("Nats-Pin-Id", "x"), commands.Replay{}, volume.ErrInvalidArgument},
		"status":              {header("Status", "100"), commands.Replay{}, volume.ErrInvalidArgument},
		"actor":               {header(commands.HeaderActor, "\x1b[2J"), commands.Replay{}, volume.ErrInvalidArgument},
		"reply":               {header(commands.HeaderReply, "volume.event.a.b.c"), commands.Replay{}, volume.ErrInvalidArgument},
	} {
		t.Run(name, func(t *testing.T) {
			g := newGraveyard(t)
			g.bury(test.burial)
			receipt, err := g.letters.Replay(testContext(t), g.get(1), test.how)
			if !errors.Is(err, test.want) || receipt.Sequence != 0 || !strings.HasPrefix(err.Error(), "replay dead letter 1: ") {
				t.Errorf("got %+v, %v, want %s", receipt, err, test.want)
			}
			if g.left() != 1 {
				t.Error("the letter is gone")
			}
		})
	}
	for name, b := range map[string]commands.Burial{"id": withID(good(), "seq-1"), "id reused": reused} {
		g := newGraveyard(t)
		g.bury(b)
		if _, err := g.letters.Replay(testContext(t), g.get(1), commands.Replay{NewID: true}); err != nil {
			t.Errorf("%s, with a new id: %v", name, err)
		}
	}
}

// The stream drops an id that it has just seen, for a longer time if an operator wants
// that. What it saw was buried: the letter is all that is left.
func TestDeadLetters_Replay_DroppedAsARepeat_KeepsTheLetter(t *testing.T) {
	g := newGraveyard(t)
	js := jetStream(t, g.nc)
	config := commands.StreamConfig(1)
	config.Duplicates = time.Hour
	if _, err := js.UpdateStream(testContext(t), config); err != nil {
		t.Fatal(err)
	}
	b := withID(burial(1, "default.db-01.create", `{"size":"1GiB"}`), "order-1")
	if _, err := js.PublishMsg(testContext(t), &nats.Msg{Subject: "volume.command.default.db-01.create", Header: b.Header}); err != nil {
		t.Fatal(err)
	}
	g.bury(b)
	letters, err := commands.NewDeadLetters(g.nc, 4*commands.DedupeWindow)
	if err != nil {
		t.Fatal(err)
	}
	if receipt, err := letters.Replay(testContext(t), g.get(1), commands.Replay{}); !errors.Is(err, volume.Unavailable) || receipt.Sequence != 0 {
		t.Errorf("got %+v, %v, want %v", receipt, err, volume.Unavailable)
	}
	if g.left() != 1 {
		t.Error("the letter is gone")
	}
}

// Without a command stream nothing is dropped.
func TestDeadLetters_Replay_NotStored_KeepsTheLetter(t *testing.T) {
	g := newGraveyard(t)
	g.bury(burial(1, "default.db-01.create", `{"size":"1GiB"}`))
	l := g.get(1)
	if err := jetStream(t, g.nc).DeleteStream(testContext(t), commands.StreamName); err != nil {
		t.Fatal(err)
	}
	if _, err := g.letters.Replay(testContext(t), l, commands.Replay{}); !errors.Is(err, volume.Unavailable) {
		t.Errorf("got %v, want %v", err, volume.Unavailable)
	}
	if g.left() != 1 {
		t.Error("the letter is gone")
	}
}
