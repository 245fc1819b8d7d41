package kv

import (
	"bytes"
	"encoding/json"
	"fmt"
	"regexp"

	"github.com/jetvol/jetvol/volume"
)

// decode reads a record of type T: one JSON object. It returns an [ErrSchema] if the
// object has a schema_version greater than [volume.SchemaVersion], and an [ErrCorrupt]
// if it is no T.
//
// The version is read first, since a newer record may not fit T at all. Fields that T
// does not have are let pass when the version is ours, and the next write drops them: from the
// first release on they are somebody else's, see [volume.SchemaVersion].
func decode[T any](data []byte) (T, error) {
	var value T
	var head struct {
		SchemaVersion int `json:"schema_version"`
	}
	if !bytes.HasPrefix(bytes.TrimLeft(data, " \t\r\n"), []byte("{")) {
		return value, fmt.Errorf("%w: want a JSON object", ErrCorrupt)
	}
	if err := json.Unmarshal(data, &head); err != nil {
		return value, fmt.Errorf("%w: %w", ErrCorrupt, err)
	}
	if head.SchemaVersion > volume.SchemaVersion {
		return value, fmt.Errorf("%w: version %d, this jetvol reads up to %d",
			ErrSchema, head.SchemaVersion, volume.SchemaVersion)
	}
	if err := json.Unmarshal(data, &value); err != nil {
		var none T
		return none, fmt.Errorf("%w: %w", ErrCorrupt, err)
	}
	return value, nil
}

func encode[T any](value T) ([]byte, error) {
	data, err := json.Marshal(value)
	if err != nil {
		return nil, fmt.Errorf("%w: %w", ErrInvalid, err)
	}
	return data, nil
}

// Keys and filters are subject tokens of the characters that the KeyValue API allows.
var filterPattern = regexp.MustCompile(`^(?:>|(?:\*|[-/_=a-zA-Z0-9]+)(?:\.(?:\*|[-/_=a-zA-Z0-9]+))*(?:\.>)?)$`)

func validateKey(key string) error {
	if !isKey(key) {
		return fmt.Errorf("%w: key %.80q: want tokens of letters, digits and -/_= joined by dots", ErrInvalid, key)
	}
	return nil
}

// isKey reports whether key is `[-/_=a-zA-Z0-9]+(\.[-/_=a-zA-Z0-9]+)*`. Every read and write
// asks, and as a regular expression it costs ten times as much.
func isKey(key string) bool {
	before := byte('.')
	for i := range len(key) {
		c := key[i]
		switch {
		case 'a' <= c && c <= 'z', 'A' <= c && c <= 'Z', '0' <= c && c <= '9':
		case c == '-', c == '/', c == '_', c == '=':
		case c == '.' && before != '.':
		default:
			return false
		}
		before = c
	}
	return before != '.'
}

func validateFilter(filter string) error {
	if !filterPattern.MatchString(filter) {
		return fmt.Errorf("%w: filter %.80q: want a key in which * stands for a token and a last > for the rest",
			ErrInvalid, filter)
	}
	return nil
}
