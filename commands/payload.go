package commands

import (
	"bytes"
	"encoding/json"
	"maps"
	"slices"
	"unicode/utf8"

	"github.com/jetvol/jetvol/volume"
)

// Limits of a payload. The greatest valid one, with all labels of full length, needs
// less than 64 KiB, and two levels.
const (
	MaxPayload = 64 << 10 // bytes
	MaxDepth   = 8        // objects and arrays within each other
)

// decodePayload reads the arguments of a command of the given verb. An empty payload is
// an empty object. It returns [volume.ErrUnknownVerb], [volume.ErrPayloadTooLarge],
// [volume.ErrInvalidPayload], [volume.ErrUnknownField], [volume.ErrInvalidSize] or
// [volume.ErrInvalidArgument], the last three with the field's name.
func decodePayload(verb volume.Verb, data []byte) (volume.Args, volume.Preconditions, error) {
	var draft volume.Command
	if err := validateVerb(verb); err != nil {
		return draft.Args, draft.Preconditions, err
	}
	object, err := parseObject(data)
	if err != nil {
		return draft.Args, draft.Preconditions, err
	}
	err = setFields(&draft, verb, object)
	return draft.Args, draft.Preconditions, err
}

// setFields sets every field of the object on the draft, in the order of their names so
// that the same payload always has the same error.
func setFields(draft *volume.Command, verb volume.Verb, object map[string]json.RawMessage) error {
	fields := payloadFields[verb]
	for _, name := range slices.Sorted(maps.Keys(object)) {
		if !slices.Contains(fields, name) {
			return volume.Errorf(volume.ErrUnknownField, "field %.64q: %s has %s", name, verb, list(fields))
		}
		if err := setField(draft, name, object[name]); err != nil {
			return err
		}
	}
	if err := checkGiven(verb, object); err != nil {
		return err
	}
	if draft.Args.ReadOnly && draft.Args.Source.IsZero() {
		return volume.Errorf(faultOf("read_only"), "field %q: only a clone can be read only: %q is missing", "read_only", "source")
	}
	if verb == volume.VerbAttach && draft.Args.Mode == "" {
		draft.Args.Mode = volume.ReadWrite
	}
	return nil
}

// checkGiven returns an error for the first field that the verb needs and does not have.
func checkGiven(verb volume.Verb, object map[string]json.RawMessage) error {
	given := func(name string) bool { return object[name] != nil }
	for _, name := range shapes[verb].required {
		if !given(name) {
			return volume.Errorf(faultOf(name), "field %q: %s needs it", name, verb)
		}
	}
	if either := shapes[verb].either; len(either) > 0 && !slices.ContainsFunc(either, given) {
		return volume.Errorf(faultOf(either[0]), "field %q: %s needs one of %s", either[0], verb, list(either))
	}
	return nil
}

// parseObject splits a JSON object into its members, whose names are kept exactly as
// they are: encoding/json's own struct decoding would take "SIZE" for "size", and the
// last of two members with one name.
func parseObject(data []byte) (map[string]json.RawMessage, error) {
	if len(data) > MaxPayload {
		return nil, volume.Errorf(volume.ErrPayloadTooLarge, "payload of %d bytes: at most %d", len(data), MaxPayload)
	}
	if !utf8.Valid(data) {
		return nil, volume.Errorf(volume.ErrInvalidPayload, "payload: not valid UTF-8")
	}
	data = bytes.TrimSpace(data)
	if len(data) == 0 {
		return nil, nil
	}
	var object map[string]json.RawMessage
	if data[0] != '{' {
		var whole json.RawMessage
		if err := json.Unmarshal(data, &whole); err != nil {
			return nil, volume.Errorf(volume.ErrInvalidPayload, "payload: not JSON: %w", err)
		}
		return nil, volume.Errorf(volume.ErrInvalidPayload, "payload: want a JSON object")
	}
	if err := json.Unmarshal(data, &object); err != nil {
		return nil, volume.Errorf(volume.ErrInvalidPayload, "payload: not JSON: %w", err)
	}
	if namesOnce(data, object) {
		return object, nil
	}
	tokens := json.NewDecoder(bytes.NewReader(data))
	tokens.UseNumber()
	if err := checkValue(tokens, 1); err != nil {
		return nil, err
	}
	return object, nil
}

// namesOnce reports whether a valid JSON object, with the given members, names none twice,
// nor do the objects in it. It gives up, with false, on arrays and on what is nested deeper
// than any good payload: that and what to say of it is for [checkValue], which allocates
// more than all the rest of the decoding.
func namesOnce(object []byte, members map[string]json.RawMessage) bool {
	if countMembers(object) != len(members) {
		return false
	}
	for _, value := range members {
		switch value[0] {
		case '[':
			return false
		case '{':
			var inner map[string]json.RawMessage
			if err := json.Unmarshal(value, &inner); err != nil || countMembers(value) != len(inner) || bytes.ContainsAny(value[1:], "{[") {
				return false
			}
		}
	}
	return true
}

// countMembers returns how many members a valid JSON object has, whatever their names.
func countMembers(object []byte) int {
	members, depth, quoted := 0, 0, false
	for i := 0; i < len(object); i++ {
		switch char := object[i]; {
		case quoted && char == '\\':
			i++ // what is escaped may be a quote
		case char == '"':
			quoted = !quoted
		case quoted:
		case char == '{' || char == '[':
			depth++
		case char == '}' || char == ']':
			depth--
		case char == ':' && depth == 1:
			members++
		}
	}
	return members
}

// checkValue reads the next value and returns a [volume.ErrInvalidPayload] if it is
// nested too deep or an object in it names a member twice.
func checkValue(tokens *json.Decoder, depth int) error {
	token, err := tokens.Token()
	if err != nil {
		return volume.Errorf(volume.ErrInvalidPayload, "payload: not JSON: %w", err)
	}
	opening, composite := token.(json.Delim)
	if !composite {
		return nil
	}
	if depth > MaxDepth {
		return volume.Errorf(volume.ErrInvalidPayload, "payload: nested deeper than %d levels", MaxDepth)
	}
	names := map[json.Token]bool{}
	for tokens.More() {
		if opening == '{' {
			if err := checkName(tokens, names); err != nil {
				return err
			}
		}
		if err := checkValue(tokens, depth+1); err != nil {
			return err
		}
	}
	_, err = tokens.Token() // the closing bracket
	return err
}

// checkName reads the next member's name and returns a [volume.ErrInvalidPayload] if
// seen has it.
func checkName(tokens *json.Decoder, seen map[json.Token]bool) error {
	name, err := tokens.Token()
	if err != nil {
		return volume.Errorf(volume.ErrInvalidPayload, "payload: not JSON: %w", err)
	}
	if seen[name] {
		return volume.Errorf(volume.ErrInvalidPayload, "payload: member %.64q twice", name)
	}
	seen[name] = true
	return nil
}
