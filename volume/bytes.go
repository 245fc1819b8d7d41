package volume

import (
	"encoding/json"
	"math"
	"strconv"
	"strings"
)

// Bytes is a size. Its text form is a decimal count with an optional unit, either
// binary (KiB, MiB, GiB, TiB, PiB) or decimal (kB, MB, GB, TB, PB).
type Bytes int64

// Binary units.
const (
	KiB Bytes = 1 << (10 * (iota + 1))
	MiB
	GiB
	TiB
	PiB
)

// MaxSize is the largest volume that jetvol accepts. A backend may refuse earlier.
const MaxSize = PiB

// units is in the order in which String tries the binary ones: largest first.
var units = []struct {
	suffix string
	bytes  Bytes
	binary bool
}{
	{"PiB", PiB, true},
	{"TiB", TiB, true},
	{"GiB", GiB, true},
	{"MiB", MiB, true},
	{"KiB", KiB, true},
	{"PB", 1e15, false},
	{"TB", 1e12, false},
	{"GB", 1e9, false},
	{"MB", 1e6, false},
	{"kB", 1e3, false},
	{"B", 1, false},
}

// ParseBytes reads "10GiB", "500MB" or "1048576". Signs, fractions, exponents and
// white space are refused. It returns an [ErrInvalidSize] that quotes s; the range of
// a volume's size is not checked here but by [Bytes.ValidateSize].
func ParseBytes(s string) (Bytes, error) {
	digits, unit := s, Bytes(1)
	for _, u := range units {
		if rest, ok := strings.CutSuffix(s, u.suffix); ok {
			digits, unit = rest, u.bytes
			break
		}
	}
	if digits == "" || strings.Trim(digits, "0123456789") != "" {
		return 0, Errorf(ErrInvalidSize, "size %.40q: want a whole number of bytes or one with a unit, like 10GiB", s)
	}
	n, err := strconv.ParseInt(digits, 10, 64)
	if err != nil || n > math.MaxInt64/int64(unit) {
		return 0, Errorf(ErrInvalidSize, "size %.40q: larger than %s", s, MaxSize)
	}
	return Bytes(n) * unit, nil
}

// ValidateSize returns an [ErrInvalidSize] unless 0 < b ≤ [MaxSize].
func (b Bytes) ValidateSize() error {
	switch {
	case b <= 0:
		return Errorf(ErrInvalidSize, "size %d: want more than 0 bytes", int64(b))
	case b > MaxSize:
		return Errorf(ErrInvalidSize, "size %s: larger than %s", b, MaxSize)
	}
	return nil
}

// String returns the shortest exact form with a binary unit: "10GiB", "1536MiB", "1000B".
func (b Bytes) String() string {
	for _, u := range units {
		if u.binary && b != 0 && b%u.bytes == 0 {
			return strconv.FormatInt(int64(b/u.bytes), 10) + u.suffix
		}
	}
	return strconv.FormatInt(int64(b), 10) + "B"
}

// UnmarshalJSON reads a JSON string as [ParseBytes] does, or a JSON integer of bytes.
// Records and events are written with integers, people write "10GiB".
func (b *Bytes) UnmarshalJSON(data []byte) error {
	text := string(data)
	if strings.HasPrefix(text, `"`) {
		var quoted string
		if err := json.Unmarshal(data, &quoted); err != nil {
			return Errorf(ErrInvalidSize, "size %.40q: not a JSON string", data)
		}
		text = quoted
	} else if strings.HasPrefix(text, "-") {
		return Errorf(ErrInvalidSize, "size %.40s: want more than 0 bytes", text)
	} else if strings.Trim(text, "0123456789") != "" {
		return Errorf(ErrInvalidSize, "size %.40s: want a whole number of bytes or a text like \"10GiB\"", text)
	}
	parsed, err := ParseBytes(text)
	if err != nil {
		return err
	}
	*b = parsed
	return nil
}
