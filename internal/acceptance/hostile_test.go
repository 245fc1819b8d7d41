package acceptance

import (
	"bytes"
	"context"
	"fmt"
	"strconv"
	"strings"
	"testing"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"

	"github.com/jetvol/jetvol/commands"
	"github.com/jetvol/jetvol/volume"
)

const (
	victimCreate = "volume.command.default.victim.create"
	victimResize = "volume.command.default.victim.resize"
	victimAttach = "volume.command.default.victim.attach"
)

// hostile are messages that nobody can carry out, and the code that they are to get.
var hostile = []struct {
	name string
	msg  func() *nats.Msg
	code volume.Code
}{
	{"not JSON", raw(victimCreate, "size=1GiB"), volume.ErrInvalidPayload},
	{"cut off", raw(victimCreate, `{"size":"1G`), volume.ErrInvalidPayload},
	{"two values", raw(victimCreate, `{"size":"1GiB"}{}`), volume.ErrInvalidPayload},
	{"array", raw(victimCreate, `["1GiB"]`), volume.ErrInvalidPayload},
	{"null", raw(victimCreate, `null`), volume.ErrInvalidPayload},
	{"byte order mark", raw(victimCreate, "\ufeff{}"), volume.ErrInvalidPayload},
	{"invalid UTF-8", raw(victimCreate, "{\"size\":\"1GiB\",\"labels\":{\"a\":\"\xff\xfe\"}}"), volume.ErrInvalidPayload},
	{"deep nesting", raw(victimCreate, strings.Repeat("[", 30_000)+strings.Repeat("]", 30_000)), volume.ErrInvalidPayload},
	{"deep nesting in a field", raw(victimCreate, `{"labels":`+strings.Repeat(`{"a":`, 9)+`1`+strings.Repeat("}", 9)+`}`), volume.ErrInvalidPayload},
	{"member twice", raw(victimCreate, `{"size":"1GiB","size":"2GiB"}`), volume.ErrInvalidPayload},
	{"64 KiB and a byte", raw(victimCreate, strings.Repeat(" ", commands.MaxPayload+1)), volume.ErrPayloadTooLarge},

	{"unknown field", raw(victimCreate, `{"size":"1GiB","colour":"red"}`), volume.ErrUnknownField},
	{"another verb's field", raw(victimResize, `{"size":"1GiB","node":"n"}`), volume.ErrUnknownField},
	{"field in other letters", raw(victimCreate, `{"SIZE":"1GiB"}`), volume.ErrUnknownField},

	{"no size", raw(victimCreate, `{}`), volume.ErrInvalidSize},
	{"size null", raw(victimCreate, `{"size":null}`), volume.ErrInvalidSize},
	{"size 0", raw(victimCreate, `{"size":0}`), volume.ErrInvalidSize},
	{"size negative", raw(victimCreate, `{"size":-1}`), volume.ErrInvalidSize},
	{"size fraction", raw(victimCreate, `{"size":1.5}`), volume.ErrInvalidSize},
	{"size 2^63", raw(victimCreate, `{"size":9223372036854775808}`), volume.ErrInvalidSize},
	{"size 2^64 and more", raw(victimCreate, `{"size":99999999999999999999999999}`), volume.ErrInvalidSize},
	{"size exponent", raw(victimCreate, `{"size":"1e3GB"}`), volume.ErrInvalidSize},
	{"size over the limit", raw(victimCreate, `{"size":"1025TiB"}`), volume.ErrInvalidSize},
	{"size object", raw(victimCreate, `{"size":{"GiB":1}}`), volume.ErrInvalidSize},
	{"size true", raw(victimResize, `{"size":true}`), volume.ErrInvalidSize},

	{"node number", raw(victimAttach, `{"node":1}`), volume.ErrInvalidArgument},
	{"node path", raw(victimAttach, `{"node":"../../etc"}`), volume.ErrInvalidArgument},
	{"mode unknown", raw(victimAttach, `{"node":"n","mode":"rwx"}`), volume.ErrInvalidArgument},
	{"labels array", raw(victimCreate, `{"size":"1GiB","labels":["a"]}`), volume.ErrInvalidArgument},
	{"label number", raw(victimCreate, `{"size":"1GiB","labels":{"a":1}}`), volume.ErrInvalidArgument},
	{"backend path", raw(victimCreate, `{"size":"1GiB","backend":"../local"}`), volume.ErrInvalidArgument},
	{"if_generation negative", raw(victimCreate, `{"size":"1GiB","if_generation":-1}`), volume.ErrInvalidArgument},
	{"if_state unknown", raw(victimCreate, `{"size":"1GiB","if_state":"fine"}`), volume.ErrInvalidArgument},
	{"deadline no time", raw(victimCreate, `{"size":"1GiB","deadline":"tomorrow"}`), volume.ErrInvalidArgument},
	{"validate_only text", raw(victimCreate, `{"size":"1GiB","validate_only":"yes"}`), volume.ErrInvalidArgument},

	{"name in capitals", raw("volume.command.default.DB_01.create", `{"size":"1GiB"}`), volume.ErrInvalidName},
	{"name too long", raw("volume.command.default."+strings.Repeat("a", 64)+".create", `{"size":"1GiB"}`), volume.ErrInvalidName},
	{"name begins with -", raw("volume.command.default.-a.create", `{"size":"1GiB"}`), volume.ErrInvalidName},
	{"name with slashes", raw("volume.command.default./etc/passwd.create", `{"size":"1GiB"}`), volume.ErrInvalidName},
	{"project not ASCII", raw("volume.command.prøject.a.create", `{"size":"1GiB"}`), volume.ErrInvalidName},
	{"verb unknown", raw("volume.command.default.victim.explode", `{}`), volume.ErrUnknownVerb},
	{"verb in capitals", raw("volume.command.default.victim.DELETE", ``), volume.ErrUnknownVerb},

	{"id reserved", raw(victimCreate, `{"size":"1GiB"}`, commands.HeaderID, "seq-1-x"), volume.ErrInvalidCommandID},
	{"id too long", raw(victimCreate, `{"size":"1GiB"}`, commands.HeaderID, strings.Repeat("x", 129)), volume.ErrInvalidCommandID},
	{"id with spaces", raw(victimCreate, `{"size":"1GiB"}`, commands.HeaderID, "a b"), volume.ErrInvalidCommandID},
	{"actor too long", raw(victimCreate, `{"size":"1GiB"}`, commands.HeaderActor, strings.Repeat("x", 257)), volume.ErrInvalidArgument},
	{"actor unprintable", raw(victimCreate, `{"size":"1GiB"}`, commands.HeaderActor, "a\x1b[2Jb"), volume.ErrInvalidArgument},
	{"header of 40 KiB", raw(victimCreate, `{"sise":1}`, "X-Junk", strings.Repeat("x", 40<<10)), volume.ErrUnknownField},
}

