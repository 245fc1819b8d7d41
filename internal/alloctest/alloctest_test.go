package alloctest

import (
	"errors"
	"testing"
)

var kept []byte

// TestWork_OverItsBound_IsRefused shows that the check can fail.
func TestWork_OverItsBound_IsRefused(t *testing.T) {
	if Race {
		t.Skip("nothing is measured under the race detector")
	}
	twice := Work{Name: "work=twice", Allocs: 2, Do: func() error {
		kept = make([]byte, 100)
		kept = make([]byte, 200)
		return nil
	}}
	for extra := range Margin + 3 {
		got, err := twice.measure(extra)
		if err != nil || got != float64(2+extra) {
			t.Errorf("%d planted: got %v allocations and %v, want %d", extra, got, err, 2+extra)
		}
		if refused := twice.check(got) != nil; refused != (extra > Margin) {
			t.Errorf("%d planted: refused %v, want %v", extra, refused, extra > Margin)
		}
	}
}

func TestWork_ThatFails_IsTold(t *testing.T) {
	broken := errors.New("broken")
	if _, err := (Work{Do: func() error { return broken }}).measure(0); !errors.Is(err, broken) {
		t.Errorf("got %v, want %v", err, broken)
	}
}
