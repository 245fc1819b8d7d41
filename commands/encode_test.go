package commands_test

import (
	"math"
	"reflect"
	"strings"
	"testing"
	"time"

	"pgregory.net/rapid"

	"github.com/jetvol/jetvol/commands"
	"github.com/jetvol/jetvol/volume"
)

func equalCommands(a, b volume.Command) bool { return reflect.DeepEqual(a, b) }

// deliver returns what the stream would deliver of a published command.
func deliver(command volume.Command, reply string) (commands.Incoming, error) {
	msg, err := commands.NewMessage(command, reply)
	if err != nil {
		return commands.Incoming{}, err
	}
	return commands.Incoming{
		Subject:  commands.Address{Partition: 3, Key: command.Key, Verb: command.Verb}.Subject(),
		Header:   msg.Header,
		Data:     msg.Data,
		Sequence: command.Sequence,
		StoredAt: storedAt,
	}, nil
}

func TestEncode_DecodeIsItsInverse(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		want := drawCommand(t)
		msg, err := deliver(want, "_INBOX.x.1")
		if err != nil {
			t.Fatalf("encode %+v: %v", want, err)
		}
		got, err := commands.Decode(msg)
		if err != nil || !equalCommands(got.Command, want) || got.Reply != "_INBOX.x.1" {
			t.Fatalf("got %+v and %v, want %+v", got, err, want)
		}
		if got.Digest() != want.Digest() {
			t.Fatalf("digest %s, want %s", got.Digest(), want.Digest())
		}
	})
}

func drawCommand(t *rapid.T) volume.Command {
	command := volume.Command{
		ID:            volume.CommandID(rapid.StringMatching(`[A-Za-z0-9][A-Za-z0-9._:/@=+]{0,127}`).Draw(t, "id")),
		Key:           volume.Key{Project: "default", Name: volume.Name(rapid.StringMatching(`[a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?`).Draw(t, "name"))},
		Verb:          rapid.SampledFrom(volume.Verbs()).Draw(t, "verb"),
		Actor:         rapid.StringMatching(`[a-zäß]?[ -~]{0,99}[a-z]`).Draw(t, "actor"),
		Sequence:      rapid.Uint64().Draw(t, "sequence"),
		Preconditions: drawPreconditions(t),
	}
	command.Args = drawArgs(t, command.Verb)
	return command
}

func drawArgs(t *rapid.T, verb volume.Verb) volume.Args {
	size := rapid.Int64Range(1, int64(volume.MaxSize))
	node := rapid.StringMatching(`[A-Za-z0-9]([A-Za-z0-9._-]{0,30}[A-Za-z0-9])?`)
	switch verb {
	case volume.VerbCreate:
		labels := rapid.MapOfN(rapid.StringMatching(`[A-Za-z0-9]([A-Za-z0-9._/-]{0,30}[A-Za-z0-9])?`), rapid.StringN(0, 60, volume.MaxLabelValueLength), 0, 5).Draw(t, "labels")
		args := volume.Args{Size: volume.Bytes(size.Draw(t, "size")), Backend: rapid.SampledFrom([]string{"", "local", "ceph-ssd"}).Draw(t, "backend")}
		if rapid.Bool().Draw(t, "clone") {
			args.Size = rapid.SampledFrom([]volume.Bytes{0, args.Size}).Draw(t, "size of clone")
			args.Source = volume.SnapshotKey{Volume: "db-00", Snapshot: drawSnapshot(t)}
			args.ReadOnly = rapid.Bool().Draw(t, "read_only")
		}
		if len(labels) > 0 {
			args.Labels = labels
		}
		return args
	case volume.VerbSnapshot:
		args := volume.Args{Snapshot: drawSnapshot(t)}
		if rapid.Bool().Draw(t, "labelled") {
			args.Labels = volume.Labels{"kept": "30d"}
		}
		return args
	case volume.VerbDeleteSnapshot, volume.VerbRestore:
		return volume.Args{Snapshot: drawSnapshot(t)}
	case volume.VerbResize:
		return volume.Args{Size: volume.Bytes(size.Draw(t, "size"))}
	case volume.VerbAttach:
		return volume.Args{Node: volume.Node(node.Draw(t, "node")), Mode: rapid.SampledFrom([]volume.Mode{volume.ReadWrite, volume.ReadOnly}).Draw(t, "mode")}
	case volume.VerbDetach:
		return volume.Args{Node: volume.Node(rapid.OneOf(rapid.Just(""), node).Draw(t, "node"))}
	case volume.VerbCancel:
		return volume.Args{Target: volume.CommandID(rapid.SampledFrom([]string{"", "order-1", "seq-7-abc"}).Draw(t, "target"))}
	case volume.VerbNodeGone:
		return volume.Args{
			Node:   volume.Node(node.Draw(t, "node")),
			Reason: rapid.StringMatching(`[ -~äß]{0,60}[a-zäß][ -~]{0,60}`).Draw(t, "reason"),
		}
	default:
		return volume.Args{}
	}
}

