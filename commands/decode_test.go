package commands_test

import (
	"encoding/json"
	"errors"
	"os"
	"strings"
	"testing"
	"time"

	"github.com/nats-io/nats.go"

	"github.com/jetvol/jetvol/commands"
	"github.com/jetvol/jetvol/volume"
)

// payloadCase is one line of testdata/accepted.json or testdata/refused.json.
type payloadCase struct {
	Verb      volume.Verb
	Payload   string
	Canonical string // accepted: what Encode makes of it

	Code          volume.Code // refused: with this code,
	Mentions      string      // in a message that contains this
	SchemaAccepts bool        `json:"schema_accepts"` // though the schema cannot say so
	NotJSON       bool        `json:"not_json"`
	NoSchema      bool        `json:"no_schema"`
}

func readCases(t testing.TB, file string) []payloadCase {
	t.Helper()
	data, err := os.ReadFile("testdata/" + file)
	if err != nil {
		t.Fatal(err)
	}
	var cases []payloadCase
	if err := json.Unmarshal(data, &cases); err != nil {
		t.Fatal(err)
	}
	return cases
}

var storedAt = time.Unix(1_800_000_000, 42)

// incoming returns a command as the stream would deliver it. Header holds names and
// values in turn.
func incoming(verb volume.Verb, payload string, header ...string) commands.Incoming {
	msg := commands.Incoming{
		Subject:  commands.Address{Partition: 3, Key: db01, Verb: verb}.Subject(),
		Header:   nats.Header{},
		Data:     []byte(payload),
		Sequence: 7,
		StoredAt: storedAt,
	}
	for i := 0; i < len(header); i += 2 {
		msg.Header.Set(header[i], header[i+1])
	}
	return msg
}

func TestDecode_AcceptedPayloads(t *testing.T) {
	for _, test := range readCases(t, "accepted.json") {
		envelope, err := commands.Decode(incoming(test.Verb, test.Payload))
		if err != nil {
			t.Errorf("%s %s: %v", test.Verb, test.Payload, err)
			continue
		}
		if canonical, err := commands.Encode(envelope.Command); string(canonical) != test.Canonical || err != nil {
			t.Errorf("%s %s: got %s and %v, want %s", test.Verb, test.Payload, canonical, err, test.Canonical)
		}
	}
}

func TestDecode_RefusedPayloads(t *testing.T) {
	for _, test := range readCases(t, "refused.json") {
		envelope, err := commands.Decode(incoming(test.Verb, test.Payload, commands.HeaderID, "order-1", commands.HeaderReply, "_INBOX.a.b"))
		checkFault(t, string(test.Verb)+" "+test.Payload, err, test.Code, test.Mentions)
		if envelope.ID != "order-1" || envelope.Reply != "_INBOX.a.b" || envelope.Key != db01 || envelope.Verb != test.Verb {
			t.Errorf("%s %s: cannot be answered: %+v", test.Verb, test.Payload, envelope)
		}
	}
}

// checkFault checks the code, the type and the text of a refusal.
func checkFault(t *testing.T, name string, err error, code volume.Code, mentions string) {
	t.Helper()
	fault, coded := errors.AsType[*volume.Error](err)
	if !coded || fault.Code != code || !strings.Contains(fault.Message, mentions) {
		t.Errorf("%.80s: got %v, want %s mentioning %s", name, err, code, mentions)
	}
	if err != nil && len(err.Error()) > 1000 {
		t.Errorf("%.80s: error text of %d bytes", name, len(err.Error()))
	}
}

