package query

import (
	"bytes"
	"embed"
	"encoding/json"
)

// The kinds of a schema, as they stand in its file's name.
const (
	requestKind = "request"
	replyKind   = "reply"
)

//go:embed schemas/*.schema.json
var schemas embed.FS

// RequestSchema returns the JSON Schema (draft 2020-12) of the endpoint's request. It
// returns [volume.ErrInvalidArgument] if there is no such endpoint. A schema says less
// than the service checks: not that no member is named twice, nor how long a request may
// be.
func RequestSchema(endpoint Endpoint) ([]byte, error) { return schema(endpoint, requestKind) }

// ReplySchema returns the JSON Schema of the endpoint's reply. Replies may get further
// members.
func ReplySchema(endpoint Endpoint) ([]byte, error) { return schema(endpoint, replyKind) }

// ErrorSchema returns the JSON Schema of an [ErrorReply].
func ErrorSchema() []byte { return mustRead("error") }

func schema(endpoint Endpoint, kind string) ([]byte, error) {
	if err := endpoint.validate(); err != nil {
		return nil, err
	}
	return mustSchema(endpoint, kind), nil
}

func mustSchema(endpoint Endpoint, kind string) []byte {
	return mustRead(string(endpoint) + "." + kind)
}

func mustRead(name string) []byte {
	data, err := schemas.ReadFile("schemas/" + name + ".schema.json")
	if err != nil {
		panic("query: every endpoint has embedded schemas: " + err.Error())
	}
	return data
}

// compact returns a schema on one line.
func compact(schema []byte) string {
	var line bytes.Buffer
	if err := json.Compact(&line, schema); err != nil {
		panic("query: embedded schemas are JSON: " + err.Error())
	}
	return line.String()
}