func drawSnapshot(t *rapid.T) volume.SnapshotName {
	return volume.SnapshotName(rapid.StringMatching(`[a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?`).Draw(t, "snapshot"))
}

func drawPreconditions(t *rapid.T) volume.Preconditions {
	preconditions := volume.Preconditions{
		IfState:      rapid.SampledFrom(append(volume.States(), "")).Draw(t, "if_state"),
		ValidateOnly: rapid.Bool().Draw(t, "validate_only"),
	}
	if rapid.Bool().Draw(t, "has if_generation") {
		generation := rapid.Uint64().Draw(t, "if_generation")
		preconditions.IfGeneration = &generation
	}
	if rapid.Bool().Draw(t, "has deadline") {
		preconditions.Deadline = time.Unix(rapid.Int64Range(0, math.MaxUint32).Draw(t, "deadline"), rapid.Int64Range(0, 999_999_999).Draw(t, "ns")).UTC()
	}
	return preconditions
}

func TestNewMessage_Refuses(t *testing.T) {
	valid := volume.Command{ID: "order-1", Key: db01, Verb: volume.VerbCreate, Args: volume.Args{Size: volume.GiB}}
	if _, err := commands.NewMessage(valid, ""); err != nil {
		t.Fatal(err)
	}
	for name, test := range map[string]struct {
		change func(*volume.Command)
		reply  string
		code   volume.Code
	}{
		"name":                  {func(c *volume.Command) { c.Key.Name = "../etc" }, "", volume.ErrInvalidName},
		"verb":                  {func(c *volume.Command) { c.Verb = "rename" }, "", volume.ErrUnknownVerb},
		"no verb":               {func(c *volume.Command) { c.Verb = "" }, "", volume.ErrUnknownVerb},
		"id":                    {func(c *volume.Command) { c.ID = "a b" }, "", volume.ErrInvalidCommandID},
		"reserved id":           {func(c *volume.Command) { c.ID = "seq-1-a" }, "", volume.ErrInvalidCommandID},
		"actor":                 {func(c *volume.Command) { c.Actor = "a\r\nX: y" }, "", volume.ErrInvalidArgument},
		"reply":                 {func(*volume.Command) {}, "$JS.API.INFO", volume.ErrInvalidArgument},
		"no size":               {func(c *volume.Command) { c.Args.Size = 0 }, "", volume.ErrInvalidSize},
		"source":                {func(c *volume.Command) { c.Args.Source.Volume = "db-00" }, "", volume.ErrInvalidName},
		"no snapshot":           {func(c *volume.Command) { c.Verb, c.Args = volume.VerbRestore, volume.Args{} }, "", volume.ErrInvalidName},
		"negative size":         {func(c *volume.Command) { c.Args.Size = -1 }, "", volume.ErrInvalidSize},
		"another verb's field":  {func(c *volume.Command) { c.Verb = volume.VerbDelete }, "", volume.ErrUnknownField},
		"label of broken UTF-8": {func(c *volume.Command) { c.Args.Labels = volume.Labels{"a": "\xff"} }, "", volume.ErrInvalidArgument},
		"year 10000":            {func(c *volume.Command) { c.Deadline = time.Date(10000, 1, 1, 0, 0, 0, 0, time.UTC) }, "", volume.ErrInvalidArgument},
		"labels beyond 64 KiB":  {func(c *volume.Command) { c.Args.Labels = volume.Labels{"a": strings.Repeat("x", 1<<17)} }, "", volume.ErrPayloadTooLarge},
	} {
		command := valid
		test.change(&command)
		_, err := commands.NewMessage(command, test.reply)
		checkFault(t, name, err, test.code, "")
	}
}

func TestEncode_DeadlineInAnyZone_IsTheSameCommand(t *testing.T) {
	deadline := time.Date(2030, 1, 31, 12, 0, 0, 0, time.FixedZone("", 2*60*60))
	command := volume.Command{Verb: volume.VerbDelete, Preconditions: volume.Preconditions{Deadline: deadline}}
	body, err := commands.Encode(command)
	if want := `{"deadline":"2030-01-31T10:00:00Z"}`; err != nil || string(body) != want {
		t.Errorf("got %s and %v, want %s", body, err, want)
	}
}
