package events_test

import (
	"bytes"
	"encoding/json"
	"testing"
	"time"

	"github.com/jetvol/jetvol/events"
	"github.com/jetvol/jetvol/volume"
)

// throughRecord stores a transition in a record's outbox and reads it back.
func throughRecord(t *testing.T, transition volume.Transition) (volume.Transition, []byte) {
	t.Helper()
	stored, err := json.Marshal(volume.Record{Outbox: []volume.Transition{transition}})
	if err != nil {
		t.Fatal(err)
	}
	var record volume.Record
	if err := json.Unmarshal(stored, &record); err != nil {
		t.Fatal(err)
	}
	return record.Outbox[0], stored
}

// wantStable chains a transition and wants the event to have the same hash whether it is
// published at once or from the record after a crash, and its data in the record too.
func wantStable(t *testing.T, transition volume.Transition, previous string) {
	t.Helper()
	hash, err := events.Chain(&transition, previous)
	if err != nil {
		t.Skip() // no time of year 10,000 was ever stored
	}
	atOnce, err := events.Encode(transition)
	if err != nil {
		t.Fatal(err)
	}
	readBack, stored := throughRecord(t, transition)
	later, err := events.Encode(readBack)
	if err != nil {
		t.Fatal(err)
	}
	if !bytes.Equal(atOnce, later) {
		t.Errorf("published at once:\n%s\nand from the record:\n%s", atOnce, later)
	}
	if got := events.Hash(atOnce); got != hash {
		t.Errorf("hash of the event %s, got from Chain %s", got, hash)
	}
	data, err := json.Marshal(transition)
	if err != nil || !bytes.Contains(stored, data) {
		t.Errorf("the record has other bytes: %s, want %s in it, %v", stored, data, err)
	}
	if again, err := events.Chain(&readBack, readBack.Previous); again != hash || err != nil || readBack.Previous != previous {
		t.Errorf("chained again: %s after %s, %v, want %s after %s", again, readBack.Previous, err, hash, previous)
	}
}

func TestChain_ThroughARecord_IsTheSameBytes(t *testing.T) {
	for name, sample := range samples() {
		t.Run(name, func(t *testing.T) { wantStable(t, sample, "p") })
	}
	broken := samples()["failed"]
	broken.Failure.Message = "rbd: \xff\xfe <image> & \u2028 \ufffd"
	broken.Spec.Labels = volume.Labels{"b": "\xc3", "a": "1"}
	t.Run("not UTF-8", func(t *testing.T) { wantStable(t, broken, "p") })
}

func TestChain_EachChange_ChangesTheHash(t *testing.T) {
	base := samples()["attached"]
	want, err := events.Chain(&base, "p")
	if err != nil {
		t.Fatal(err)
	}
	for name, change := range map[string]func(*volume.Transition){
		"generation": func(t *volume.Transition) { t.Generation++ },
		"actor":      func(t *volume.Transition) { t.Actor = "mallory" },
		"size":       func(t *volume.Transition) { t.Spec.Size++ },
		"time":       func(t *volume.Transition) { t.Time = t.Time.Add(1) },
		"worker":     func(t *volume.Transition) { t.Worker = "w9" },
	} {
		changed := samples()["attached"]
		change(&changed)
		if got, err := events.Chain(&changed, "p"); err != nil || got == want {
			t.Errorf("another %s: the same hash %s, %v", name, got, err)
		}
	}
	if got, err := events.Chain(&base, "q"); err != nil || got == want {
		t.Errorf("another previous: the same hash %s, %v", got, err)
	}
}

func TestHash_OfWhatIsNoEvent_IsOfTheWhole(t *testing.T) {
	seen := map[string]string{}
	for _, text := range []string{"", "no JSON", "{}", `{"data":1}`, `{"data":2}`, `[1]`} {
		hash := events.Hash([]byte(text))
		if other, double := seen[hash]; double || len(hash) != 64 {
			t.Errorf("hash of %q is %s, as of %q", text, hash, other)
		}
		seen[hash] = text
	}
}

// FuzzChain_ThroughARecord looks for a transition that comes out of a record with other
// bytes than it went in.
func FuzzChain_ThroughARecord(f *testing.F) {
	f.Add("alice", "busy: \xff", "label", "value \xc3\x28", int64(1), int64(999), uint64(7))
	f.Add("", "", "", "", int64(0), int64(0), uint64(0))
	f.Add("<&>\u2028", "\ufffd", "\\ufffd", "\x00\"", int64(-1), int64(1<<40), ^uint64(0))
	f.Fuzz(func(t *testing.T, actor, message, label, value string, seconds, nanoseconds int64, number uint64) {
		transition := samples()["failed"]
		transition.Actor, transition.Reason, transition.Failure.Message = actor, value, message
		transition.Failure.BlockedBy = []volume.Blocker{{Kind: volume.BlockedByNode, Name: message}}
		transition.Spec.Labels = volume.Labels{label: value, value: label}
		transition.Spec.Attachments = volume.Attachments{{Node: "n", Mode: volume.ReadOnly, Connection: map[string]string{label: message}}}
		transition.Time, transition.Generation = time.Unix(seconds, nanoseconds).UTC(), number
		transition.Spec.Size = volume.Bytes(number)
		wantStable(t, transition, "p")
	})
}
