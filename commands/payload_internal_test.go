package commands

import (
	"bytes"
	"encoding/json"
	"errors"
	"testing"

	"github.com/jetvol/jetvol/volume"
)

// FuzzParseObject_AsByTokens: what is taken without reading its tokens has no fault that
// reading them would find, and what is refused has one.
func FuzzParseObject_AsByTokens(f *testing.F) {
	for _, seed := range []string{
		``, `{}`, `{"a":1}`, `{"a":1,"b":"x"}`, `{"a":1,"a":2}`, `{"a":":\"{[","b":"\\"}`, `{"a":1,"\u0061":2}`,
		`{"a":{"b":1,"b":2}}`, `{"a":[{"b":1},{"b":1}]}`, `{"a":[[[[[[[[[1]]]]]]]]]}`, `{"a":1}{`, `{"a":1} x`, `[1]`, `null`,
		`{"\ud800":1,"\ud801":2}`, `{"":1,"":2}`, `{"a":"}","a":"{"}`, `{"a":tru}`, ` {"a" : 1 , "b" : [] } `,
	} {
		f.Add([]byte(seed))
	}
	f.Fuzz(func(t *testing.T, data []byte) {
		object, err := parseObject(data)
		if err != nil {
			if !errors.Is(err, volume.ErrInvalidPayload) && !errors.Is(err, volume.ErrPayloadTooLarge) {
				t.Errorf("got %v, want a fault of the payload", err)
			}
			return
		}
		if data = bytes.TrimSpace(data); len(data) == 0 {
			return
		}
		if !json.Valid(data) || data[0] != '{' {
			t.Fatalf("%q was taken for an object", data)
		}
		if err := checkValue(json.NewDecoder(bytes.NewReader(data)), 1); err != nil {
			t.Errorf("%q: got %d members, want %v", data, len(object), err)
		}
	})
}
