package ownership

import (
	"cmp"
	"crypto/sha256"
	"encoding/binary"
	"fmt"
	"slices"
)

// Assign shares the partitions 0 to partitions-1 among members and returns the member
// of each. Every caller gets the same answer for the same members, in whatever order
// they are named; without members it returns empty names.
//
// It is rendezvous hashing (Thaler and Ravishankar, 1996) under a bound: the pairs of a
// partition and a member are taken in the order of their hashes, and a member that has
// its share is passed over. Shares differ by one at most. Plain rendezvous leaves one of
// eight members without any of 16 partitions in most cases; the bound costs some more
// moves when the members change.
func Assign(members []string, partitions int) []string {
	owners := make([]string, partitions)
	if len(members) == 0 {
		return owners
	}
	share, extra := partitions/len(members), partitions%len(members)
	load := make(map[string]int, len(members))
	for _, pair := range rankedPairs(members, partitions) {
		if owners[pair.partition] != "" {
			continue
		}
		switch have := load[pair.member]; {
		case have < share:
		case have == share && extra > 0:
			extra--
		default:
			continue
		}
		load[pair.member]++
		owners[pair.partition] = pair.member
	}
	return owners
}

type pair struct {
	partition int
	member    string
	score     uint64
}

func rankedPairs(members []string, partitions int) []pair {
	pairs := make([]pair, 0, len(members)*partitions)
	for _, member := range members {
		for partition := range partitions {
			sum := sha256.Sum256(fmt.Appendf(nil, "%d/%s", partition, member))
			pairs = append(pairs, pair{partition, member, binary.BigEndian.Uint64(sum[:])})
		}
	}
	slices.SortFunc(pairs, func(a, b pair) int {
		return cmp.Or(cmp.Compare(b.score, a.score), cmp.Compare(a.partition, b.partition), cmp.Compare(a.member, b.member))
	})
	return pairs
}
