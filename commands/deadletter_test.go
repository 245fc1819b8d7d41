package commands_test

import (
	"bytes"
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"

	"github.com/jetvol/jetvol/commands"
	"github.com/jetvol/jetvol/volume"
)

// graveyard is a server with both streams and no worker.
type graveyard struct {
	t       *testing.T
	nc      *nats.Conn
	letters *commands.DeadLetters
}

func newGraveyard(t *testing.T) *graveyard {
	t.Helper()
	nc := startConnected(t)
	createStream(t, nc, commands.StreamConfig(1))
	createStream(t, nc, commands.DeadLetterStreamConfig(1))
	letters, err := commands.NewDeadLetters(nc, 0)
	if err != nil {
		t.Fatal(err)
	}
	return &graveyard{t, nc, letters}
}

var buriedAt = time.Unix(1700000000, 123456789).UTC()

// burial returns a command as a worker buries it.
func burial(sequence uint64, subject, payload string) commands.Burial {
	return commands.Burial{
		Incoming: commands.Incoming{
			Subject: "volume.command.3." + subject, Header: nats.Header{"X-Team": {"storage"}},
			Data: []byte(payload), Sequence: sequence, StoredAt: buriedAt,
		},
		Attempts: 1, Cause: volume.Errorf(volume.ErrUnknownField, "field %q", "sise"),
	}
}

func (g *graveyard) store(messages ...*nats.Msg) {
	g.t.Helper()
	for _, msg := range messages {
		if _, err := jetStream(g.t, g.nc).PublishMsg(testContext(g.t), msg); err != nil {
			g.t.Fatal(err)
		}
	}
}

func (g *graveyard) bury(burials ...commands.Burial) {
	g.t.Helper()
	for _, b := range burials {
		g.store(b.Messages(int(g.nc.MaxPayload()))...)
	}
}

func (g *graveyard) list(filter commands.DeadFilter) []commands.DeadLetter {
	g.t.Helper()
	found, next, err := g.letters.List(testContext(g.t), filter)
	if err != nil || next != 0 {
		g.t.Fatalf("list %+v: cursor %d, %v", filter, next, err)
	}
	return found
}

func (g *graveyard) get(sequence uint64) commands.DeadLetter {
	g.t.Helper()
	l, err := g.letters.Get(testContext(g.t), sequence)
	if err != nil {
		g.t.Fatal(err)
	}
	return l
}

// left is how many messages the stream of dead letters holds.
func (g *graveyard) left() uint64 {
	g.t.Helper()
	stream, err := jetStream(g.t, g.nc).Stream(testContext(g.t), commands.DeadLetterStreamName)
	if err != nil {
		g.t.Fatal(err)
	}
	return stream.CachedInfo().State.Msgs
}

func sequencesOf(letters []commands.DeadLetter) []uint64 {
	var all []uint64
	for _, l := range letters {
		all = append(all, l.Sequence)
	}
	return all
}

func TestDeadLetters_List_FiltersAndPages(t *testing.T) {
	g := newGraveyard(t)
	reused := burial(4, "default.db-02.resize", `{}`)
	reused.Cause = volume.Errorf(volume.ErrCommandIDReused, "used")
	g.bury(
		burial(1, "default.db-01.create", `{"a":1}`),
		burial(2, "billing.ledger.create", `{"b":1}`),
		burial(3, "default.DB.create", `{"c":1}`),
		reused,
		burial(5, "default.db-01.delete", ``),
	)
	for name, test := range map[string]struct {
		filter commands.DeadFilter
		want   []uint64
	}{
		"all":            {commands.DeadFilter{}, []uint64{1, 2, 3, 4, 5}},
		"newest":         {commands.DeadFilter{Newest: true}, []uint64{5, 4, 3, 2, 1}},
		"project":        {commands.DeadFilter{Project: "billing"}, []uint64{2}},
		"volume":         {commands.DeadFilter{Volume: "db-01"}, []uint64{1, 5}},
		"invalid volume": {commands.DeadFilter{Volume: "DB"}, []uint64{3}},
		"verb":           {commands.DeadFilter{Verb: volume.VerbCreate}, []uint64{1, 2, 3}},
		"code":           {commands.DeadFilter{Code: volume.ErrCommandIDReused}, []uint64{4}},
		"kind":           {commands.DeadFilter{Kind: commands.DeadTerminated}, nil},
		"since":          {commands.DeadFilter{Since: time.Now().Add(time.Hour)}, nil},
		"since long":     {commands.DeadFilter{Since: buriedAt}, []uint64{1, 2, 3, 4, 5}},
		"sequences":      {commands.DeadFilter{Sequences: []uint64{5, 2, 99}}, []uint64{2, 5}},
	} {
		t.Run(name, func(t *testing.T) {
			if got := sequencesOf(g.list(test.filter)); !slices.Equal(got, test.want) {
				t.Errorf("got %d, want %d", got, test.want)
			}
			for limit := 1; limit <= 3; limit++ {
				if got := g.paged(test.filter, limit); !slices.Equal(got, test.want) {
					t.Errorf("pages of %d: got %d, want %d", limit, got, test.want)
				}
			}
		})
	}
}

