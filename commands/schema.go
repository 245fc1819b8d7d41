package commands

import (
	"embed"

	"github.com/jetvol/jetvol/volume"
)

//go:embed schemas/*.schema.json
var schemas embed.FS

// Schema returns the JSON Schema (draft 2020-12) of the payload of a verb. It returns
// [volume.ErrUnknownVerb] if there is no such verb. A schema says less than [Decode]
// checks: not that no member is named twice, nor how deep and long a payload may be.
func Schema(verb volume.Verb) ([]byte, error) {
	if err := validateVerb(verb); err != nil {
		return nil, err
	}
	return readSchema(string(verb)), nil
}

// ReplySchema returns the JSON Schema (draft 2020-12) of a [Reply].
func ReplySchema() []byte { return readSchema("reply") }

func readSchema(name string) []byte {
	data, err := schemas.ReadFile("schemas/" + name + ".schema.json")
	if err != nil {
		panic("commands: every verb has an embedded schema: " + err.Error())
	}
	return data
}
