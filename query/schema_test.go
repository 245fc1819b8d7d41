package query

import (
	"bytes"
	"encoding/json"
	"flag"
	"os"
	"path/filepath"
	"reflect"
	"testing"

	generate "github.com/google/jsonschema-go/jsonschema"
	"github.com/santhosh-tekuri/jsonschema/v6"

	"github.com/jetvol/jetvol/volume"
)

var update = flag.Bool("update", false, "rewrite the schemas with what the types say now")

// exchanges are the types of each endpoint.
var exchanges = map[Endpoint]struct{ request, reply reflect.Type }{
	EndpointGet:          {reflect.TypeFor[GetRequest](), reflect.TypeFor[GetReply]()},
	EndpointList:         {reflect.TypeFor[ListRequest](), reflect.TypeFor[ListReply]()},
	EndpointExplain:      {reflect.TypeFor[ExplainRequest](), reflect.TypeFor[Explanation]()},
	EndpointHistory:      {reflect.TypeFor[HistoryRequest](), reflect.TypeFor[HistoryReply]()},
	EndpointCapabilities: {reflect.TypeFor[NoRequest](), reflect.TypeFor[CapabilitiesReply]()},
	EndpointBackends:     {reflect.TypeFor[NoRequest](), reflect.TypeFor[BackendsReply]()},
	EndpointWorkers:      {reflect.TypeFor[NoRequest](), reflect.TypeFor[WorkersReply]()},
	EndpointPartitions:   {reflect.TypeFor[NoRequest](), reflect.TypeFor[PartitionsReply]()},
	EndpointHealth:       {reflect.TypeFor[NoRequest](), reflect.TypeFor[HealthReply]()},
}

// texts are the types that are more than what Go's type says, or less.
func texts(pattern string) *generate.Schema {
	return &generate.Schema{Type: "string", Pattern: pattern}
}

func words[T ~string](values []T) *generate.Schema {
	schema := &generate.Schema{Type: "string"}
	for _, value := range values {
		schema.Enum = append(schema.Enum, string(value))
	}
	return schema
}

// named is a name as a request may have it.
const named = `^[a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?$`

func options(inRequest bool) *generate.ForOptions {
	types := map[reflect.Type]*generate.Schema{
		reflect.TypeFor[volume.Bytes]():       {Type: "integer"},
		reflect.TypeFor[volume.SnapshotKey](): texts(""),
	}
	if inRequest {
		types[reflect.TypeFor[volume.Project]()] = texts(named)
		types[reflect.TypeFor[volume.Name]()] = texts(named)
		types[reflect.TypeFor[volume.Node]()] = texts(`^[A-Za-z0-9]([A-Za-z0-9._-]{0,251}[A-Za-z0-9])?$`)
		types[reflect.TypeFor[volume.State]()] = words(volume.States())
	}
	return &generate.ForOptions{TypeSchemas: types}
}

// generated returns the schema of a type as it should stand in the file of the name.
func generated(t *testing.T, name, id, title string, of reflect.Type, isRequest bool) []byte {
	t.Helper()
	schema, err := generate.ForType(of, options(isRequest))
	if err != nil {
		t.Fatal(err)
	}
	schema.Schema, schema.ID, schema.Title = "https://json-schema.org/draft/2020-12/schema", id, title
	if !isRequest {
		open(schema)
	}
	bound(schema)
	data, err := json.MarshalIndent(schema, "", "  ")
	if err != nil {
		t.Fatalf("%s: %v", name, err)
	}
	return append(data, '\n')
}

// open lets every object of a reply have further members.
func open(schema *generate.Schema) {
	if schema == nil {
		return
	}
	if len(schema.Properties) > 0 {
		schema.AdditionalProperties = nil
	}
	for _, property := range schema.Properties {
		open(property)
	}
	open(schema.Items)
}

// bound says what the types cannot.
func bound(schema *generate.Schema) {
	zero, most := 0.0, float64(MaxLimit)
	for name, property := range schema.Properties {
		switch name {
		case "limit":
			property.Minimum, property.Maximum = &zero, &most
		case "after":
			property.Minimum = &zero
		case "states", "labels", "filter":
			plainArray(property)
		}
	}
}