func (g *graveyard) paged(filter commands.DeadFilter, limit int) []uint64 {
	g.t.Helper()
	var all []uint64
	filter.Limit = limit
	for {
		page, next, err := g.letters.List(testContext(g.t), filter)
		if err != nil {
			g.t.Fatal(err)
		}
		if next != 0 && len(page) != limit {
			g.t.Errorf("page of %d after %d: got %d letters and more to come", limit, filter.After, len(page))
		}
		all = append(all, sequencesOf(page)...)
		if filter.After = next; next == 0 {
			return all
		}
	}
}

func TestDeadLetters_Empty_ListsNothing(t *testing.T) {
	g := newGraveyard(t)
	if got := g.list(commands.DeadFilter{}); len(got) != 0 {
		t.Errorf("got %+v", got)
	}
	if _, err := g.letters.Get(testContext(t), 1); !errors.Is(err, volume.NotFound) {
		t.Errorf("got %v, want %v", err, volume.NotFound)
	}
}

func TestDeadLetters_NoStream_Unavailable(t *testing.T) {
	letters, err := commands.NewDeadLetters(startConnected(t), time.Second)
	if err != nil {
		t.Fatal(err)
	}
	if _, _, err := letters.List(testContext(t), commands.DeadFilter{}); !errors.Is(err, volume.Unavailable) {
		t.Errorf("got %v, want %v", err, volume.Unavailable)
	}
}

// One stored command is one letter: whatever its size, and however often it was buried
// by workers that were killed in the middle of it.
func TestDeadLetters_Parts_AreOneLetter(t *testing.T) {
	g := newGraveyard(t)
	payload := strings.Repeat("0123456789", 250_000)
	one, other := burial(1, "default.db-01.create", payload), burial(2, "default.db-01.create", payload[1:])
	const each = 1 << 20
	parts, others := one.Messages(each), other.Messages(each)
	if len(parts) != 3 || len(others) != 3 {
		t.Fatalf("got %d and %d parts, want 3", len(parts), len(others))
	}
	again := func(msg *nats.Msg) *nats.Msg { // later than the stream drops repeats
		repeat := nats.NewMsg(msg.Subject)
		for name, values := range msg.Header {
			repeat.Header[name] = values
		}
		repeat.Header.Set(jetstream.MsgIDHeader, "again-"+msg.Header.Get(jetstream.MsgIDHeader))
		repeat.Data = msg.Data
		return repeat
	}
	g.store(parts[0], others[0], again(parts[0]), parts[1], others[1], others[2], parts[2], again(parts[1]))
	found := g.list(commands.DeadFilter{})
	if got := sequencesOf(found); !slices.Equal(got, []uint64{1, 2}) {
		t.Fatalf("got letters %d, want 1 and 2", got)
	}
	for i, want := range []string{payload, payload[1:]} {
		if found[i].Parts != 3 || found[i].Size != len(want) || found[i].Command.Data != nil {
			t.Errorf("listed: %d parts, size %d, %d bytes", found[i].Parts, found[i].Size, len(found[i].Command.Data))
		}
		l, err := g.letters.Load(testContext(t), found[i])
		if err != nil || string(l.Command.Data) != want || l.Command.Header.Get("X-Team") != "storage" {
			t.Errorf("letter %d: %d bytes, %v, %v", l.Sequence, len(l.Command.Data), l.Command.Header, err)
		}
	}
	if l := g.get(7); l.Sequence != 1 || string(l.Command.Data) != payload {
		t.Errorf("by a part: got letter %d of %d bytes", l.Sequence, len(l.Command.Data))
	}
	if err := g.letters.Drop(testContext(t), found[0]); err != nil {
		t.Fatal(err)
	}
	if got := sequencesOf(g.list(commands.DeadFilter{})); !slices.Equal(got, []uint64{2}) || g.left() != 3 {
		t.Errorf("after the drop: letters %d in %d messages, want letter 2 in 3", got, g.left())
	}
	if err := g.letters.Drop(testContext(t), found[0]); err != nil {
		t.Errorf("drop again: %v", err)
	}
}