func raw(subject, payload string, headers ...string) func() *nats.Msg {
	return func() *nats.Msg { return rawMessage(subject, payload, headers...) }
}

// Whatever comes is answered with its code, kept with its whole payload, and does no harm.
func TestHostile_EveryMessage_IsAnsweredAndBuried(t *testing.T) {
	s := startServer(t)
	nc, js := s.connect(t)
	letters := newGraveyard(t, js)
	client := s.client(t)
	victim := volume.Key{Project: "default", Name: "victim"}
	before := do(t, client, commands.Request{Key: victim, Verb: volume.VerbCreate, Args: volume.Args{Size: volume.MiB}})

	for _, tt := range hostile {
		t.Run(tt.name, func(t *testing.T) {
			msg := tt.msg()
			wantReply(t, ask(t, nc, js, msg), volume.Rejected, "", tt.code)
			letters.wantLetter(t, msg, tt.code)
		})
	}
	wantUnharmed(t, s, before)
}

// A message of the greatest size that the server takes leaves no room for the headers of
// a dead letter: it is split, and its parts are the whole.
func TestHostile_GreatestMessage_IsBuriedInParts(t *testing.T) {
	s := startServer(t)
	nc, js := s.connect(t)
	letters := newGraveyard(t, js)
	client := s.client(t)
	before := do(t, client, commands.Request{
		Key: volume.Key{Project: "default", Name: "victim"}, Verb: volume.VerbCreate, Args: volume.Args{Size: volume.MiB},
	})
	junk := make([]byte, nc.MaxPayload())
	for i := range junk {
		junk[i] = byte(i * 7)
	}
	msg := &nats.Msg{Subject: victimCreate, Data: junk}
	publish(t, js, msg)
	if parts := letters.wantLetter(t, msg, volume.ErrPayloadTooLarge); parts < 2 {
		t.Errorf("got %d parts, want at least 2", parts)
	}
	wantUnharmed(t, s, before)
}

