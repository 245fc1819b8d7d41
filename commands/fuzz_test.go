package commands

import (
	"bytes"
	"encoding/json"
	"errors"
	"reflect"
	"testing"
	"time"

	"github.com/nats-io/nats.go"

	"github.com/jetvol/jetvol/volume"
)

// FuzzDecode checks of any message that Decode returns a command or a coded error; that
// an accepted command survives Encode and Decode unchanged, and that the schema accepts
// it, so that what the schema refuses is refused.
func FuzzDecode(f *testing.F) {
	compiled := commandSchemas(f)
	for _, file := range []string{"accepted.json", "refused.json"} {
		for _, seed := range readPayloads(f, file) {
			f.Add("volume.command.3.default.db-01."+string(seed.Verb), "order-1", "zoe", "_INBOX.a", []byte(seed.Payload))
		}
	}
	f.Add("volume.command.99.-.*.create", "seq-1", "\x00", "$JS.API", []byte("\xff"))
	f.Fuzz(func(t *testing.T, subject, id, actor, reply string, data []byte) {
		msg := Incoming{
			Subject:  subject,
			Header:   nats.Header{HeaderID: {id}, HeaderActor: {actor}, HeaderReply: {reply}},
			Data:     data,
			Sequence: 7,
			StoredAt: time.Unix(1, 0),
		}
		envelope, err := Decode(msg)
		if envelope.Reply != "" && validateReply(envelope.Reply) != nil {
			t.Fatalf("unsafe reply subject %q", envelope.Reply)
		}
		if err != nil {
			checkCoded(t, err)
			return
		}
		checkFixpoint(t, msg, envelope)
		if len(bytes.TrimSpace(data)) == 0 {
			return
		}
		if err := validate(t, compiled[envelope.Verb], data); err != nil {
			t.Fatalf("%s %s: accepted, but not by the schema: %v", envelope.Verb, data, err)
		}
	})
}

func checkCoded(t *testing.T, err error) {
	t.Helper()
	fault, ok := errors.AsType[*volume.Error](err)
	if !ok {
		t.Fatalf("got %T, want *volume.Error", err)
	}
	if _, known := volume.Codes()[fault.Code]; !known || fault.Message == "" {
		t.Fatalf("got code %q and message %q", fault.Code, fault.Message)
	}
}

func checkFixpoint(t *testing.T, msg Incoming, want Envelope) {
	t.Helper()
	body, err := Encode(want.Command)
	if err != nil {
		t.Fatalf("encode %+v: %v", want, err)
	}
	msg.Data = body
	got, err := Decode(msg)
	if err != nil || !reflect.DeepEqual(got, want) {
		t.Fatalf("got %+v and %v, want %+v", got, err, want)
	}
	if again, err := Encode(got.Command); !bytes.Equal(again, body) {
		t.Fatalf("got %s and %v, want %s", again, err, body)
	}
}

// FuzzDecodeReply checks that an accepted reply survives being sent on, and that it is
// either good news or a coded error.
func FuzzDecodeReply(f *testing.F) {
	f.Add([]byte(`{"command_id":"a","outcome":"succeeded","project":"p","volume":"v","generation":1}`))
	f.Add([]byte(`{"command_id":"a","outcome":"failed","error":{"code":"backend_busy","class":"busy","message":"x"},"retryable":true}`))
	f.Add([]byte(`{"command_id":"a","outcome":"rejected"}`))
	f.Add([]byte(`{"command_id":"a","outcome":"succeeded","snapshot":{"name":"monday","id":"p.v.3"}}`))
	f.Add([]byte(`{"command_id":"a","outcome":"rejected","error":{"code":"snapshot_in_use","class":"failed_precondition","message":"x","blocked_by":[{"kind":"child","name":"w"}]}}`))
	f.Add([]byte(`{"command_id":"a","outcome":"postponed","when":[]}`))
	f.Fuzz(func(t *testing.T, data []byte) {
		reply, err := DecodeReply(data)
		if err != nil {
			checkCoded(t, err)
			return
		}
		sent, err := json.Marshal(reply)
		if err != nil {
			t.Fatal(err)
		}
		if again, err := DecodeReply(sent); err != nil || !reflect.DeepEqual(again, reply) {
			t.Fatalf("got %+v and %v, want %+v", again, err, reply)
		}
		good := reply.Outcome == volume.Succeeded || reply.Outcome == volume.Valid
		if good != (reply.Err() == nil) {
			t.Fatalf("outcome %s: error %v", reply.Outcome, reply.Err())
		}
	})
}

// FuzzDecodeProgress checks that no message on an event subject can harm a client.
func FuzzDecodeProgress(f *testing.F) {
	f.Add([]byte(`{"specversion":"1.0","data":{"event":"ready","command_id":"order-1","generation":2}}`))
	f.Add([]byte(`{"specversion":"1.0"}`))
	f.Fuzz(func(t *testing.T, data []byte) {
		event, err := decodeProgress(data)
		if err != nil {
			checkCoded(t, err)
		} else if event.Event != event.Transition.Event {
			t.Fatalf("got %+v", event)
		}
	})
}