// plainArray takes null away, which encoding/json writes for nil and a request may not have.
func plainArray(schema *generate.Schema) {
	if len(schema.Types) > 0 {
		schema.Type, schema.Types = schema.Types[len(schema.Types)-1], nil
	}
}

func TestSchemas_AreThoseOfTheTypes(t *testing.T) {
	check := func(name, id, title string, of reflect.Type, isRequest bool) {
		path := filepath.Join("schemas", name+".schema.json")
		want := generated(t, name, id, title, of, isRequest)
		if *update {
			if err := os.WriteFile(path, want, 0o600); err != nil {
				t.Fatal(err)
			}
			return
		}
		if got := mustRead(name); !bytes.Equal(got, want) {
			t.Errorf("%s: differs from its type (-update rewrites it)", path)
		}
	}
	for _, endpoint := range Endpoints() {
		check(string(endpoint)+".request", "urn:jetvol:query:"+string(endpoint)+":request:1", "question: "+descriptions[endpoint], exchanges[endpoint].request, true)
		check(string(endpoint)+".reply", "urn:jetvol:query:"+string(endpoint)+":reply:1", "answer: "+descriptions[endpoint], exchanges[endpoint].reply, false)
	}
	check("error", "urn:jetvol:query:error:1", "answer to a question that cannot be answered", reflect.TypeFor[ErrorReply](), false)
}

// compiled returns a schema that is ready for use, with its formats asserted.
func compiled(t testing.TB, schema []byte) *jsonschema.Schema {
	t.Helper()
	document, err := jsonschema.UnmarshalJSON(bytes.NewReader(schema))
	if err != nil {
		t.Fatal(err)
	}
	compiler := jsonschema.NewCompiler()
	compiler.AssertFormat()
	if err := compiler.AddResource("urn:test", document); err != nil {
		t.Fatal(err)
	}
	ready, err := compiler.Compile("urn:test")
	if err != nil {
		t.Fatal(err)
	}
	if ready.DraftVersion != 2020 {
		t.Errorf("draft %d, want 2020", ready.DraftVersion)
	}
	return ready
}

// conform fails the test unless the JSON is as the schema says.
func conform(t testing.TB, schema, data []byte) {
	t.Helper()
	if err := validate(t, schema, data); err != nil {
		t.Errorf("%.400s: %v", data, err)
	}
}

func validate(t testing.TB, schema, data []byte) error {
	t.Helper()
	value, err := jsonschema.UnmarshalJSON(bytes.NewReader(data))
	if err != nil {
		t.Fatalf("%.400s: %v", data, err)
	}
	return compiled(t, schema).Validate(value)
}

