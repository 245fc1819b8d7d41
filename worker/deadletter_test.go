package worker_test

import (
	"bytes"
	"context"
	"crypto/rand"
	"fmt"
	"strings"
	"testing"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"

	"github.com/jetvol/jetvol/commands"
	"github.com/jetvol/jetvol/volume"
)

// hostile publishes a raw message and returns the reply to it.
func (s *system) hostile(subject string, header nats.Header, payload []byte) commands.Reply {
	s.t.Helper()
	inbox, err := s.nc.SubscribeSync(nats.NewInbox())
	s.must(err)
	defer func() { s.must(inbox.Unsubscribe()) }()
	msg := nats.NewMsg(subject)
	msg.Data = payload
	for name, values := range header {
		msg.Header[name] = values
	}
	msg.Header.Set(commands.HeaderReply, inbox.Subject)
	_, err = s.js.PublishMsg(s.ctx, msg)
	s.must(err)
	ctx, cancel := context.WithTimeout(s.ctx, limit)
	defer cancel()
	answer, err := inbox.NextMsgWithContext(ctx)
	if err != nil {
		s.t.Fatalf("%s: no answer: %v", subject, err)
	}
	reply, err := commands.DecodeReply(answer.Data)
	s.must(err)
	return reply
}

// letters returns the dead letters stored after the given sequence.
func (s *system) letters(after uint64) []*jetstream.RawStreamMsg {
	s.t.Helper()
	stream, err := s.js.Stream(s.ctx, commands.DeadLetterStreamName)
	s.must(err)
	info, err := stream.Info(s.ctx)
	s.must(err)
	var all []*jetstream.RawStreamMsg
	for sequence := after + 1; sequence <= info.State.LastSeq; sequence++ {
		msg, err := stream.GetMsg(s.ctx, sequence)
		s.must(err)
		all = append(all, msg)
	}
	return all
}

func TestWorker_HostileInput_GetsATypedErrorAndADeadLetter(t *testing.T) {
	s := start(t)
	junk := make([]byte, 1<<20-4096)
	_, err := rand.Read(junk)
	must(t, err)
	create := "volume.command.default.v.create"
	cases := []struct {
		name, subject, payload string
		code                   volume.Code
	}{
		{"no json", create, "{", volume.ErrInvalidPayload},
		{"no object", create, `[1]`, volume.ErrInvalidPayload},
		{"invalid utf-8", create, "{\"size\":\"\xff\"}", volume.ErrInvalidPayload},
		{"deep", create, `{"size":` + strings.Repeat("[", 10000) + strings.Repeat("]", 10000) + `}`, volume.ErrInvalidPayload},
		{"junk of 1 MiB", create, string(junk), volume.ErrPayloadTooLarge},
		{"unknown field", create, `{"size":"1MiB","colour":"red"}`, volume.ErrUnknownField},
		{"wrong type", create, `{"size":"1MiB","labels":[]}`, volume.ErrInvalidArgument},
		{"size 0", create, `{"size":0}`, volume.ErrInvalidSize},
		{"size negative", create, `{"size":-1}`, volume.ErrInvalidSize},
		{"size 2^63", create, `{"size":9223372036854775808}`, volume.ErrInvalidSize},
		{"size 1e3GB", create, `{"size":"1e3GB"}`, volume.ErrInvalidSize},
		{"unknown verb", "volume.command.default.v.explode", `{}`, volume.ErrUnknownVerb},
		{"traversal", "volume.command.default.~%2f~%2fetc.create", `{"size":"1MiB"}`, volume.ErrInvalidName},
		{"upper case", "volume.command.default.DB.create", `{"size":"1MiB"}`, volume.ErrInvalidName},
		{"long name", "volume.command.default." + strings.Repeat("a", 64) + ".create", `{"size":"1MiB"}`, volume.ErrInvalidName},
	}
	after := uint64(0)
	for _, c := range cases {
		t.Run(c.name, func(t *testing.T) {
			reply := s.hostile(c.subject, nil, []byte(c.payload))
			if reply.Outcome != volume.Rejected || reply.Failure == nil || reply.Failure.Code != c.code {
				t.Fatalf("reply: got %+v %+v, want rejected with %s", reply, reply.Failure, c.code)
			}
			var payload []byte
			for _, letter := range s.letters(after) {
				payload = append(payload, letter.Data...)
				after = letter.Sequence
				if got := letter.Header.Get(commands.HeaderDeadCode); got != string(c.code) {
					t.Errorf("dead letter: code %q, want %s", got, c.code)
				}
			}
			if !bytes.Equal(payload, []byte(c.payload)) {
				t.Errorf("dead letter: %d bytes differ from the %d published", len(payload), len(c.payload))
			}
		})
	}
	s.wantReply(s.create("v", volume.MiB), volume.Succeeded, volume.StateAvailable, "")
	stream, err := s.js.Stream(s.ctx, commands.StreamName)
	must(t, err)
	if _, err := stream.GetMsg(s.ctx, 1); err == nil {
		t.Error("a buried command is still in the queue")
	}
}

func TestWorker_DeadLetter_KeepsHeadersAndDisarmsTheServersOwn(t *testing.T) {
	s := start(t)
	header := nats.Header{"X-Team": {"storage"}, jetstream.MsgIDHeader: {"bad id!"}, "Nats-Expected-Stream": {commands.StreamName}}
	s.hostile("volume.command.default.v.create", header, []byte(`{"size":"1MiB"}`))
	letters := s.letters(0)
	if len(letters) != 1 {
		t.Fatalf("dead letters: got %d, want 1", len(letters))
	}
	got := letters[0].Header
	for name, want := range map[string]string{
		"X-Team": "storage",
		commands.HeaderOriginalPrefix + jetstream.MsgIDHeader:  "bad id!",
		commands.HeaderOriginalPrefix + "Nats-Expected-Stream": commands.StreamName,
		commands.HeaderDeadCode:                                string(volume.ErrInvalidCommandID),
		commands.HeaderDeadClass:                               string(volume.InvalidArgument),
		commands.HeaderDeadAttempts:                            "1",
		"Nats-Expected-Stream":                                 commands.DeadLetterStreamName,
	} {
		if got.Get(name) != want {
			t.Errorf("header %s: got %q, want %q", name, got.Get(name), want)
		}
	}
	if !strings.HasPrefix(got.Get(commands.HeaderDeadSubject), "volume.command.") || !strings.HasSuffix(got.Get(commands.HeaderDeadSubject), ".default.v.create") {
		t.Errorf("subject of the command: %q", got.Get(commands.HeaderDeadSubject))
	}
}

func TestWorker_CommandWithoutID_GetsOneFromTheStream(t *testing.T) {
	s := start(t)
	reply := s.hostile("volume.command.default.v.create", nil, []byte(`{"size":"1MiB"}`))
	s.wantReply(reply, volume.Succeeded, volume.StateAvailable, "")
	if want := fmt.Sprintf("seq-%d-", 1); !strings.HasPrefix(string(reply.CommandID), want) {
		t.Errorf("command id: got %s, want %s…", reply.CommandID, want)
	}
}
