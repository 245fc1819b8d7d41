package volume_test

import (
	"reflect"
	"slices"
	"strings"
	"testing"

	"github.com/jetvol/jetvol/volume"
)

func reading(nodes ...volume.Node) volume.Attachments {
	var all volume.Attachments
	for _, node := range nodes {
		all = append(all, volume.Attachment{Node: node, Mode: volume.ReadOnly})
	}
	return all
}

var writer = volume.Attachment{Node: "n2", Mode: volume.ReadWrite}

func TestAttachments_Admits(t *testing.T) {
	for _, test := range []struct {
		name         string
		holders      volume.Attachments
		read, writes bool
	}{
		{"nobody", nil, true, true},
		{"one reader", reading("n1"), true, false},
		{"readers", reading("n1", "n3"), true, false},
		{"a writer", volume.Attachments{writer}, false, false},
		{"a writer beside a reader", reading("n1").With(writer), false, false},
	} {
		if read, writes := test.holders.Admits(volume.ReadOnly), test.holders.Admits(volume.ReadWrite); read != test.read || writes != test.writes {
			t.Errorf("%s: got %t for a reader and %t for a writer, want %t and %t", test.name, read, writes, test.read, test.writes)
		}
	}
}

func TestAttachments_WithAndWithout_KeepOrderAndLeaveTheirReceiver(t *testing.T) {
	given := make(volume.Attachments, 0, 8) // room in which a careless append would write
	given = append(given, reading("n1", "n3")...)
	before := slices.Clone(given[:cap(given)])
	for _, test := range []struct {
		name      string
		got, want volume.Attachments
	}{
		{"with one before all", given.With(reading("n0")[0]), reading("n0", "n1", "n3")},
		{"with one between", given.With(reading("n2")[0]), reading("n1", "n2", "n3")},
		{"with one behind all", given.With(reading("n4")[0]), reading("n1", "n3", "n4")},
		{"with the same node", given.With(volume.Attachment{Node: "n3", Mode: volume.ReadWrite}), append(reading("n1"), volume.Attachment{Node: "n3", Mode: volume.ReadWrite})},
		{"with the first", volume.Attachments(nil).With(reading("n1")[0]), reading("n1")},
		{"without the first", given.Without("n1"), reading("n3")},
		{"without the last", given.Without("n3"), reading("n1")},
		{"without a node that is not there", given.Without("n2"), reading("n1", "n3")},
		{"without the only one", reading("n1").Without("n1"), nil},
		{"without any of none", volume.Attachments(nil).Without("n1"), nil},
	} {
		if !reflect.DeepEqual(test.got, test.want) {
			t.Errorf("%s: got %#v, want %#v", test.name, test.got, test.want)
		}
	}
	if after := given[:cap(given)]; !reflect.DeepEqual(after, before) {
		t.Errorf("receiver: got %#v, want it as it was: %#v", after, before)
	}
}

func TestAttachments_Of(t *testing.T) {
	holders := reading("n1", "n3")
	if found, held := holders.Of("n3"); !held || found.Node != "n3" {
		t.Errorf("of n3: got %+v, %t, want it", found, held)
	}
	for _, node := range []volume.Node{"", "n0", "n2", "n4"} {
		if found, held := holders.Of(node); held {
			t.Errorf("of %q: got %+v, want none", node, found)
		}
	}
}

func TestAttachments_Validate(t *testing.T) {
	for _, test := range []struct {
		name    string
		holders volume.Attachments
		want    string // in the error; empty for none
	}{
		{"nobody", nil, ""},
		{"a writer", volume.Attachments{writer}, ""},
		{"readers", reading("n1", "n2", "n3"), ""},
		{"a writer beside a reader", reading("n1").With(writer), "a writer beside others"},
		{"out of order", reading("n2", "n1"), "node n1 after node n2"},
		{"a node twice", reading("n1", "n1"), "node n1 after node n1"},
		{"a bad node", reading("../n1"), "invalid_argument"},
		{"a bad mode", volume.Attachments{{Node: "n1", Mode: "rw"}}, "invalid_argument"},
	} {
		err := test.holders.Validate()
		if (err == nil) != (test.want == "") || err != nil && !strings.Contains(err.Error(), test.want) {
			t.Errorf("%s: got %v, want %q", test.name, err, test.want)
		}
	}
}

func TestAttachments_String_NamesAll(t *testing.T) {
	for want, holders := range map[string]volume.Attachments{
		"no node":              nil,
		"node n2 (read-write)": {writer},
		"node n1 (read-only), node n3 (read-only)": reading("n1", "n3"),
	} {
		if got := holders.String(); got != want {
			t.Errorf("got %q, want %q", got, want)
		}
	}
}
