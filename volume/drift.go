package volume

import (
	"encoding/json"
	"fmt"
	"slices"
	"strings"
	"time"
)

// DriftKind says in what a backend and a record differ.
type DriftKind string

// The kinds of drift. They cross the wire: append only.
const (
	DriftGhost     DriftKind = "ghost"     // recorded, and the backend does not have it
	DriftOrphan    DriftKind = "orphan"    // the backend has it, and no record does
	DriftOwner     DriftKind = "owner"     // the backend has another one's in its place
	DriftSize      DriftKind = "size"      // of the volume, in bytes
	DriftNode      DriftKind = "node"      // who holds the volume
	DriftSnapshots DriftKind = "snapshots" // how many the volume has
)

// Difference is one way in which a backend is not as the record says.
type Difference struct {
	Kind   DriftKind `json:"kind"`
	Wanted string    `json:"wanted"` // by the record, empty for nothing
	Actual string    `json:"actual"` // at the backend, empty for nothing
}

// String returns `size: wanted 1GiB, actual 2GiB`.
func (d Difference) String() string {
	return fmt.Sprintf("%s: wanted %s, actual %s", d.Kind, orNothing(d.Wanted), orNothing(d.Actual))
}

func orNothing(text string) string {
	if text == "" {
		return "nothing"
	}
	return text
}

// Drift is what a comparison of a volume with its backend found to differ. Records and
// events share it, so it is never changed in place.
type Drift struct {
	// FoundAt is when the difference was seen first, by the clock of the worker.
	FoundAt     time.Time    `json:"found_at"`
	Differences []Difference `json:"differences"`
}

// Same reports whether both found the same, whenever that was. Nil has found nothing.
func (d *Drift) Same(other *Drift) bool {
	if d == nil || other == nil {
		return d == other
	}
	return slices.Equal(d.Differences, other.Differences)
}

// String tells all differences, separated by semicolons; empty for nil.
func (d *Drift) String() string {
	if d == nil {
		return ""
	}
	texts := make([]string, len(d.Differences))
	for i, one := range d.Differences {
		texts[i] = one.String()
	}
	return strings.Join(texts, "; ")
}

// UnmarshalJSON also reads the text that stood in records and events before a drift had
// its differences apart.
func (d *Drift) UnmarshalJSON(data []byte) error {
	if strings.HasPrefix(string(data), `"`) {
		var text string
		if err := json.Unmarshal(data, &text); err != nil {
			return err
		}
		*d = Drift{Differences: []Difference{{Actual: text}}}
		return nil
	}
	type plain Drift
	return json.Unmarshal(data, (*plain)(d))
}
