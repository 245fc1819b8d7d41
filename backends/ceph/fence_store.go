//go:build ceph

package ceph

import (
	"fmt"
	"hash/fnv"
	"strconv"
	"strings"
	"syscall"
	"time"

	"github.com/ceph/go-ceph/rados"

	"github.com/jetvol/jetvol/backends"
	"github.com/jetvol/jetvol/volume"
)

// Fences are entries in the omaps of fenceShards objects, for a volume always the same
// one. The number is part of what is stored. Ceph warns of objects with more than 200,000
// entries.
const (
	fencePrefix = "jetvol.fences."
	fenceShards = 8
)

// omapPage is how many entries are read or removed by one operation.
const omapPage = 1000

// storedFence is one entry: `<project>.<volume>@<epoch in 20 digits>` with the time of its
// making, in seconds, as its value. With the epoch in the entry's name a fence is stored
// without being read first, and cannot be lowered: the highest counts.
type storedFence struct {
	key   volume.Key
	epoch uint64
	made  time.Time
}

func (f storedFence) name() string { return fmt.Sprintf("%s@%020d", f.key, f.epoch) }

// parseFence returns an error for what storedFence does not write: nobody can tell then
// who may act.
func parseFence(name, value string) (storedFence, error) {
	key, epoch, _ := strings.Cut(name, "@")
	f := storedFence{}
	var err error
	if f.key, err = volume.ParseKey(key); err != nil {
		return storedFence{}, err
	}
	if f.epoch, err = strconv.ParseUint(epoch, 10, 64); err != nil {
		return storedFence{}, err
	}
	seconds, err := strconv.ParseInt(value, 10, 64)
	if err != nil {
		return storedFence{}, err
	}
	f.made = time.Unix(seconds, 0)
	if f.epoch == 0 || f.name() != name {
		return storedFence{}, fmt.Errorf("entry %q: not as it is written", name)
	}
	return f, nil
}

func fenceObject(shard uint32) string { return fencePrefix + strconv.FormatUint(uint64(shard), 10) }

func (f storedFence) object() string {
	hash := fnv.New32a()
	_, _ = hash.Write([]byte(f.key.String())) // never fails
	return fenceObject(hash.Sum32() % fenceShards)
}

// storeFence stores a fence and, in the same operation, removes the known one of the same
// volume, if it is older.
func storeFence(io *rados.IOContext, key volume.Key, epoch, known uint64) error {
	f := storedFence{key: key, epoch: epoch}
	op := rados.CreateWriteOp()
	defer op.Release()
	op.SetOmap(map[string][]byte{f.name(): strconv.AppendInt(nil, time.Now().Unix(), 10)})
	if 0 < known && known < epoch {
		op.RmOmapKeys([]string{storedFence{key: key, epoch: known}.name()})
	}
	return op.Operate(io, f.object(), rados.OperationNoFlag) // rados_write_op_operate2
}

// loadFences returns all fences. It makes the objects that are missing: on a full pool an
// object can get entries but cannot be made.
func loadFences(io *rados.IOContext) ([]storedFence, error) {
	var all []storedFence
	for shard := range uint32(fenceShards) {
		object := fenceObject(shard)
		entries, err := io.GetAllOmapValues(object, "", "", omapPage) // rados_omap_get_vals2
		if is(err, syscall.ENOENT) {
			err = io.Create(object, rados.CreateIdempotent)
		}
		if err != nil {
			return nil, fmt.Errorf("object %s: %w", object, err)
		}
		for name, value := range entries {
			f, err := parseFence(name, string(value))
			if err != nil {
				return nil, backends.Errorf(volume.Internal, "object %s: entry %s: %v", object, name, err)
			}
			all = append(all, f)
		}
	}
	return all, nil
}

// removeFences removes those that were made before the given time.
func removeFences(io *rados.IOContext, stored []storedFence, before time.Time) error {
	old := make(map[string][]string)
	for _, f := range stored {
		if f.made.Before(before) {
			old[f.object()] = append(old[f.object()], f.name())
		}
	}
	for object, names := range old {
		if err := removeEntries(io, object, names); err != nil {
			return err
		}
	}
	return nil
}

func removeEntries(io *rados.IOContext, object string, names []string) error {
	for len(names) > 0 {
		n := min(len(names), omapPage)
		if err := io.RmOmapKeys(object, names[:n]); err != nil { // rados_write_op_omap_rm_keys2
			return fmt.Errorf("object %s: %w", object, err)
		}
		names = names[n:]
	}
	return nil
}