// What workers do not write is listed as such, and hides nothing else.
func TestDeadLetters_Unreadable_IsListedAndCanBeDropped(t *testing.T) {
	g := newGraveyard(t)
	split := burial(7, "default.db-01.create", strings.Repeat("x", 200<<10)).Messages(128 << 10)
	number := uint64(100)
	wrong := func(name, value string) *nats.Msg {
		number++
		msg := burial(number, "default.db-01.create", "payload").Messages(1 << 20)[0]
		msg.Header[name] = []string{value}
		msg.Header.Del(jetstream.MsgIDHeader)
		return msg
	}
	g.store(
		&nats.Msg{Subject: "volume.dead.a.b.c", Data: []byte("junk")},
		&nats.Msg{Subject: "volume.dead.a.b.c", Header: nats.Header{"Status": {"404"}}},
		&nats.Msg{Subject: "volume.dead.a.b.c", Header: nats.Header{"Status": {"100"}, "Description": {"Idle Heartbeat"}}},
		wrong(commands.HeaderDeadSequence, "-1"),
		wrong(commands.HeaderDeadTime, "yesterday"),
		wrong(commands.HeaderDeadPart, "3/2"),
		wrong(commands.HeaderDeadPart, "1/1000000000000"),
		wrong(commands.HeaderDeadHeaders, "8"), // of 7 bytes
		wrong(commands.HeaderDeadHeaders, "7"), // no header lines
		split[1],
		&nats.Msg{Subject: "$JS.EVENT.ADVISORY.CONSUMER.MSG_TERMINATED.VOLUME_COMMANDS.x", Data: []byte("{")},
		&nats.Msg{Subject: "$JS.EVENT.ADVISORY.CONSUMER.MAX_DELIVERIES.VOLUME_COMMANDS.x", Data: []byte(`{"type":"io.nats.jetstream.advisory.v1.max_deliver","stream":"OTHER","stream_seq":1}`)},
	)
	g.bury(burial(1, "default.db-01.create", "good"))
	g.rawMessage("volume.dead.a.b.c", "HEADERS/9\r\nno colon", "bad header block")
	found := g.list(commands.DeadFilter{})
	if len(found) != 14 {
		t.Fatalf("got %d letters, want 14: %+v", len(found), found)
	}
	for _, listed := range found {
		l, err := g.letters.Load(testContext(t), listed)
		if err != nil {
			t.Fatal(err)
		}
		if wanted := l.Sequence != 13; (l.Kind == commands.DeadUnreadable) != wanted || l.Reason == "" {
			t.Errorf("letter %d: kind %s, %s", l.Sequence, l.Kind, l.Reason)
		}
		_, err = g.letters.Replay(testContext(t), l, commands.Replay{})
		if want := volume.ErrPreconditionFailed; l.Kind == commands.DeadUnreadable && !errors.Is(err, want) {
			t.Errorf("replay %d: got %v, want %v", l.Sequence, err, want)
		}
		if err := g.letters.Drop(testContext(t), listed); err != nil {
			t.Errorf("drop %d: %v", l.Sequence, err)
		}
	}
	if g.left() != 0 {
		t.Errorf("%d messages are left", g.left())
	}
}

// rawMessage publishes a header block that no client library would send.
func (g *graveyard) rawMessage(subject, header, payload string) {
	g.t.Helper()
	conn := dial(g.t, g.nc.ConnectedUrl())
	fmt.Fprintf(conn, "CONNECT {\"headers\":true,\"verbose\":false}\r\nHPUB %s %d %d\r\n%s%s\r\nPING\r\n",
		subject, len(header), len(header)+len(payload), header, payload)
	awaitPong(g.t, conn)
}

func TestDeadLetters_Headers_ComeBackAsTheyWere(t *testing.T) {
	many := make([]string, 4000)
	for i := range many {
		many[i] = fmt.Sprint(i)
	}
	for name, own := range map[string]nats.Header{
		"none":            {},
		"several values":  {"X-A": {"1", "2"}, "x-a": {"3"}},
		"the server's":    {"Nats-Msg-Id": {"id"}, "Nats-Expected-Stream": {"s"}, "Status": {"100"}, "Description": {"d"}},
		"a dead letter's": {commands.HeaderDeadCode: {"mine"}, commands.HeaderDeadPart: {"1/9"}},
		"kept ones":       {commands.HeaderOriginalPrefix + "Nats-Msg-Id": {"a"}, "Nats-Msg-Id": {"b"}, commands.HeaderOriginalPrefix: {"c"}},
		"greatest":        {"X-A": {strings.Repeat("a", 65400)}},
		"many":            {"X-A": many, "Nats-A": many},
	} {
		t.Run(name, func(t *testing.T) {
			g := newGraveyard(t)
			b := burial(1, "default.db-01.create", "payload: x\r\n")
			b.Header = own
			g.bury(b)
			l := g.get(1)
			if l.Kind != commands.DeadBuried || !bytes.Equal(l.Command.Data, b.Data) || l.Size != len(b.Data) {
				t.Errorf("got %s %q, size %d", l.Kind, l.Command.Data, l.Size)
			}
			if len(l.Command.Header) != len(own) {
				t.Errorf("got %d headers, want %d", len(l.Command.Header), len(own))
			}
			for name, values := range own {
				if !slices.Equal(l.Command.Header[name], values) {
					t.Errorf("header %s: got %.80q, want %.80q", name, l.Command.Header[name], values)
				}
			}
		})
	}
}
