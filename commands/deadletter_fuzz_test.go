package commands

import (
	"bytes"
	"errors"
	"reflect"
	"strings"
	"testing"
	"time"

	"github.com/nats-io/nats.go"

	"github.com/jetvol/jetvol/volume"
)

// FuzzDeadLetter checks of any message on the stream of dead letters that it becomes one
// letter, unreadable or not, and that replaying it gives a command that a worker takes,
// or a coded refusal.
func FuzzDeadLetter(f *testing.F) {
	f.Add("volume.dead.a.b.c", "unknown_field", "1", "2026-01-02T03:04:05Z", "volume.command.3.default.db-01.create", "1", "", "", "order-1", []byte(`{"size":1}`))
	f.Add("volume.dead.a.b.c", "internal", "7", "2026-01-02T03:04:05.6Z", "volume.command.3.default.db-01.delete", "2", "1/1", "20", "", []byte("Nats-Msg-Id: order-1\r\n"))
	f.Add("volume.dead.a.b.c", "internal", "7", "2026-01-02T03:04:05Z", "volume.command.3.a.>.delete", "2", "2/3", "-1", "", []byte("x"))
	f.Add("$JS.EVENT.ADVISORY", "", "", "", "", "", "", "", "", []byte(`{"type":"io.nats.jetstream.advisory.v1.terminated","stream":"VOLUME_COMMANDS","stream_seq":7}`))
	f.Fuzz(func(t *testing.T, subject, code, sequence, stored, original, attempts, part, moved, id string, data []byte) {
		m := deadMessage{subject: subject, size: len(data), sequence: 5, storedAt: time.Unix(1, 0), header: nats.Header{
			HeaderDeadCode: {code}, HeaderDeadClass: {"internal"}, HeaderDeadSequence: {sequence}, HeaderDeadTime: {stored},
			HeaderDeadSubject: {original}, HeaderDeadAttempts: {attempts}, HeaderDeadPart: {part}, HeaderDeadHeaders: {moved},
			HeaderOriginalPrefix + HeaderID: {id},
		}}
		x := newDeadIndex()
		x.add(m)
		for _, told := range x.advisedAt {
			x.addAdvisory(told, data)
		}
		letters := x.finish()
		if len(letters) != 1 || !letters[0].Has(5) || letters[0].Size < 0 {
			t.Fatalf("got %+v", letters)
		}
		l := letters[0].withPayload(data)
		l.Address()
		msg, err := l.replay(Replay{})
		if err != nil {
			checkCoded(t, err)
			return
		}
		address, err := ParseSubject(strings.Replace(msg.Subject, commandPrefix, commandPrefix+"0.", 1))
		if err != nil {
			t.Fatal(err)
		}
		envelope, err := Decode(Incoming{Subject: address.Subject(), Header: msg.Header, Data: msg.Data, Sequence: 1, StoredAt: time.Unix(2, 0)})
		if err != nil || string(envelope.ID) != msg.Header.Get(HeaderID) {
			t.Fatalf("replay of %+v: %+v, %v", l, envelope, err)
		}
	})
}

// FuzzBurial checks that what is buried comes back byte for byte, in as many parts as
// the server makes necessary.
func FuzzBurial(f *testing.F) {
	const limit = headerReserve // bytes of each: more makes the fuzzing slow and is no other case
	f.Add("X-Team", "storage", 1, []byte(`{"size":1}`), 1)
	f.Add("Nats-Msg-Id", "order-1", 1, []byte("0123456789"), 20_000)
	f.Add("Jetvol-Dead-Part", "1/2", 7000, []byte("Name: value\r\n"), 1)
	f.Add("Jetvol-Original-", strings.Repeat("a", 100), 1000, []byte(nil), 0)
	f.Fuzz(func(t *testing.T, name, value string, repeat int, text []byte, times int) {
		own, err := nats.DecodeHeadersMsg([]byte("NATS/1.0\r\n" + name + ": " + value + "\r\n\r\n"))
		if err != nil || len(own) == 0 {
			return // no client can send it
		}
		for n := 1; n < repeat && n*(len(name)+len(value)+4) < limit; n++ {
			for name := range own {
				own[name] = append(own[name], value)
			}
		}
		var data []byte
		for n := 0; n < times && len(data) < 3*limit; n++ {
			data = append(data, text...)
		}
		burial := Burial{
			Incoming: Incoming{
				Subject: "volume.command.3.default.db-01.create", Header: own, Data: data, Sequence: 7, StoredAt: time.Unix(1, 2).UTC(),
			},
			Attempts: 3, Cause: errors.New("x\r\ny"),
		}
		x := newDeadIndex()
		var payload []byte
		for i, letter := range burial.Messages(2 * limit) {
			payload = append(payload, letter.Data...)
			x.add(deadMessage{subject: letter.Subject, header: letter.Header, size: len(letter.Data), sequence: uint64(i + 1)})
		}
		letters := x.finish()
		if len(letters) != 1 || letters[0].Kind != DeadBuried {
			t.Fatalf("got %+v", letters)
		}
		got := letters[0].withPayload(payload)
		if !bytes.Equal(got.Command.Data, data) || !reflect.DeepEqual(got.Command.Header, own) || got.Size != len(data) {
			t.Fatalf("got %q %.200q of size %d, want %q %.200q", got.Command.Header, got.Command.Data, got.Size, own, data)
		}
		if got.Code != volume.ErrInternal || got.Attempts != 3 || got.Command.Sequence != 7 || !got.Command.StoredAt.Equal(time.Unix(1, 2)) {
			t.Fatalf("got %+v", got)
		}
	})
}