// requests are examples of what may be asked and what not.
var requests = []struct {
	endpoint Endpoint
	data     string
	want     error // nil: accepted
	// schemaAccepts says that a schema cannot tell.
	schemaAccepts bool
}{
	{EndpointGet, `{"project":"default","volume":"db-01"}`, nil, true},
	{EndpointGet, `{"id":"default.db-01.1","include_deleted":true}`, nil, true},
	{EndpointGet, `{}`, volume.ErrInvalidName, true},
	{EndpointGet, `{"project":"default","volume":"../etc"}`, volume.ErrInvalidName, false},
	{EndpointGet, `{"project":"default","volume":"*"}`, volume.ErrInvalidName, false},
	{EndpointGet, `{"project":"default","volume":"a","id":"default.a.1"}`, volume.ErrInvalidArgument, true},
	{EndpointGet, `{"id":"nonsense"}`, volume.ErrInvalidName, true},
	{EndpointGet, `{"Project":"default","volume":"a"}`, volume.ErrUnknownField, false},
	{EndpointGet, `{"project":"default","volume":null}`, volume.ErrInvalidArgument, false},
	{EndpointGet, `{"project":"default","volume":7}`, volume.ErrInvalidArgument, false},
	{EndpointGet, `[]`, volume.ErrInvalidPayload, false},
	{EndpointGet, `"default.db-01"`, volume.ErrInvalidPayload, false},
	{EndpointList, `{}`, nil, true},
	{EndpointList, `{"project":"p","states":["attached","error"],"node":"n1","backend":"local","labels":{"a":"b"},"drifted":true,` +
		`"name_prefix":"db-","filter":["state==attached,labels.team==db"],"include_deleted":true,"after":7,"limit":1000}`, nil, true},
	{EndpointList, `{"limit":1001}`, volume.ErrInvalidArgument, false},
	{EndpointList, `{"limit":-1}`, volume.ErrInvalidArgument, false},
	{EndpointList, `{"limit":1.5}`, volume.ErrInvalidArgument, false},
	{EndpointList, `{"after":-1}`, volume.ErrInvalidArgument, false},
	{EndpointList, `{"states":["broken"]}`, volume.ErrInvalidArgument, false},
	{EndpointList, `{"states":[null]}`, volume.ErrInvalidArgument, false},
	{EndpointList, `{"labels":{"a":null}}`, volume.ErrInvalidArgument, false},
	{EndpointList, `{"labels":[]}`, volume.ErrInvalidArgument, false},
	{EndpointList, `{"filter":["stat==attached"]}`, volume.ErrInvalidArgument, true},
	{EndpointList, `{"filter":["name~=("]}`, volume.ErrInvalidArgument, true},
	{EndpointList, `{"project":"p.*"}`, volume.ErrInvalidName, false},
	{EndpointList, `{"backend":"A"}`, volume.ErrInvalidArgument, true},
	{EndpointList, `{"node":"a b"}`, volume.ErrInvalidArgument, false},
	{EndpointList, `{"sort":"name"}`, volume.ErrUnknownField, false},
	{EndpointExplain, `{"project":"p","volume":"v"}`, nil, true},
	{EndpointExplain, `{"project":"p"}`, volume.ErrInvalidName, false},
	{EndpointHistory, `{"project":"p","volume":"v","after":3,"limit":10}`, nil, true},
	{EndpointHistory, `{"project":"p","volume":"v","limit":100000}`, volume.ErrInvalidArgument, false},
	{EndpointWorkers, `{}`, nil, true},
	{EndpointWorkers, `{"verbose":true}`, volume.ErrUnknownField, false},
}

// decoders read the request of each endpoint.
var decoders = map[Endpoint]func([]byte) (request, error){
	EndpointGet:          func(data []byte) (request, error) { return decode[GetRequest](data) },
	EndpointList:         func(data []byte) (request, error) { return decode[ListRequest](data) },
	EndpointExplain:      func(data []byte) (request, error) { return decode[ExplainRequest](data) },
	EndpointHistory:      func(data []byte) (request, error) { return decode[HistoryRequest](data) },
	EndpointCapabilities: func(data []byte) (request, error) { return decode[NoRequest](data) },
	EndpointBackends:     func(data []byte) (request, error) { return decode[NoRequest](data) },
	EndpointWorkers:      func(data []byte) (request, error) { return decode[NoRequest](data) },
	EndpointPartitions:   func(data []byte) (request, error) { return decode[NoRequest](data) },
	EndpointHealth:       func(data []byte) (request, error) { return decode[NoRequest](data) },
}

// The schema accepts what the decoder accepts, and refuses what the decoder refuses
// wherever a schema can say so.
func TestRequestSchemas_AgreeWithTheDecoder(t *testing.T) {
	for _, c := range requests {
		schema, err := RequestSchema(c.endpoint)
		if err != nil {
			t.Fatal(err)
		}
		if err := validate(t, schema, []byte(c.data)); (err == nil) != c.schemaAccepts {
			t.Errorf("%s %s: got %v, want it accepted: %v", c.endpoint, c.data, err, c.schemaAccepts)
		}
	}
}

func TestSchemas_NoEndpoint_Refused(t *testing.T) {
	for _, endpoint := range []Endpoint{"", "error", "../schema", "get.request"} {
		if _, err := RequestSchema(endpoint); volume.ClassOf(err) != volume.InvalidArgument {
			t.Errorf("%q: got %v, want %v", endpoint, err, volume.InvalidArgument)
		}
	}
	if len(exchanges) != len(Endpoints()) || len(descriptions) != len(Endpoints()) || len(answerers) != len(Endpoints()) {
		t.Error("an endpoint without types, description or answer")
	}
	if !json.Valid(ErrorSchema()) {
		t.Error("the schema of an error is no JSON")
	}
}
