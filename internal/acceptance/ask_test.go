package acceptance

import (
	"context"
	"testing"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"

	"github.com/jetvol/jetvol/commands"
	"github.com/jetvol/jetvol/volume"
)

// rawMessage returns a message as anybody could publish it, valid or not.
func rawMessage(subject, payload string, headers ...string) *nats.Msg {
	msg := nats.NewMsg(subject)
	msg.Data = []byte(payload)
	for i := 0; i < len(headers); i += 2 {
		msg.Header[headers[i]] = []string{headers[i+1]} // Set would change the name
	}
	return msg
}

// publish stores a message in the command stream without any of the client's checks.
func publish(t testing.TB, js jetstream.JetStream, msg *nats.Msg) *jetstream.PubAck {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), patience)
	defer cancel()
	ack, err := js.PublishMsg(ctx, msg)
	if err != nil {
		t.Fatalf("publish on %s: %v", msg.Subject, err)
	}
	return ack
}

// ask publishes a message with a subject for the reply, and returns the reply.
func ask(t testing.TB, nc *nats.Conn, js jetstream.JetStream, msg *nats.Msg) commands.Reply {
	t.Helper()
	inbox := nc.NewInbox()
	replies, err := nc.SubscribeSync(inbox)
	if err != nil {
		t.Fatal(err)
	}
	defer replies.Unsubscribe()
	msg.Header.Set(commands.HeaderReply, inbox)
	publish(t, js, msg)
	answer, err := replies.NextMsg(patience)
	if err != nil {
		t.Fatalf("reply to %s: %v", msg.Subject, err)
	}
	reply, err := commands.DecodeReply(answer.Data)
	if err != nil {
		t.Fatal(err)
	}
	return reply
}

// client returns a command client as a service would use it.
func (s *server) client(t testing.TB) *commands.Client {
	t.Helper()
	nc, _ := s.connect(t)
	client, err := commands.New(nc)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = client.Close() })
	return client
}

// do sends a command and returns its answer, whatever its outcome.
func do(t testing.TB, client *commands.Client, request commands.Request) commands.Reply {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), patience)
	defer cancel()
	reply, err := client.Do(ctx, request)
	if reply.Outcome == "" {
		t.Fatalf("%s %s: %v", request.Verb, request.Key, err)
	}
	return reply
}

// wantReply compares what matters of a reply.
func wantReply(t testing.TB, got commands.Reply, outcome volume.Result, state volume.State, code volume.Code) {
	t.Helper()
	var gotCode volume.Code
	if got.Failure != nil {
		gotCode = got.Failure.Code
	}
	if got.Outcome != outcome || got.State != state || gotCode != code {
		t.Errorf("reply to %s: got %s, state %q, code %q, want %s, %q, %q",
			got.CommandID, got.Outcome, got.State, gotCode, outcome, state, code)
	}
}
