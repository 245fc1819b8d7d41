package commands

import (
	"bytes"
	"encoding/json"
	"errors"
	"os"
	"reflect"
	"slices"
	"testing"

	"github.com/santhosh-tekuri/jsonschema/v6"

	"github.com/jetvol/jetvol/volume"
)

// compileSchema compiles a schema with its formats asserted, and checks that its id is
// the wanted one.
func compileSchema(t testing.TB, id string, schema []byte) *jsonschema.Schema {
	t.Helper()
	document, err := jsonschema.UnmarshalJSON(bytes.NewReader(schema))
	if err != nil {
		t.Fatal(err)
	}
	compiler := jsonschema.NewCompiler()
	compiler.AssertFormat()
	if err := compiler.AddResource(id, document); err != nil {
		t.Fatal(err)
	}
	compiled, err := compiler.Compile(id)
	if err != nil {
		t.Fatal(err)
	}
	if got := document.(map[string]any)["$id"]; got != id {
		t.Errorf("$id: got %v, want %s", got, id)
	}
	if compiled.DraftVersion != 2020 {
		t.Errorf("%s: draft %d, want 2020", id, compiled.DraftVersion)
	}
	return compiled
}

func commandSchemas(t testing.TB) map[volume.Verb]*jsonschema.Schema {
	t.Helper()
	all := map[volume.Verb]*jsonschema.Schema{}
	for _, verb := range volume.Verbs() {
		schema, err := Schema(verb)
		if err != nil {
			t.Fatal(err)
		}
		all[verb] = compileSchema(t, "urn:jetvol:command:"+string(verb)+":1", schema)
	}
	return all
}

// validate returns the schema's verdict on a JSON text.
func validate(t testing.TB, schema *jsonschema.Schema, data []byte) error {
	t.Helper()
	value, err := jsonschema.UnmarshalJSON(bytes.NewReader(data))
	if err != nil {
		t.Fatalf("%s: %v", data, err)
	}
	return schema.Validate(value)
}

// document is what the tests read of a schema as JSON.
type document struct {
	Properties           map[string]any
	Required             []string
	AnyOf                []struct{ Required []string }
	AdditionalProperties *bool
	Examples             []json.RawMessage
}

func readDocument(t *testing.T, schema []byte) document {
	t.Helper()
	var read document
	if err := json.Unmarshal(schema, &read); err != nil {
		t.Fatal(err)
	}
	return read
}

func TestSchema_SaysTheDecodersFields(t *testing.T) {
	definitions := map[string]any{}
	for _, verb := range volume.Verbs() {
		schema, err := Schema(verb)
		if err != nil {
			t.Fatal(err)
		}
		read := readDocument(t, schema)
		if read.AdditionalProperties == nil || *read.AdditionalProperties {
			t.Errorf("%s: unknown fields are not refused", verb)
		}
		if !slices.Equal(read.Required, shapes[verb].required) {
			t.Errorf("%s: required %v, want %v", verb, read.Required, shapes[verb].required)
		}
		var either []string
		for _, choice := range read.AnyOf {
			either = append(either, choice.Required...)
		}
		if !slices.Equal(either, shapes[verb].either) {
			t.Errorf("%s: one of %v required, want one of %v", verb, either, shapes[verb].either)
		}
		if len(read.Properties) != len(payloadFields[verb]) {
			t.Errorf("%s: %d fields, want %v", verb, len(read.Properties), payloadFields[verb])
		}
		for _, name := range payloadFields[verb] {
			definition := read.Properties[name]
			if definition == nil {
				t.Errorf("%s: no field %s", verb, name)
			}
			if first, seen := definitions[name]; seen && !reflect.DeepEqual(first, definition) {
				t.Errorf("%s: field %s differs from that of another verb", verb, name)
			}
			definitions[name] = definition
		}
	}
	for name := range setters {
		if definitions[name] == nil {
			t.Errorf("no verb has the field %s", name)
		}
	}
}

func TestSchema_KnowsEveryState(t *testing.T) {
	schema, err := Schema(volume.VerbDelete)
	if err != nil {
		t.Fatal(err)
	}
	var states []volume.State
	for _, state := range readDocument(t, schema).Properties["if_state"].(map[string]any)["enum"].([]any) {
		states = append(states, volume.State(state.(string)))
	}
	if !slices.Equal(states, volume.States()) {
		t.Errorf("got %v, want %v", states, volume.States())
	}
}

func TestSchema_Examples(t *testing.T) {
	for verb, compiled := range commandSchemas(t) {
		schema, _ := Schema(verb)
		for _, example := range readDocument(t, schema).Examples {
			if err := validate(t, compiled, example); err != nil {
				t.Errorf("%s %s: %v", verb, example, err)
			}
			if _, _, err := decodePayload(verb, example); err != nil {
				t.Errorf("%s %s: %v", verb, example, err)
			}
		}
	}
	compiled := compileSchema(t, "urn:jetvol:reply:1", ReplySchema())
	for _, example := range readDocument(t, ReplySchema()).Examples {
		if err := validate(t, compiled, example); err != nil {
			t.Errorf("reply %s: %v", example, err)
		}
	}
}

// The schema accepts what the decoder accepts, and refuses what the decoder refuses
// wherever a schema can say so.
func TestSchema_AgreesWithDecoder(t *testing.T) {
	compiled := commandSchemas(t)
	for _, test := range readPayloads(t, "accepted.json") {
		if len(bytes.TrimSpace([]byte(test.Payload))) == 0 {
			continue // stands for {}
		}
		if err := validate(t, compiled[test.Verb], []byte(test.Payload)); err != nil {
			t.Errorf("%s %s: %v", test.Verb, test.Payload, err)
		}
	}
	for _, test := range readPayloads(t, "refused.json") {
		if test.NotJSON || test.NoSchema || test.Payload == "" {
			continue
		}
		if err := validate(t, compiled[test.Verb], []byte(test.Payload)); (err == nil) != test.SchemaAccepts {
			t.Errorf("%s %s: got %v, want it accepted: %v", test.Verb, test.Payload, err, test.SchemaAccepts)
		}
	}
}

type schemaCase struct {
	Verb          volume.Verb
	Payload       string
	SchemaAccepts bool `json:"schema_accepts"`
	NotJSON       bool `json:"not_json"`
	NoSchema      bool `json:"no_schema"`
}

func readPayloads(t testing.TB, file string) []schemaCase {
	t.Helper()
	data, err := os.ReadFile("testdata/" + file)
	if err != nil {
		t.Fatal(err)
	}
	var cases []schemaCase
	if err := json.Unmarshal(data, &cases); err != nil {
		t.Fatal(err)
	}
	return cases
}

func TestSchema_UnknownVerb(t *testing.T) {
	for _, verb := range []volume.Verb{"", "reply", "../schema", "rename"} {
		if _, err := Schema(verb); !errors.Is(err, volume.ErrUnknownVerb) {
			t.Errorf("%q: got %v, want %v", verb, err, volume.ErrUnknownVerb)
		}
	}
}
