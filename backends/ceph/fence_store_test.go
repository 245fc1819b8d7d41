//go:build ceph

package ceph

import (
	"encoding/json"
	"math"
	"reflect"
	"strings"
	"testing"
	"time"

	"github.com/jetvol/jetvol/volume"
)

const goodFence = "default.db-01@18446744073709551615"

func TestParseFence(t *testing.T) {
	for _, c := range []struct{ name, entry, value string }{
		{"NoEpoch", "default.db-01", "1"},
		{"ShortEpoch", "default.db-01@5", "1"},
		{"LargeEpoch", "default.db-01@18446744073709551616", "1"},
		{"EpochZero", "default.db-01@00000000000000000000", "1"},
		{"NoKey", "@00000000000000000005", "1"},
		{"WrongKey", "default.DB@00000000000000000005", "1"},
		{"NoTime", goodFence, ""},
		{"WrongTime", goodFence, "x"},
	} {
		t.Run(c.name, func(t *testing.T) {
			if f, err := parseFence(c.entry, c.value); err == nil {
				t.Errorf("got %+v, want an error", f)
			}
		})
	}
	got, err := parseFence(goodFence, "1700000000")
	must(t, err)
	want := storedFence{volume.Key{Project: "default", Name: "db-01"}, math.MaxUint64, time.Unix(1_700_000_000, 0)}
	if got != want || got.name() != goodFence {
		t.Errorf("got %+v, want %+v", got, want)
	}
}

func FuzzParseFence(f *testing.F) {
	f.Add(goodFence, "1700000000")
	f.Fuzz(func(t *testing.T, entry, value string) {
		if found, err := parseFence(entry, value); err == nil && (found.name() != entry || found.epoch == 0) {
			t.Errorf("got %+v, want what %q says", found, entry)
		}
	})
}

// A volume's object is part of what is stored.
func TestStoredFence_Object_StaysTheSame(t *testing.T) {
	for name, want := range map[volume.Name]string{"db-01": "jetvol.fences.1", "db-02": "jetvol.fences.0"} {
		if got := (storedFence{key: refOf(name).Key}).object(); got != want {
			t.Errorf("%s: got %s, want %s", name, got, want)
		}
	}
}

const (
	goodMember  = `{"schema_version":1,"address":"127.0.0.1:0/1","host":"h","pid":1,"since":"2026-01-02T03:04:05Z"}`
	goodEvicted = `{"schema_version":1,"address":"127.0.0.1:0/1","host":"h","pid":1,"since":"2026-01-02T03:04:05Z","evicted":"2026-01-02T03:04:06Z"}`
)

func TestParseMember(t *testing.T) {
	for _, c := range []struct{ name, entry, value, want string }{
		{"Good", "client.4123", goodMember, ""},
		{"GoodEvicted", "evicted.4123", goodEvicted, ""},
		{"Truncated", "client.4123", goodMember[:20], "unexpected end"},
		{"LaterVersion", "client.4123", strings.Replace(goodMember, ":1,", ":2,", 1), "schema version 2"},
		{"NoAddress", "client.4123", strings.Replace(goodMember, "127.0.0.1:0/1", "", 1), "no address"},
		{"NoNumber", "client.x", goodMember, "parsing"},
		{"OtherPrefix", "worker.4123", goodMember, "worker"},
		{"OpenButEvicted", "client.4123", goodEvicted, "evicted: true"},
		{"EvictedWithoutTime", "evicted.4123", goodMember, "evicted: false"},
	} {
		t.Run(c.name, func(t *testing.T) {
			_, err := parseMember(c.entry, []byte(c.value))
			if (err == nil) != (c.want == "") || err != nil && !strings.Contains(err.Error(), c.want) {
				t.Errorf("got error %v, want %q in it", err, c.want)
			}
		})
	}
}

func FuzzParseMember(f *testing.F) {
	f.Add("client.4123", []byte(goodMember))
	f.Add("evicted.4123", []byte(goodEvicted))
	f.Fuzz(func(t *testing.T, entry string, value []byte) {
		m, err := parseMember(entry, value)
		if err != nil {
			return
		}
		encoded, err := json.Marshal(m)
		must(t, err)
		again, err := parseMember(m.entry(), encoded)
		must(t, err)
		if !reflect.DeepEqual(again, m) {
			t.Errorf("parsed again: got %+v, want %+v", again, m)
		}
	})
}

func TestDecodeNotice(t *testing.T) {
	good := notice{Key: refOf("db-01").Key, Epoch: ownerEpoch}.encode()
	for _, c := range []struct{ name, text, want string }{
		{"Good", string(good), ""},
		{"Empty", "", "unexpected end"},
		{"LaterVersion", strings.Replace(string(good), ":1,", ":2,", 1), "schema version 2"},
		{"NoEpoch", strings.Replace(string(good), ":5}", ":0}", 1), "epoch 0"},
		{"WrongKey", strings.Replace(string(good), "db-01", "DB", 1), "DB"},
	} {
		t.Run(c.name, func(t *testing.T) {
			_, err := decodeNotice([]byte(c.text))
			if (err == nil) != (c.want == "") || err != nil && !strings.Contains(err.Error(), c.want) {
				t.Errorf("got error %v, want %q in it", err, c.want)
			}
		})
	}
}

func FuzzDecodeNotice(f *testing.F) {
	f.Add(notice{Key: refOf("db-01").Key, Epoch: ownerEpoch}.encode())
	f.Fuzz(func(t *testing.T, data []byte) {
		n, err := decodeNotice(data)
		if err != nil {
			return
		}
		if again, err := decodeNotice(n.encode()); err != nil || again != n {
			t.Errorf("decoded again: got %+v and %v, want %+v", again, err, n)
		}
	})
}