func TestDecode_HostilePayloads(t *testing.T) {
	nested := strings.Repeat(`{"a":`, 9) + "1" + strings.Repeat("}", 9)
	long := strings.Repeat("x", 60_000)
	for name, test := range map[string]struct {
		verb    volume.Verb
		payload string
		code    volume.Code
	}{
		"1 MiB of junk":          {volume.VerbCreate, strings.Repeat("\xff", 1<<20), volume.ErrPayloadTooLarge},
		"one byte too long":      {volume.VerbDelete, strings.Repeat(" ", commands.MaxPayload+1), volume.ErrPayloadTooLarge},
		"invalid UTF-8":          {volume.VerbDelete, "{\"a\":\"\xc3\x28\"}", volume.ErrInvalidPayload},
		"zero byte":              {volume.VerbDelete, "\x00", volume.ErrInvalidPayload},
		"nine levels":            {volume.VerbDelete, nested, volume.ErrInvalidPayload},
		"nine levels of lists":   {volume.VerbAttach, `{"node":` + strings.Repeat("[", 8) + strings.Repeat("]", 8) + `}`, volume.ErrInvalidPayload},
		"60,000 levels":          {volume.VerbDelete, strings.Repeat("[", 60_000), volume.ErrInvalidPayload},
		"20,000 closed levels":   {volume.VerbDelete, strings.Repeat("[", 20_000) + strings.Repeat("]", 20_000), volume.ErrInvalidPayload},
		"long unknown field":     {volume.VerbDelete, `{"` + long + `":1}`, volume.ErrUnknownField},
		"long field twice":       {volume.VerbDelete, `{"` + long[:30_000] + `":1,"` + long[:30_000] + `":1}`, volume.ErrInvalidPayload},
		"twice behind a quote":   {volume.VerbNodeGone, `{"reason":"a\":\\","node":"n1","node":"n2"}`, volume.ErrInvalidPayload},
		"twice by an escape":     {volume.VerbAttach, `{"node":"n1","\u006eode":"n2"}`, volume.ErrInvalidPayload},
		"twice within a member":  {volume.VerbCreate, `{"size":1,"labels":{"a":"b","a":"c"}}`, volume.ErrInvalidPayload},
		"twice, both objects":    {volume.VerbCreate, `{"size":1,"labels":{},"labels":{"a":"b"}}`, volume.ErrInvalidPayload},
		"long size":              {volume.VerbCreate, `{"size":"` + long + `"}`, volume.ErrInvalidSize},
		"size of 60,000 digits":  {volume.VerbCreate, `{"size":` + strings.Repeat("9", 60_000) + `}`, volume.ErrInvalidSize},
		"long node":              {volume.VerbAttach, `{"node":"` + long + `"}`, volume.ErrInvalidArgument},
		"long target":            {volume.VerbCancel, `{"target":"` + long + `"}`, volume.ErrInvalidArgument},
		"long backend":           {volume.VerbCreate, `{"size":1,"backend":"` + long + `"}`, volume.ErrInvalidArgument},
		"long label":             {volume.VerbCreate, `{"size":1,"labels":{"a":"` + long + `"}}`, volume.ErrInvalidArgument},
		"long label key":         {volume.VerbCreate, `{"size":1,"labels":{"` + long + `":""}}`, volume.ErrInvalidArgument},
		"long snapshot":          {volume.VerbSnapshot, `{"snapshot":"` + long + `"}`, volume.ErrInvalidName},
		"long source":            {volume.VerbCreate, `{"source":"` + long + `@x"}`, volume.ErrInvalidName},
		"source of 200 letters":  {volume.VerbCreate, `{"source":"` + long[:100] + `@` + long[:99] + `"}`, volume.ErrInvalidName},
		"generation of nonsense": {volume.VerbDelete, `{"if_generation":"` + long + `"}`, volume.ErrInvalidArgument},
	} {
		_, err := commands.Decode(incoming(test.verb, test.payload))
		checkFault(t, name, err, test.code, "")
	}
}

func TestDecode_LargestPayload_FitsTheLimit(t *testing.T) {
	labels := volume.Labels{}
	for i := range volume.MaxLabels {
		labels[strings.Repeat("k", volume.MaxLabelKeyLength-1)+string(rune('A'+i%26)+rune(i/26*32))] = strings.Repeat("\x01", volume.MaxLabelValueLength)
	}
	body, err := commands.Encode(volume.Command{Key: db01, Verb: volume.VerbCreate, Args: volume.Args{Size: 1, Labels: labels}})
	if err != nil || len(labels) != volume.MaxLabels {
		t.Errorf("%d labels, %d bytes: %v", len(labels), len(body), err)
	}
}

func TestDecode_Headers(t *testing.T) {
	const trace = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01"
	envelope, err := commands.Decode(incoming(volume.VerbDelete, "",
		commands.HeaderID, "order-4711", commands.HeaderActor, "Zoë <zoe@example.org>",
		commands.HeaderReply, "_INBOX.abc.1", commands.HeaderTraceParent, trace))
	if err != nil {
		t.Fatal(err)
	}
	want := volume.Command{ID: "order-4711", Key: db01, Verb: volume.VerbDelete, Actor: "Zoë <zoe@example.org>", Sequence: 7, TraceParent: trace}
	if got := envelope.Command; !equalCommands(got, want) || envelope.Reply != "_INBOX.abc.1" {
		t.Errorf("got %+v, want %+v", envelope, want)
	}
}

