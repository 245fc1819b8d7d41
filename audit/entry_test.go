package audit

import (
	"reflect"
	"testing"
	"time"

	"github.com/jetvol/jetvol/events"
	"github.com/jetvol/jetvol/volume"
)

// slowEntry reads an event without the short way.
func slowEntry(subject string, data []byte) entry {
	return readEntry(subject, 7, append([]byte(" "), data...)) // with a blank no envelope is jetvol's own
}

func sample() volume.Transition {
	return volume.Transition{
		ID: "p.v/4", Key: volume.Key{Project: "p", Name: "v"}, VolumeID: "p.v.1", Event: volume.EventAttached,
		From: volume.StateAttaching, To: volume.StateAttached, Generation: 4, CommandID: "c", Time: time.Unix(1, 5).UTC(),
		TraceParent: "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01", Spec: volume.Spec{Labels: volume.Labels{"a": `,"data":{`}},
	}
}

func TestReadEntry_OwnForm_TakesTheShortWay(t *testing.T) {
	refusal := sample()
	refusal.ID, refusal.Event, refusal.TraceParent = "p.v/rejected/c", volume.EventRejected, ""
	for _, transition := range []volume.Transition{sample(), refusal} {
		data, err := events.Encode(transition)
		if err != nil {
			t.Fatal(err)
		}
		var e entry
		e.volume, e.event = volumeOf(events.Subject(transition.Key, transition.Event))
		if !e.readCommon(data) {
			t.Errorf("%s: not read in the short way", data)
		}
		if e.hash.String() != events.Hash(data) {
			t.Errorf("hash %s, want %s", e.hash, events.Hash(data))
		}
	}
}

// FuzzReadEntry looks for an event that the short way reads otherwise than the long one.
func FuzzReadEntry(f *testing.F) {
	transition := sample()
	data, err := events.Encode(transition)
	if err != nil {
		f.Fatal(err)
	}
	subject := events.Subject(transition.Key, transition.Event)
	f.Add(subject, data)
	f.Add(subject, []byte(`{"data":{"generation":1},"data":{}}`))
	f.Add("volume.event.x", []byte("}"))
	f.Add("", []byte(""))
	f.Fuzz(func(t *testing.T, subject string, data []byte) {
		fast, slow := readEntry(subject, 7, data), slowEntry(subject, data)
		if fast.fault == Undecodable && slow.fault == Undecodable {
			return // the hash of what is no event is that of the whole, blank included
		}
		if fast.hash.String() != events.Hash(data) {
			t.Errorf("hash %s, want %s", fast.hash, events.Hash(data))
		}
		if !reflect.DeepEqual(fast, slow) {
			t.Errorf("got %+v, the long way %+v", fast, slow)
		}
	})
}

// FuzzVolumeMark looks for a stored checkpoint that is read as something else than it says.
func FuzzVolumeMark(f *testing.F) {
	f.Add("p.v", "p.v.3", "available", "00112233445566778899aabbccddeeff", "", uint64(4), uint64(9), true)
	f.Add("p.v", "", "deleted", "", "zz", uint64(0), uint64(0), false)
	f.Fuzz(func(t *testing.T, name, id, to, content, hash string, generation, sequence uint64, chained bool) {
		m := VolumeMark{
			SchemaVersion: volume.SchemaVersion, Checkpoint: 5, Generation: generation, Sequence: sequence, EventHash: hash,
			VolumeID: volume.ID(id), State: volume.State(to), Content: content, Chained: chained,
		}
		s, err := m.state(name)
		if err != nil {
			return
		}
		again, err := s.mark(name, 5).state(name)
		if err != nil || *again != *s || again.hash != s.hash {
			t.Errorf("%+v became %+v, %v", m, again, err)
		}
	})
}