// maxStoredHeader is the greatest header that the server stores, in bytes.
const maxStoredHeader = 64<<10 - 1

// A header of the greatest size leaves no room for those of a dead letter.
func TestHostile_GreatestHeader_IsBuried(t *testing.T) {
	s := startServer(t)
	_, js := s.connect(t)
	letters := newGraveyard(t, js)
	client := s.client(t)
	before := do(t, client, commands.Request{
		Key: volume.Key{Project: "default", Name: "victim"}, Verb: volume.VerbCreate, Args: volume.Args{Size: volume.MiB},
	})
	room := maxStoredHeader - len("NATS/1.0\r\nX-Junk: \r\n\r\n")
	msg := rawMessage(victimCreate, `{"sise":1}`, "X-Junk", strings.Repeat("x", room))
	publish(t, js, msg)
	letters.wantLetter(t, msg, volume.ErrUnknownField)
	wantUnharmed(t, s, before)
}

// A worker may not be made to publish where only it is allowed to.
func TestHostile_ReplySubject_CannotForge(t *testing.T) {
	s := startServer(t)
	nc, js := s.connect(t)
	letters := newGraveyard(t, js)
	forged, err := nc.SubscribeSync("volume.event.>")
	if err != nil {
		t.Fatal(err)
	}
	for _, subject := range []string{
		"volume.event.default.db-01.ready", "volume.tx.default.db-01.ready", "jetvol.x", "$JS.API.STREAM.DELETE.VOLUME_EVENTS", "a.>", "a b", "a..b",
	} {
		msg := rawMessage("volume.command.default.nothing.delete", "", commands.HeaderReply, subject)
		publish(t, js, msg)
		letters.wantLetter(t, msg, volume.ErrInvalidArgument)
	}
	// What comes first on the events is the first event of a real command.
	do(t, s.client(t), commands.Request{Key: volume.Key{Project: "default", Name: "real"}, Verb: volume.VerbCreate, Args: volume.Args{Size: volume.MiB}})
	first, err := forged.NextMsg(patience)
	if err != nil || first.Subject != "volume.event.default.real.create" {
		t.Errorf("got %v, %v, want the event of the real command", first, err)
	}
}

// wantUnharmed checks that the volume is as it was, that commands still work, and that
// a restarted worker finds nothing left to do.
func wantUnharmed(t *testing.T, s *server, before commands.Reply) {
	t.Helper()
	victim := before.Key()
	_, js := s.connect(t)
	record, seen := readWitnesses(t, s, js, victim)
	if record.Generation != before.Generation || record.State != before.State {
		t.Errorf("%s is %s at generation %d, was %s at %d", victim, record.State, record.Generation, before.State, before.Generation)
	}
	for _, fault := range disagreements(record, seen.events, seen.object) {
		t.Error(fault)
	}
	attached := do(t, s.client(t), commands.Request{Key: victim, Verb: volume.VerbAttach, Args: volume.Args{Node: "n"}})
	wantReply(t, attached, volume.Succeeded, volume.StateAttached, "")
	s.stop(t)
	s.start(t)
	_, js = s.connect(t)
	stream, err := js.Stream(t.Context(), commands.StreamName)
	if err != nil {
		t.Fatal(err)
	}
	if left := stream.CachedInfo().State.Msgs; left != 0 {
		t.Errorf("%d commands are still in the stream", left)
	}
}

