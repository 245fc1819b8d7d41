package audit

import (
	"crypto/sha256"
	"encoding/binary"
	"maps"
	"math/bits"
	"slices"
	"strings"
)

// shard is a part of all volumes: those whose name has a hash in one of `of` equal parts of
// all hashes, of which there is a power of two.
type shard struct {
	index, of uint32
}

// place is where a name stands in the order of all hashes.
func place(name string) uint64 {
	sum := sha256.Sum256([]byte(name))
	return binary.BigEndian.Uint64(sum[:])
}

func (s shard) has(name string) bool {
	if s.of == 1 {
		return true
	}
	width := bits.TrailingZeros32(s.of)
	return place(name)>>(64-width) == uint64(s.index)
}

// byPlace returns the names in the order of their hashes, in which shards follow each other.
func byPlace(states map[string]*state) []string {
	type placed struct {
		name string
		at   uint64
	}
	all := make([]placed, 0, len(states))
	for name := range maps.Keys(states) {
		all = append(all, placed{name, place(name)})
	}
	slices.SortFunc(all, func(a, b placed) int {
		if a.at != b.at {
			if a.at < b.at {
				return -1
			}
			return 1
		}
		return strings.Compare(a.name, b.name)
	})
	names := make([]string, len(all))
	for i, p := range all {
		names[i] = p.name
	}
	return names
}
