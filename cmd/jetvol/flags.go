package main

import (
	"fmt"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/spf13/pflag"

	"github.com/jetvol/jetvol/volume"
)

// The types below are values of flags. A bad value is an error of usage before anything
// is done.
var (
	_ pflag.Value = (*oneOf[string])(nil)
	_ pflag.Value = (*manyOf[string])(nil)
	_ pflag.Value = (*size)(nil)
	_ pflag.Value = (*snapshotKey)(nil)
	_ pflag.Value = (*labels)(nil)
	_ pflag.Value = (*moment)(nil)
	_ pflag.Value = (*sequence)(nil)
)

// oneOf is a word out of a list.
type oneOf[T ~string] struct {
	value   *T
	allowed []T
	kind    string // what the help calls it
}

func (f *oneOf[T]) String() string {
	if f.value == nil {
		return ""
	}
	return string(*f.value)
}

func (f *oneOf[T]) Type() string { return f.kind }

func (f *oneOf[T]) Set(text string) error {
	if !slices.Contains(f.allowed, T(text)) {
		return fmt.Errorf("want one of %s", strings.Join(words(f.allowed), ", "))
	}
	*f.value = T(text)
	return nil
}

// manyOf is a flag that may be given several times, each with a word out of a list.
type manyOf[T ~string] struct {
	values  *[]T
	allowed []T
	kind    string
}

func (f *manyOf[T]) String() string {
	if f.values == nil {
		return ""
	}
	return strings.Join(words(*f.values), ",")
}

func (f *manyOf[T]) Type() string { return f.kind }

func (f *manyOf[T]) Set(text string) error {
	var value T
	if err := (&oneOf[T]{&value, f.allowed, f.kind}).Set(text); err != nil {
		return err
	}
	*f.values = append(*f.values, value)
	return nil
}

func words[T ~string](values []T) []string {
	texts := make([]string, len(values))
	for i, value := range values {
		texts[i] = string(value)
	}
	return texts
}

// size is "10GiB" or a number of bytes.
type size volume.Bytes

func (s *size) String() string {
	if *s == 0 {
		return ""
	}
	return volume.Bytes(*s).String()
}

func (s *size) Type() string { return "SIZE" }

func (s *size) Set(text string) error {
	bytes, err := volume.ParseBytes(text)
	if err != nil {
		return err
	}
	*s = size(bytes)
	return bytes.ValidateSize()
}

// snapshotKey is "db-01@before-upgrade".
type snapshotKey volume.SnapshotKey

func (k *snapshotKey) String() string { return volume.SnapshotKey(*k).String() }
func (k *snapshotKey) Type() string   { return "VOLUME@SNAPSHOT" }

func (k *snapshotKey) Set(text string) error {
	key, err := volume.ParseSnapshotKey(text)
	*k = snapshotKey(key)
	return err
}

// labels is a flag that may be given several times, each with KEY=VALUE. Values may
// contain anything, commas included.
type labels volume.Labels

func (l *labels) String() string { return "" }
func (l *labels) Type() string   { return "KEY=VALUE" }

func (l *labels) Set(text string) error {
	key, value, found := strings.Cut(text, "=")
	if !found {
		return fmt.Errorf("want KEY=VALUE")
	}
	if *l == nil {
		*l = labels{}
	}
	(*l)[key] = value
	return volume.Labels(*l).Validate()
}

// moment is a time of RFC 3339, or a duration from now: forward, or back if it is past.
type moment struct {
	time.Time
	past bool
}

func (m *moment) String() string { return "" }
func (m *moment) Type() string   { return "TIME|DURATION" }

func (m *moment) Set(text string) error {
	if distance, err := time.ParseDuration(text); err == nil {
		if m.past {
			distance = -distance
		}
		m.Time = time.Now().Add(distance).UTC().Round(0)
		return nil
	}
	stamp, err := time.Parse(time.RFC3339, text)
	if err != nil {
		return fmt.Errorf("want a time like 2030-01-31T12:00:00Z or a duration like 30s")
	}
	m.Time = stamp.UTC()
	return nil
}

// sequence is a decimal number. It may begin with zeros, as in the events that jetvol
// prints; pflag's own numbers would read those as octal.
type sequence uint64

func (s *sequence) String() string {
	if *s == 0 {
		return ""
	}
	return strconv.FormatUint(uint64(*s), 10)
}

func (s *sequence) Type() string { return "SEQUENCE" }

func (s *sequence) Set(text string) error {
	number, err := strconv.ParseUint(text, 10, 64)
	if err != nil {
		return fmt.Errorf("want a number, 0 or more")
	}
	*s = sequence(number)
	return nil
}
