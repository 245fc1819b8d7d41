package volume_test

import (
	"encoding/json"
	"reflect"
	"testing"
	"time"

	"github.com/jetvol/jetvol/volume"
)

func TestDrift_String_TellsAllDifferences(t *testing.T) {
	drift := &volume.Drift{Differences: []volume.Difference{
		{Kind: volume.DriftNode, Wanted: "n1"}, {Kind: volume.DriftSize, Wanted: "1GiB", Actual: "2GiB"},
	}}
	const want = "node: wanted n1, actual nothing; size: wanted 1GiB, actual 2GiB"
	if got := drift.String(); got != want {
		t.Errorf("got %q, want %q", got, want)
	}
	if got := (*volume.Drift)(nil).String(); got != "" {
		t.Errorf("got %q of none, want nothing", got)
	}
}

func TestDrift_Same_LooksAtDifferencesOnly(t *testing.T) {
	size := []volume.Difference{{Kind: volume.DriftSize, Wanted: "1GiB", Actual: "2GiB"}}
	early, late := &volume.Drift{Differences: size}, &volume.Drift{FoundAt: time.Unix(1, 0), Differences: size}
	if !early.Same(late) {
		t.Error("got another drift for the time it was found at")
	}
	if early.Same(nil) || (*volume.Drift)(nil).Same(late) || !(*volume.Drift)(nil).Same(nil) {
		t.Error("got a drift that is the same as none")
	}
	if early.Same(&volume.Drift{Differences: []volume.Difference{{Kind: volume.DriftNode}}}) {
		t.Error("got the same drift for other differences")
	}
}

// Until a drift had its differences apart it was a text.
func TestDrift_UnmarshalJSON_ReadsTheTextOfBefore(t *testing.T) {
	var spec volume.Spec
	if err := json.Unmarshal([]byte(`{"drift":"backend: absent"}`), &spec); err != nil {
		t.Fatal(err)
	}
	want := &volume.Drift{Differences: []volume.Difference{{Actual: "backend: absent"}}}
	if !reflect.DeepEqual(spec.Drift, want) {
		t.Errorf("got %+v, want %+v", spec.Drift, want)
	}
	for _, bad := range []string{`{"drift":5}`, `{"drift":{"differences":{}}}`, `{"drift":"\ud8"}`} {
		if err := json.Unmarshal([]byte(bad), &spec); err == nil {
			t.Errorf("%s: got no error", bad)
		}
	}
}
