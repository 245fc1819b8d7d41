package local

import (
	"encoding/json"
	"reflect"
	"strings"
	"syscall"
	"testing"

	"github.com/jetvol/jetvol/backends"
	"github.com/jetvol/jetvol/volume"
)

var testKey = volume.Key{Project: "default", Name: "db-01"}

const goodSidecar = `{"schema_version":1,"id":"default.db-01.3","key":"default.db-01","size_bytes":1048576,` +
	`"attachments":[{"node":"n12","mode":"read-write"}]}`

func TestDecodeSidecar(t *testing.T) {
	for _, c := range []struct {
		name   string
		change func(string) string
		want   string // in the error; empty for none
	}{
		{"Good", func(s string) string { return s }, ""},
		{"Unattached", func(s string) string { before, _, _ := strings.Cut(s, `,"attachments"`); return before + "}" }, ""},
		{"Truncated", func(s string) string { return s[:len(s)/2] }, "unexpected EOF"},
		{"TwoValues", func(s string) string { return s + s }, "more than one"},
		{"UnknownField", func(s string) string { return strings.Replace(s, "{", `{"fence":1,`, 1) }, `unknown field "fence"`},
		{"LaterVersion", replace(`"schema_version":1`, `"schema_version":2`), "schema version 2"},
		{"OtherKey", replace(`"key":"default.db-01"`, `"key":"default.db-02"`), `key "default.db-02"`},
		{"IDOfOtherKey", replace(`default.db-01.3`, `default.db-02.3`), "not an id of"},
		{"NoSize", replace(`1048576`, `0`), "invalid_size"},
		{"SizeTooLarge", replace(`1048576`, `9007199254740993`), "invalid_size"},
		{"BadNode", replace(`"n12"`, `"../n12"`), "invalid_argument"},
		{"BadMode", replace(`read-write`, `rw`), "invalid_argument"},
		{"TwoReaders", replace(`[{"node":"n12","mode":"read-write"}]`, `[{"node":"n1","mode":"read-only"},{"node":"n2","mode":"read-only"}]`), ""},
		{"ReaderBesideWriter", replace(`[{`, `[{"node":"n1","mode":"read-only"},{`), "a writer beside others"},
		{"NodesOutOfOrder", replace(`[{"node":"n12","mode":"read-write"}]`, `[{"node":"n2","mode":"read-only"},{"node":"n1","mode":"read-only"}]`), "node n1 after node n2"},
		{"NodeTwice", replace(`[{"node":"n12","mode":"read-write"}]`, `[{"node":"n1","mode":"read-only"},{"node":"n1","mode":"read-only"}]`), "node n1 after node n1"},
		{"Snapshots", snapshots(`{"name":"a","size_bytes":1,"created_at":"2026-11-21T01:02:03.000000004Z"}`), ""},
		{"NoSnapshots", snapshots(``), "an empty list"},
		{"SnapshotNameOutside", snapshots(`{"name":"../a","size_bytes":1,"created_at":"2026-11-21T01:02:03Z"}`), "invalid_name"},
		{"SnapshotWithoutSize", snapshots(`{"name":"a","created_at":"2026-11-21T01:02:03Z"}`), "invalid_size"},
		{"SnapshotWithoutTime", snapshots(`{"name":"a","size_bytes":1}`), "without its time"},
		{"SnapshotTwice", snapshots(`{"name":"a","size_bytes":1,"created_at":"2026-11-21T01:02:03Z"},{"name":"a","size_bytes":2,"created_at":"2026-11-21T01:02:03Z"}`), "listed twice"},
		{"Unfinished", replace(`"attachments"`, `"unfinished":"a","attachments"`), ""},
		{"UnfinishedOutside", replace(`"attachments"`, `"unfinished":"a/b","attachments"`), "invalid_name"},
		{"UnfinishedAndFinished", replace(`"attachments"`, `"snapshots":[{"name":"a","size_bytes":1,"created_at":"2026-11-21T01:02:03Z"}],"unfinished":"a","attachments"`), "finished and unfinished"},
		{"SingleAttachment", replace(`"attachments":[{"node":"n12","mode":"read-write"}]`, `"attachment":{"node":"n12","mode":"read-write"}`), `unknown field "attachment"`},
	} {
		t.Run(c.name, func(t *testing.T) {
			_, err := decodeSidecar(testKey, []byte(c.change(goodSidecar)))
			switch {
			case c.want == "" && err != nil:
				t.Errorf("got %v, want no error", err)
			case c.want != "" && (err == nil || !strings.Contains(err.Error(), c.want)):
				t.Errorf("got error %v, want %q in it", err, c.want)
			}
		})
	}
}

func replace(from, to string) func(string) string {
	return func(s string) string { return strings.Replace(s, from, to, 1) }
}

func snapshots(list string) func(string) string {
	return replace(`"attachments"`, `"snapshots":[`+list+`],"attachments"`)
}

func FuzzDecodeSidecar(f *testing.F) {
	f.Add([]byte(goodSidecar))
	f.Add([]byte(snapshots(`{"name":"a","size_bytes":1,"created_at":"2026-11-21T01:02:03Z"}`)(goodSidecar)))
	f.Add([]byte(`{}`))
	f.Add([]byte(`[[[[`))
	f.Add([]byte(replace(`1048576`, `"10GiB"`)(goodSidecar)))
	f.Fuzz(func(t *testing.T, data []byte) {
		s, err := decodeSidecar(testKey, data)
		if err != nil {
			return
		}
		if err := (backends.Ref{Key: testKey, ID: s.ID}).Validate(); err != nil {
			t.Errorf("decoded id: got %v, want a valid one", err)
		}
		encoded, err := json.Marshal(s)
		must(t, err)
		again, err := decodeSidecar(testKey, encoded)
		must(t, err)
		if !reflect.DeepEqual(s, again) {
			t.Errorf("decoded again: got %+v, want %+v", again, s)
		}
	})
}

func TestTemporaryKey_OnlyOwnNames(t *testing.T) {
	for name, want := range map[string]bool{
		temporaryName(testKey):   true,
		".default.db-01.abc.tmp": true,
		"default.db-01.abc.tmp":  false,
		".default.db-01.abc":     false,
		".vimrc.tmp":             false,
		".tmp":                   false,
		"default.db-01.img":      false,
	} {
		if _, got := temporaryKey(name); got != want {
			t.Errorf("temporary name %q: got %t, want %t", name, got, want)
		}
	}
}

func TestFaultClass(t *testing.T) {
	for errno, want := range map[syscall.Errno]volume.Class{
		syscall.ENOSPC:  volume.ResourceExhausted,
		syscall.EDQUOT:  volume.ResourceExhausted,
		syscall.EFBIG:   volume.ResourceExhausted,
		syscall.ENOENT:  volume.Unavailable,
		syscall.EIO:     volume.Unavailable,
		syscall.EROFS:   volume.Unavailable,
		syscall.EACCES:  volume.FailedPrecondition,
		syscall.ELOOP:   volume.FailedPrecondition,
		syscall.EBADMSG: volume.Internal,
	} {
		d := directory{path: "/data"}
		err := d.fault(errno)
		if got := volume.ClassOf(err); got != want {
			t.Errorf("class of %v: got %s, want %s", errno, got, want)
		}
		if !strings.HasPrefix(err.Error(), "directory /data: ") {
			t.Errorf("error text: got %q, want the directory in it", err)
		}
	}
}
