package config

import (
	"cmp"
	"fmt"
	"slices"
	"strings"

	"github.com/jetvol/jetvol/volume"
)

// Fault is one thing that is wrong with a file.
type Fault struct {
	File string `json:"file"`
	// Line and Column count from 1; 0 is not known.
	Line   int `json:"line,omitempty"`
	Column int `json:"column,omitempty"`
	// Key is where in the file, such as "backends.ceph-ssd.pool"; empty for the whole.
	Key     string `json:"key,omitempty"`
	Message string `json:"message"`
}

// String returns `file:line:column: key: message`.
func (f Fault) String() string {
	text := f.File
	if f.Line > 0 {
		text += fmt.Sprintf(":%d:%d", f.Line, f.Column)
	}
	if f.Key != "" {
		text += ": " + f.Key
	}
	return text + ": " + f.Message
}

// FaultsError holds all faults of a file in the order of their lines. It is a
// [volume.ErrInvalidArgument].
type FaultsError struct{ Faults []Fault }

// Error returns the faults, one a line.
func (e *FaultsError) Error() string {
	lines := make([]string, len(e.Faults))
	for i, fault := range e.Faults {
		lines[i] = fault.String()
	}
	return strings.Join(lines, "\n")
}

// Unwrap returns the code and its class.
func (e *FaultsError) Unwrap() []error {
	return []error{volume.ErrInvalidArgument, volume.InvalidArgument}
}

// err returns the faults found so far, or nil.
func (r *reader) err() error {
	if len(r.faults) == 0 {
		return nil
	}
	slices.SortStableFunc(r.faults, func(a, b Fault) int {
		return cmp.Or(cmp.Compare(a.Line, b.Line), cmp.Compare(a.Column, b.Column))
	})
	return &FaultsError{r.faults}
}
