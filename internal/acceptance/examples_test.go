package acceptance

import (
	"fmt"
	"strings"
	"testing"

	"github.com/santhosh-tekuri/jsonschema/v6"

	"github.com/jetvol/jetvol/commands"
	"github.com/jetvol/jetvol/events"
	"github.com/jetvol/jetvol/volume"
)

func TestContract_Examples(t *testing.T) {
	document := contract(t)
	for _, b := range marked(document, "payloads") {
		for _, line := range b.lines {
			verb, payload, _ := strings.Cut(line, " ")
			wantValid(t, volume.Verb(verb), strings.TrimSpace(payload))
		}
	}
	found := marked(document, "event")
	if len(found) != 1 {
		t.Fatalf("got %d example events, want 1", len(found))
	}
	envelope, err := events.Decode([]byte(strings.Join(found[0].lines, "\n")))
	if err != nil {
		t.Fatal(err)
	}
	command := volume.Command{Verb: volume.VerbAttach, Args: volume.Args{Node: "node-1", Mode: volume.ReadWrite}}
	if got := envelope.Data.CommandDigest; got != command.Digest() {
		t.Errorf("example event: digest %q, want %q", got, command.Digest())
	}
}

// wantValid asks the worker's decoder and the schema, which both have to accept.
func wantValid(t *testing.T, verb volume.Verb, payload string) {
	t.Helper()
	_, err := commands.Decode(commands.Incoming{Subject: fmt.Sprintf("volume.command.0.p.v.%s", verb), Data: []byte(payload)})
	if err != nil {
		t.Errorf("%s %s: %v", verb, payload, err)
	}
	schema, err := commands.Schema(verb)
	if err != nil {
		t.Fatal(err)
	}
	document, err := jsonschema.UnmarshalJSON(strings.NewReader(string(schema)))
	if err != nil {
		t.Fatal(err)
	}
	compiler := jsonschema.NewCompiler()
	if err := compiler.AddResource("verb.json", document); err != nil {
		t.Fatal(err)
	}
	instance, err := jsonschema.UnmarshalJSON(strings.NewReader(payload))
	if err != nil {
		t.Fatal(err)
	}
	if err := compiler.MustCompile("verb.json").Validate(instance); err != nil {
		t.Errorf("%s %s: %v", verb, payload, err)
	}
}
