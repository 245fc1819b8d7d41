package volume_test

import (
	"encoding/json"
	"errors"
	"fmt"
	"math"
	"strconv"
	"testing"

	"pgregory.net/rapid"

	"github.com/jetvol/jetvol/volume"
)

func ExampleParseBytes() {
	size, err := volume.ParseBytes("1536MiB")
	fmt.Println(int64(size), size, err)
	_, err = volume.ParseBytes("1.5GiB")
	fmt.Println(err)
	// Output:
	// 1610612736 1536MiB <nil>
	// size "1.5GiB": want a whole number of bytes or one with a unit, like 10GiB: invalid_size
}

func TestParseBytes(t *testing.T) {
	const refused = -1
	tests := []struct {
		text string
		want volume.Bytes
	}{
		{"0", 0},
		{"1", 1},
		{"1B", 1},
		{"007", 7},
		{"10GiB", 10 << 30},
		{"1KiB", 1 << 10},
		{"1MiB", 1 << 20},
		{"1TiB", 1 << 40},
		{"1PiB", 1 << 50},
		{"1kB", 1e3},
		{"500MB", 500e6},
		{"2GB", 2e9},
		{"3TB", 3e12},
		{"4PB", 4e15},
		{"9223372036854775807", math.MaxInt64},
		{"8191PiB", 8191 << 50},

		{"", refused},
		{" ", refused},
		{" 1", refused},
		{"1 ", refused},
		{"1 GiB", refused},
		{"1\n", refused},
		{"１", refused}, // a full-width digit
		{"٣", refused}, // an Arabic digit
		{"-1", refused},
		{"+1", refused},
		{"1e3", refused},
		{"1e3GB", refused},
		{"1.5GiB", refused},
		{"0x10", refused},
		{"1_000", refused},
		{"GiB", refused},
		{"B", refused},
		{"1KB", refused},
		{"1gib", refused},
		{"1GiBB", refused},
		{"1GiBGiB", refused},
		{"1EiB", refused},
		{"9223372036854775808", refused}, // 2^63
		{"18446744073709551617", refused},
		{"8192PiB", refused}, // 2^63
		{"99999999999999999999GiB", refused},
		{"Inf", refused},
		{"NaN", refused},
		{"1\x00", refused},
		{"\xff1", refused},
	}
	for _, test := range tests {
		t.Run(strconv.Quote(test.text), func(t *testing.T) {
			got, err := volume.ParseBytes(test.text)
			if test.want == refused {
				if !errors.Is(err, volume.ErrInvalidSize) || got != 0 {
					t.Fatalf("got %d, %v, want 0 and %v", got, err, volume.ErrInvalidSize)
				}
				return
			}
			if err != nil || got != test.want {
				t.Fatalf("got %d, %v, want %d", got, err, test.want)
			}
		})
	}
}

func TestBytes_UnmarshalJSON(t *testing.T) {
	const refused = -1
	tests := []struct {
		json string
		want volume.Bytes
	}{
		{`0`, 0},
		{`1048576`, 1 << 20},
		{`"10GiB"`, 10 << 30},
		{`"1048576"`, 1 << 20},
		{`"10\u0047iB"`, 10 << 30}, // an escaped G is a G

		{`null`, refused},
		{`true`, refused},
		{`{}`, refused},
		{`[1]`, refused},
		{`-1`, refused},
		{`-0`, refused},
		{`1.0`, refused},
		{`1e3`, refused},
		{`9223372036854775808`, refused},
		{`""`, refused},
		{`"-1"`, refused},
		{`"1e3GB"`, refused},
		{`"1.5GiB"`, refused},
		{`" 1"`, refused},
		{`"１"`, refused},
	}
	for _, test := range tests {
		t.Run(test.json, func(t *testing.T) {
			got := volume.Bytes(42)
			err := json.Unmarshal([]byte(test.json), &got)
			if test.want == refused {
				if !errors.Is(err, volume.ErrInvalidSize) || got != 42 {
					t.Fatalf("got %d, %v, want it untouched and %v", got, err, volume.ErrInvalidSize)
				}
				return
			}
			if err != nil || got != test.want {
				t.Fatalf("got %d, %v, want %d", got, err, test.want)
			}
		})
	}
}

func TestBytes_ValidateSize(t *testing.T) {
	tests := []struct {
		size  volume.Bytes
		valid bool
	}{
		{math.MinInt64, false},
		{-1, false},
		{0, false},
		{1, true},
		{volume.MaxSize, true},
		{volume.MaxSize + 1, false},
		{math.MaxInt64, false},
	}
	for _, test := range tests {
		err := test.size.ValidateSize()
		if (err == nil) != test.valid || err != nil && !errors.Is(err, volume.ErrInvalidSize) {
			t.Errorf("size %d: got %v, want valid %v", test.size, err, test.valid)
		}
	}
}

func TestBytes_String(t *testing.T) {
	tests := []struct {
		size volume.Bytes
		want string
	}{
		{0, "0B"},
		{1, "1B"},
		{1000, "1000B"},
		{1024, "1KiB"},
		{1536 << 20, "1536MiB"},
		{1 << 50, "1PiB"},
		{-1024, "-1KiB"},
	}
	for _, test := range tests {
		if got := test.size.String(); got != test.want {
			t.Errorf("%d: got %q, want %q", int64(test.size), got, test.want)
		}
	}
}

func TestBytes_RoundTrip(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		want := volume.Bytes(rapid.Int64Min(0).Draw(t, "size"))
		if shift := rapid.IntRange(0, 50).Draw(t, "shift"); want<<shift>>shift == want {
			want <<= shift
		}
		if got, err := volume.ParseBytes(want.String()); err != nil || got != want {
			t.Fatalf("text %s: got %d, %v, want %d", want, got, err, want)
		}
		encoded, err := json.Marshal(want)
		if err != nil {
			t.Fatal(err)
		}
		var got volume.Bytes
		if err := json.Unmarshal(encoded, &got); err != nil || got != want {
			t.Fatalf("JSON %s: got %d, %v, want %d", encoded, got, err, want)
		}
	})
}

// FuzzParseBytes: whatever is accepted is in range and reads the same when printed.
func FuzzParseBytes(f *testing.F) {
	for _, seed := range []string{"0", "10GiB", "1e3GB", "9223372036854775807", "8192PiB", " 1", "１", ""} {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, text string) {
		size, err := volume.ParseBytes(text)
		if err != nil {
			if !errors.Is(err, volume.ErrInvalidSize) {
				t.Fatalf("got %v, want %v", err, volume.ErrInvalidSize)
			}
			return
		}
		if again, err := volume.ParseBytes(size.String()); size < 0 || err != nil || again != size {
			t.Fatalf("%q: got %d, then %d, %v", text, size, again, err)
		}
	})
}

// FuzzBytesUnmarshalJSON calls the method itself, also with what is not JSON.
func FuzzBytesUnmarshalJSON(f *testing.F) {
	for _, seed := range []string{`1`, `"10GiB"`, `-1`, `null`, `"`, `"\ud800"`, ``} {
		f.Add([]byte(seed))
	}
	f.Fuzz(func(t *testing.T, data []byte) {
		var size volume.Bytes
		err := size.UnmarshalJSON(data)
		if size < 0 || err != nil && (size != 0 || !errors.Is(err, volume.ErrInvalidSize)) {
			t.Fatalf("%q: got %d, %v", data, size, err)
		}
	})
}