func TestDecode_NoHeaders_DerivesID(t *testing.T) {
	msg := incoming(volume.VerbDelete, "")
	msg.Header = nil
	envelope, err := commands.Decode(msg)
	if want := volume.DerivedCommandID(7, storedAt.UnixNano()); err != nil || envelope.ID != want {
		t.Errorf("got id %s and %v, want %s", envelope.ID, err, want)
	}
}

func TestDecode_BrokenTraceParent_Ignored(t *testing.T) {
	envelope, err := commands.Decode(incoming(volume.VerbDelete, "", commands.HeaderTraceParent, "00-zz"))
	if err != nil || envelope.TraceParent != "" {
		t.Errorf("got %q and %v, want none", envelope.TraceParent, err)
	}
}

func TestDecode_RefusedHeaders(t *testing.T) {
	derived := volume.DerivedCommandID(7, storedAt.UnixNano())
	for _, test := range []struct {
		header, value string
		code          volume.Code
	}{
		{commands.HeaderID, "a b", volume.ErrInvalidCommandID},
		{commands.HeaderID, "seq-7-x", volume.ErrInvalidCommandID},
		{commands.HeaderID, strings.Repeat("x", volume.MaxCommandIDLength+1), volume.ErrInvalidCommandID},
		{commands.HeaderActor, strings.Repeat("x", commands.MaxActorLength+1), volume.ErrInvalidArgument},
		{commands.HeaderActor, "a\nb", volume.ErrInvalidArgument},
		{commands.HeaderActor, "a\x1b[2Jb", volume.ErrInvalidArgument},
		{commands.HeaderActor, "\xff", volume.ErrInvalidArgument},
		{commands.HeaderReply, "volume.event.default.db-01.ready", volume.ErrInvalidArgument},
		{commands.HeaderReply, "volume", volume.ErrInvalidArgument},
		{commands.HeaderReply, "jetvol.x", volume.ErrInvalidArgument},
		{commands.HeaderReply, "$KV.volumes.default.db-01", volume.ErrInvalidArgument},
		{commands.HeaderReply, "$JS.API.STREAM.DELETE.X", volume.ErrInvalidArgument},
		{commands.HeaderReply, "$SYS.REQ", volume.ErrInvalidArgument},
		{commands.HeaderReply, "a.*", volume.ErrInvalidArgument},
		{commands.HeaderReply, "a.>", volume.ErrInvalidArgument},
		{commands.HeaderReply, "a..b", volume.ErrInvalidArgument},
		{commands.HeaderReply, ".a", volume.ErrInvalidArgument},
		{commands.HeaderReply, "a.", volume.ErrInvalidArgument},
		{commands.HeaderReply, "a b", volume.ErrInvalidArgument},
		{commands.HeaderReply, "a\tb", volume.ErrInvalidArgument},
		{commands.HeaderReply, "a\r\nPUB x", volume.ErrInvalidArgument},
		{commands.HeaderReply, "\xff", volume.ErrInvalidArgument},
		{commands.HeaderReply, strings.Repeat("x", commands.MaxReplyLength+1), volume.ErrInvalidArgument},
	} {
		envelope, err := commands.Decode(incoming(volume.VerbDelete, "", test.header, test.value))
		checkFault(t, test.header+" "+test.value, err, test.code, "")
		if envelope.ID != derived || envelope.Reply != "" || envelope.Actor != "" {
			t.Errorf("%s %.80q: got %+v, want it left out", test.header, test.value, envelope)
		}
	}
}

// The names must be right before anything else is worth telling.
func TestDecode_SeveralFaults_TellsTheFirst(t *testing.T) {
	msg := incoming(volume.VerbCreate, "junk", commands.HeaderID, "a b", commands.HeaderReply, "*")
	_, err := commands.Decode(msg)
	checkFault(t, "id, reply and payload", err, volume.ErrInvalidCommandID, "")

	msg.Subject = "volume.command.3.default.DB.create"
	envelope, err := commands.Decode(msg)
	checkFault(t, "name, id, reply and payload", err, volume.ErrInvalidName, "DB")
	if envelope.Key.Name != "DB" || envelope.Verb != volume.VerbCreate {
		t.Errorf("got %+v, want the name as it came", envelope)
	}
}
