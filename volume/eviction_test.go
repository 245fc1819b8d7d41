package volume_test

import (
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"

	"github.com/jetvol/jetvol/volume"
)

func TestValidateReason(t *testing.T) {
	for _, c := range []struct {
		name, reason string
		valid        bool
	}{
		{"Words", "rack 4 lost power, seen on its console", true},
		{"OneLetter", "x", true},
		{"OtherScript", "节点已死", true},
		{"Longest", strings.Repeat("x", volume.MaxReasonLength), true},
		{"None", "", false},
		{"Space", "   ", false},
		{"OtherSpace", "\u00a0\t", false},
		{"TooLong", strings.Repeat("x", volume.MaxReasonLength+1), false},
		{"TwoLines", "dead\nreally", false},
		{"Terminal", "dead\x1b[2J", false},
		{"BrokenUTF8", "dead\xff", false},
	} {
		t.Run(c.name, func(t *testing.T) {
			err := volume.ValidateReason(c.reason)
			if (err == nil) != c.valid || err != nil && !errors.Is(err, volume.ErrInvalidArgument) {
				t.Errorf("got %v, want valid %t", err, c.valid)
			}
		})
	}
}

func TestEviction_Fenced_AddsWhatIsNew(t *testing.T) {
	first := volume.Eviction{Node: "n1", Reason: "dead"}.Fenced([]string{"a", "b"})
	second := first.Fenced([]string{"b", "c"})
	if want := []string{"a", "b"}; !slices.Equal(first.Clients, want) {
		t.Errorf("first: got %q, want %q", first.Clients, want)
	}
	if want := []string{"a", "b", "c"}; !slices.Equal(second.Clients, want) || second.More != 0 {
		t.Errorf("second: got %q and %d more, want %q", second.Clients, second.More, want)
	}
}

func TestEviction_Fenced_ManyLongClients_AreBounded(t *testing.T) {
	var clients []string
	for i := range volume.MaxEvictedClients + 5 {
		clients = append(clients, fmt.Sprintf("%d-%s", i, strings.Repeat("ä", 500)))
	}
	e := volume.Eviction{}.Fenced(clients)
	if len(e.Clients) != volume.MaxEvictedClients || e.More != 5 {
		t.Errorf("got %d clients and %d more, want %d and 5", len(e.Clients), e.More, volume.MaxEvictedClients)
	}
	if got := len(e.Clients[0]); got > 140 {
		t.Errorf("length of a name: got %d, want it cut", got)
	}
}
