package backendtest_test

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"testing"

	"github.com/jetvol/jetvol/backends"
	"github.com/jetvol/jetvol/backends/null"
	"github.com/jetvol/jetvol/volume"
)

// disk is a null.Driver with content, and with clients and things that it did not make.
type disk struct {
	*null.Driver

	mu      sync.Mutex
	data    map[volume.Key][]byte       // guarded by mu
	kept    map[snapshotKey][]byte      // guarded by mu
	foreign map[volume.Key]string       // guarded by mu
	watched map[volume.Key]int          // guarded by mu
	used    map[volume.Key]volume.Bytes // guarded by mu
}

type snapshotKey struct {
	key  volume.Key
	name volume.SnapshotName
}

func newDisk() *disk {
	return &disk{
		Driver:  null.New(null.Options{}),
		data:    make(map[volume.Key][]byte),
		kept:    make(map[snapshotKey][]byte),
		foreign: make(map[volume.Key]string),
		watched: make(map[volume.Key]int),
		used:    make(map[volume.Key]volume.Bytes),
	}
}

// errForeign is what every call says of something foreign but those that leave it alone.
var errForeign = backends.Errorf(volume.AlreadyExists, "something foreign is here")

// lock locks d and says what of the key is foreign.
func (d *disk) lock(key volume.Key) (unlock func(), err error) {
	d.mu.Lock()
	if _, is := d.foreign[key]; is {
		err = errForeign
	}
	return d.mu.Unlock, err
}

func (d *disk) watchers(key volume.Key) error {
	var by []backends.Blocker
	for i := range d.watched[key] {
		by = append(by, backends.Blocker{Kind: backends.BlockedByWatcher, Name: fmt.Sprintf("client.%d", i)})
	}
	return backends.Blocked(by...)
}

func (d *disk) Create(ctx context.Context, ref backends.Ref, size volume.Bytes) error {
	unlock, err := d.lock(ref.Key)
	defer unlock()
	if err != nil {
		return err
	}
	return d.Driver.Create(ctx, ref, size)
}

func (d *disk) Delete(ctx context.Context, ref backends.Ref) error {
	unlock, err := d.lock(ref.Key)
	defer unlock()
	if err != nil {
		return nil
	}
	if err := d.watchers(ref.Key); err != nil {
		return err
	}
	err = d.Driver.Delete(ctx, ref)
	if _, gone := d.Get(ctx, ref.Key); errors.Is(gone, volume.NotFound) {
		delete(d.data, ref.Key)
		delete(d.used, ref.Key)
	}
	return err
}

func (d *disk) CreateSnapshot(ctx context.Context, ref backends.Ref, name volume.SnapshotName) (backends.Snapshot, error) {
	unlock, err := d.lock(ref.Key)
	defer unlock()
	if err != nil {
		return backends.Snapshot{}, err
	}
	made, err := d.Driver.CreateSnapshot(ctx, ref, name)
	if _, done := d.kept[snapshotKey{ref.Key, name}]; err == nil && !done {
		d.kept[snapshotKey{ref.Key, name}] = append([]byte{}, d.data[ref.Key]...)
	}
	return made, err
}

func (d *disk) DeleteSnapshot(ctx context.Context, ref backends.Ref, name volume.SnapshotName) error {
	unlock, _ := d.lock(ref.Key)
	defer unlock()
	err := d.Driver.DeleteSnapshot(ctx, ref, name)
	if err == nil {
		delete(d.kept, snapshotKey{ref.Key, name})
	}
	return err
}

func (d *disk) Restore(ctx context.Context, ref backends.Ref, name volume.SnapshotName) error {
	unlock, err := d.lock(ref.Key)
	defer unlock()
	if err != nil {
		return err
	}
	if err := d.watchers(ref.Key); err != nil {
		return err
	}
	err = d.Driver.Restore(ctx, ref, name)
	if err == nil {
		d.data[ref.Key] = append([]byte{}, d.kept[snapshotKey{ref.Key, name}]...)
	}
	return err
}

func (d *disk) Clone(ctx context.Context, source backends.Ref, name volume.SnapshotName, target backends.Ref, size volume.Bytes) error {
	unlock, err := d.lock(target.Key)
	defer unlock()
	if err != nil {
		return err
	}
	_, missing := d.Get(ctx, target.Key)
	err = d.Driver.Clone(ctx, source, name, target, size)
	if err == nil && missing != nil {
		d.data[target.Key] = append([]byte{}, d.kept[snapshotKey{source.Key, name}]...)
	}
	return err
}

func (d *disk) Usage(ctx context.Context, ref backends.Ref) (backends.Usage, error) {
	unlock, _ := d.lock(ref.Key)
	defer unlock()
	usage, err := d.Driver.Usage(ctx, ref)
	usage.Used = d.used[ref.Key]
	return usage, err
}

// diskHarness opens handles with a fault over one disk, and has every option that can be
// had in memory.
type diskHarness struct {
	*disk
	plant func(*disk) backends.Driver
}

func (h diskHarness) Open(testing.TB) backends.Driver { return h.plant(h.disk) }
func (h diskHarness) MaxSize() volume.Bytes           { return volume.MaxSize }

func (h diskHarness) ReadContent(_ testing.TB, ref backends.Ref, data []byte, offset int64) {
	unlock, _ := h.lock(ref.Key)
	defer unlock()
	clear(data)
	if content := h.data[ref.Key]; offset < int64(len(content)) {
		copy(data, content[offset:])
	}
}

func (h diskHarness) WriteContent(_ testing.TB, ref backends.Ref, data []byte, offset int64) {
	unlock, _ := h.lock(ref.Key)
	defer unlock()
	content := h.data[ref.Key]
	if missing := int(offset) + len(data) - len(content); missing > 0 {
		content = append(content, make([]byte, missing)...)
	}
	copy(content[offset:], data)
	h.data[ref.Key] = content
	h.used[ref.Key] += volume.Bytes(len(data))
}

func (h diskHarness) Foreign(t testing.TB, key volume.Key) (differs func() error) {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.foreign[key] = "foreign"
	t.Cleanup(func() {
		h.mu.Lock()
		defer h.mu.Unlock()
		delete(h.foreign, key)
	})
	return func() error {
		h.mu.Lock()
		defer h.mu.Unlock()
		if got := h.foreign[key]; got != "foreign" {
			return fmt.Errorf("became %q", got)
		}
		return nil
	}
}

func (h diskHarness) Watch(_ testing.TB, ref backends.Ref) (closeObject func()) {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.watched[ref.Key]++
	return sync.OnceFunc(func() {
		h.mu.Lock()
		defer h.mu.Unlock()
		h.watched[ref.Key]--
	})
}
