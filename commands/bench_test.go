package commands_test

import (
	"encoding/json"
	"testing"

	"github.com/jetvol/jetvol/commands"
	"github.com/jetvol/jetvol/internal/alloctest"
	"github.com/jetvol/jetvol/volume"
)

// sent are commands as clients send them: with an id, an actor, and a wish for an answer.
var sent = []struct {
	name                   string
	verb                   volume.Verb
	payload                string
	decode, digest, encode int // allocations
}{
	{"create", volume.VerbCreate, `{"size":1073741824}`, 17, 4, 26},
	{"create-labels", volume.VerbCreate, `{"size":"10GiB","backend":"local","labels":{"team":"db","tier":"1"}}`, 57, 8, 68},
	{"clone", volume.VerbCreate, `{"source":"db-01@monday","read_only":true}`, 22, 4, 32},
	{"attach", volume.VerbAttach, `{"node":"n1","mode":"read-write"}`, 22, 3, 31},
	{"detach", volume.VerbDetach, `{}`, 10, 3, 19},
	{"delete", volume.VerbDelete, ``, 6, 3, 19},
	{"resize", volume.VerbResize, `{"size":2147483648,"if_generation":2,"deadline":"2030-01-31T12:00:00Z"}`, 28, 4, 38},
	{"snapshot", volume.VerbSnapshot, `{"snapshot":"monday"}`, 17, 3, 26},
	{"node_gone", volume.VerbNodeGone, `{"node":"n1","reason":"lost power"}`, 22, 3, 31},
}

func commandWorks(t testing.TB) []alloctest.Work {
	var works []alloctest.Work
	for _, of := range sent {
		msg := incoming(of.verb, of.payload, commands.HeaderID, "01J8Z3V6T7QK4M9X2B5C8D1E0F",
			commands.HeaderActor, "alice", commands.HeaderReply, "_INBOX.8kQ2vXc1.4mN7",
			commands.HeaderTraceParent, "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01")
		envelope, err := commands.Decode(msg)
		if err != nil {
			t.Fatal(err)
		}
		name := "/command=" + of.name
		works = append(works,
			alloctest.Work{Name: "do=decode" + name, Allocs: of.decode, Do: func() error {
				_, err := commands.Decode(msg)
				return err
			}},
			alloctest.Work{Name: "do=digest" + name, Allocs: of.digest, Do: func() error {
				envelope.Digest()
				return nil
			}},
			alloctest.Work{Name: "do=encode" + name, Allocs: of.encode, Do: func() error {
				_, err := commands.NewMessage(envelope.Command, envelope.Reply)
				return err
			}})
	}
	return works
}

// answerWorks are an answer on its way back.
func answerWorks(t testing.TB) []alloctest.Work {
	reply := commands.NewReply(db01, volume.Outcome{
		CommandID: "01J8Z3V6T7QK4M9X2B5C8D1E0F", Verb: volume.VerbCreate, Result: volume.Succeeded,
		State: volume.StateAvailable, Generation: 2, VolumeID: volume.NewID(db01, 1),
	}, false)
	data, err := json.Marshal(reply)
	if err != nil {
		t.Fatal(err)
	}
	return []alloctest.Work{
		{Name: "do=encode", Allocs: 2, Do: func() error { _, err := json.Marshal(reply); return err }},
		{Name: "do=decode", Allocs: 11, Do: func() error { _, err := commands.DecodeReply(data); return err }},
	}
}

func BenchmarkCommand(b *testing.B) { alloctest.Benchmark(b, commandWorks(b)) }
func BenchmarkReply(b *testing.B)   { alloctest.Benchmark(b, answerWorks(b)) }

func TestAllocations_OfCommands_WithinTheirBounds(t *testing.T) {
	alloctest.Test(t, commandWorks(t))
}

func TestAllocations_OfReplies_WithinTheirBounds(t *testing.T) { alloctest.Test(t, answerWorks(t)) }
