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
// does not have are let pass when the version is ours: jetvol raises the version with
// every field that it adds, so they are somebody else's, and the next write drops them.
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
var (
	keyPattern    = regexp.MustCompile(`^[-/_=a-zA-Z0-9]+(?:\.[-/_=a-zA-Z0-9]+)*$`)
	filterPattern = regexp.MustCompile(`^(?:>|(?:\*|[-/_=a-zA-Z0-9]+)(?:\.(?:\*|[-/_=a-zA-Z0-9]+))*(?:\.>)?)$`)
)

func validateKey(key string) error {
	if !keyPattern.MatchString(key) {
		return fmt.Errorf("%w: key %.80q: want tokens of letters, digits and -/_= joined by dots", ErrInvalid, key)
	}
	return nil
}

func validateFilter(filter string) error {
	if !filterPattern.MatchString(filter) {
		return fmt.Errorf("%w: filter %.80q: want a key in which * stands for a token and a last > for the rest",
			ErrInvalid, filter)
	}
	return nil
}
