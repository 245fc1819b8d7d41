//go:build ceph

package ceph

import (
	"errors"
	"strings"
	"testing"

	"github.com/jetvol/jetvol/volume"
)

func TestImageName_AnyKey_FitsAndIsItsOwn(t *testing.T) {
	long := strings.Repeat("x", volume.MaxNameLength)
	keys := []volume.Key{
		{Project: "default", Name: "db-01"},
		{Project: volume.Project(long), Name: volume.Name(long)},
		{Project: volume.Project(long), Name: volume.Name(long[1:] + "y")},
		{Project: volume.Project(long), Name: volume.Name(long[1:])},
		{Project: "x", Name: volume.Name(long)},
		{Project: volume.Project(long), Name: "x"},
	}
	seen := map[string]volume.Key{}
	for _, key := range keys {
		name := imageName(key)
		if len(name) > maxImageName || !strings.HasPrefix(name, imagePrefix) {
			t.Errorf("image of %s: got %s of %d bytes, want %s… of at most %d", key, name, len(name), imagePrefix, maxImageName)
		}
		if other, taken := seen[name]; taken {
			t.Errorf("image of %s: got %s, which is that of %s", key, name, other)
		}
		seen[name] = key
	}
	if got, want := imageName(keys[0]), "jetvol.default.db-01"; got != want {
		t.Errorf("image name: got %s, want %s: images that exist have it", got, want)
	}
	const want = "jetvol.xxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxx_"
	if got := imageName(keys[1]); !strings.HasPrefix(got, want) || len(got) != maxImageName {
		t.Errorf("image name: got %s, want %s and a hash: images that exist have it", got, want)
	}
}

// FuzzDecodeLockInfo: whatever an OSD answers, decoding ends with holders or an error.
func FuzzDecodeLockInfo(f *testing.F) {
	f.Add([]byte{})
	f.Add([]byte{1, 1, 9, 0, 0, 0, 0, 0, 0, 0, 1, 0, 0, 0, 0})
	f.Add([]byte{1, 1, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff})
	f.Add([]byte{1, 2, 9, 0, 0, 0, 0, 0, 0, 0, 1, 0, 0, 0, 0})
	f.Fuzz(func(t *testing.T, reply []byte) {
		h, err := decodeLockInfo(reply)
		if err != nil && (!errors.Is(err, volume.Internal) || len(h.lockers) > 0) {
			t.Errorf("got %+v and %v, want no holders and class %s", h, err, volume.Internal)
		}
	})
}

// FuzzRBDString: an id is taken only if it is as long as it says.
func FuzzRBDString(f *testing.F) {
	f.Add([]byte{3, 0, 0, 0, 'a', 'b', 'c'})
	f.Add([]byte{4, 0, 0, 0, 'a', 'b', 'c'})
	f.Fuzz(func(t *testing.T, data []byte) {
		text, err := rbdString(data)
		if err == nil && (text == "" || len(data) < 4+len(text)) {
			t.Errorf("%q: got %q, want an error", data, text)
		}
	})
}

func TestHolders_ManyReaders_AreAllTold(t *testing.T) {
	d := open(t, inNamespace(t))
	ref := created(t, d, "a")
	const readers = 40
	name := strings.Repeat("n", volume.MaxNodeLength-2)
	for i := range readers {
		node := volume.Node(name + string(rune('0'+i/10)) + string(rune('0'+i%10)))
		withConn(t, d, func(c *conn) error {
			h, err := d.own(c, ref)
			if err != nil {
				return err
			}
			return c.reserve(h.id, node, volume.ReadOnly)
		})
	}
	withConn(t, d, func(c *conn) error {
		h, err := d.own(c, ref)
		if got := len(h.holders.attachments()); got != readers || h.holders.mode() != volume.ReadOnly {
			t.Errorf("holders: got %d (%s), want %d (%s)", got, h.holders.mode(), readers, volume.ReadOnly)
		}
		return err
	})
}

func TestReserve_HeaderGone_MakesNone(t *testing.T) {
	d := open(t, inNamespace(t))
	withConn(t, d, func(c *conn) error {
		if err := c.reserve("gone", "n1", volume.ReadWrite); !absent(err) {
			t.Errorf("reserve: got %v, want ENOENT", err)
		}
		if err := c.setMark("gone", refOf("a")); !absent(err) {
			t.Errorf("mark: got %v, want ENOENT", err)
		}
		if objects, err := objectsOf(c.io); len(objects) > 0 || err != nil {
			t.Errorf("objects: got %q, %v, want none", objects, err)
		}
		return nil
	})
}

// TestReserve_ShownByCeph: what this driver encodes itself, Ceph's own tools understand.
func TestReserve_ShownByCeph(t *testing.T) {
	d := open(t, inNamespace(t))
	ref := created(t, d, "a")
	attached(t, d, ref, "n1.example", volume.ReadWrite)
	withConn(t, d, func(c *conn) error {
		h, err := d.own(c, ref)
		if err != nil {
			return err
		}
		info, err := c.io.ListLockers(headerObject+h.id, lockName)
		if err != nil || info.NumLockers != 1 || !info.Exclusive || info.Cookies[0] != "n1.example" {
			t.Errorf("rados_list_lockers: got %+v, %v, want one exclusive of n1.example", info, err)
		}
		return nil
	})
}
