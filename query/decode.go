package query

import (
	"bytes"
	"encoding/json"
	"reflect"
	"slices"
	"strings"
	"unicode/utf8"

	"github.com/jetvol/jetvol/volume"
)

// maxRequest bounds a request, in bytes; the greatest filters and labels need half of it.
const maxRequest = 32 << 10

// request is what every request can do.
type request interface{ Validate() error }

// decode reads a request, of which nothing is let pass that is not understood. It
// returns [volume.ErrPayloadTooLarge], [volume.ErrInvalidPayload], and with the name of
// the field [volume.ErrUnknownField] and [volume.ErrInvalidArgument]; further what the
// request's own check returns.
func decode[T request](data []byte) (T, error) {
	var wanted, none T
	if len(data) > maxRequest {
		return none, volume.Errorf(volume.ErrPayloadTooLarge, "request of %d bytes: at most %d", len(data), maxRequest)
	}
	if len(bytes.TrimSpace(data)) == 0 {
		data = []byte("{}")
	}
	if !utf8.Valid(data) || !json.Valid(data) {
		return none, volume.Errorf(volume.ErrInvalidPayload, "request: not JSON in UTF-8")
	}
	if err := setFields(reflect.ValueOf(&wanted).Elem(), data); err != nil {
		return none, err
	}
	if err := wanted.Validate(); err != nil {
		return none, err
	}
	return wanted, nil
}

// setFields reads the members of a JSON object one by one: encoding/json by itself would
// take "LIMIT" for "limit", null for nothing, and the last of two members of one name.
func setFields(target reflect.Value, data []byte) error {
	members := json.NewDecoder(bytes.NewReader(data))
	if start, err := members.Token(); err != nil || start != json.Delim('{') {
		return volume.Errorf(volume.ErrInvalidPayload, "request: want a JSON object")
	}
	var seen []string
	for members.More() {
		token, err := members.Token()
		if err != nil {
			return volume.Errorf(volume.ErrInvalidPayload, "request: %w", err)
		}
		name, _ := token.(string) // of a member, which is a string in valid JSON
		if slices.Contains(seen, name) {
			return volume.Errorf(volume.ErrInvalidPayload, "field %.64q: twice", name)
		}
		seen = append(seen, name)
		var raw json.RawMessage
		if err := members.Decode(&raw); err != nil {
			return volume.Errorf(volume.ErrInvalidPayload, "field %.64q: %w", name, err)
		}
		if err := setField(target, name, raw); err != nil {
			return err
		}
	}
	return nil
}

func setField(target reflect.Value, name string, raw json.RawMessage) error {
	names := fieldNames(target.Type())
	at := slices.Index(names, name)
	if at < 0 {
		return volume.Errorf(volume.ErrUnknownField, "field %.64q: there is %s", name, list(names))
	}
	if hasNull(raw) {
		return volume.Errorf(volume.ErrInvalidArgument, "field %q: null", name)
	}
	if err := json.Unmarshal(raw, target.Field(at).Addr().Interface()); err != nil {
		return volume.Errorf(volume.ErrInvalidArgument, "field %q: %.40s: want %s", name, raw, kindOf(target.Field(at).Type()))
	}
	return nil
}

// hasNull reports whether a value is null, or an array or object with a null in it.
func hasNull(raw json.RawMessage) bool {
	tokens := json.NewDecoder(bytes.NewReader(raw))
	for {
		token, err := tokens.Token()
		if err != nil {
			return false // the end
		}
		if token == nil {
			return true
		}
	}
}

// fieldNames returns the JSON names of a struct's fields in their order.
func fieldNames(of reflect.Type) []string {
	var names []string
	for i := range of.NumField() {
		name, _, _ := strings.Cut(of.Field(i).Tag.Get("json"), ",")
		names = append(names, name)
	}
	return names
}

// kindOf is how people call what a field takes.
func kindOf(t reflect.Type) string {
	switch t.Kind() {
	case reflect.Bool:
		return "true or false"
	case reflect.Int, reflect.Uint64:
		return "an integer"
	case reflect.Slice:
		return "an array of texts"
	case reflect.Map:
		return "an object of texts"
	default:
		return "a text"
	}
}

// list returns the values as people read them: "a, b, c".
func list[T ~string](values []T) string {
	if len(values) == 0 {
		return "none"
	}
	texts := make([]string, len(values))
	for i, value := range values {
		texts[i] = string(value)
	}
	return strings.Join(texts, ", ")
}