// graveyard reads the dead letters as they come.
type graveyard struct {
	t        *testing.T
	messages jetstream.MessagesContext
}

func newGraveyard(t *testing.T, js jetstream.JetStream) *graveyard {
	t.Helper()
	consumer, err := js.OrderedConsumer(t.Context(), commands.DeadLetterStreamName, jetstream.OrderedConsumerConfig{})
	if err != nil {
		t.Fatal(err)
	}
	messages, err := consumer.Messages()
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(messages.Stop)
	return &graveyard{t: t, messages: messages}
}

// deadLetter is one buried command, its parts joined.
type deadLetter struct {
	code    volume.Code
	header  nats.Header // of the first part
	payload []byte
	parts   int
}

// next waits for the next buried command.
func (g *graveyard) next() deadLetter {
	g.t.Helper()
	ctx, cancel := context.WithTimeout(g.t.Context(), patience)
	defer cancel()
	var letter deadLetter
	for part, parts := 1, 1; part <= parts; part++ {
		msg, err := g.messages.Next(jetstream.NextContext(ctx))
		if err != nil {
			g.t.Fatalf("dead letter: %v", err)
		}
		if told := msg.Headers().Get(commands.HeaderDeadPart); told != "" {
			var number int
			if _, err := fmt.Sscanf(told, "%d/%d", &number, &parts); err != nil || number != part {
				g.t.Fatalf("dead letter: part %q where %d was due: %v", told, part, err)
			}
		}
		if part == 1 {
			letter.header = msg.Headers()
			letter.code = volume.Code(msg.Headers().Get(commands.HeaderDeadCode))
		}
		letter.payload = append(letter.payload, msg.Data()...)
		letter.parts = part
	}
	return letter
}

// wantLetter compares the next dead letter with the message that it has to be of, and
// returns in how many parts it came.
func (g *graveyard) wantLetter(t *testing.T, msg *nats.Msg, code volume.Code) int {
	t.Helper()
	letter := g.next()
	if letter.code != code || letter.header.Get(commands.HeaderDeadClass) != string(code.Class()) || letter.header.Get(commands.HeaderDeadReason) == "" {
		t.Errorf("dead letter: got code %q, class %q, reason %q, want %s", letter.code,
			letter.header.Get(commands.HeaderDeadClass), letter.header.Get(commands.HeaderDeadReason), code)
	}
	own := msg.Header
	if count := letter.header.Get(commands.HeaderDeadHeaders); count != "" { // too long to stand beside the letter's
		n, err := strconv.Atoi(count)
		if err != nil || n > len(letter.payload) {
			t.Fatalf("dead letter: %q bytes of header in a payload of %d", count, len(letter.payload))
		}
		for name, values := range own {
			if line := name + ": " + values[0] + "\r\n"; !bytes.Contains(letter.payload[:n], []byte(line)) {
				t.Errorf("dead letter: header %s is not in its payload", name)
			}
		}
		letter.payload, own = letter.payload[n:], nil
	}
	if !bytes.Equal(letter.payload, msg.Data) {
		t.Errorf("dead letter: payload of %d bytes differs from that of %d", len(letter.payload), len(msg.Data))
	}
	for name, values := range own {
		kept := name
		if strings.HasPrefix(name, "Nats-") {
			kept = commands.HeaderOriginalPrefix + name
		}
		if got := letter.header[kept]; len(got) != 1 || got[0] != values[0] {
			t.Errorf("dead letter: header %s: got %.80q, want %.80q", kept, got, values)
		}
	}
	return letter.parts
}
