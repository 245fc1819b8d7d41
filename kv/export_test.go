package kv

import "github.com/jetvol/jetvol/volume"

// CountUpTo sets from how many records on pages are picked, not counted.
func CountUpTo[T any](b *Bucket[T], most uint64) { b.counted = most }

// MatchesKey is for tests of the package.
var MatchesKey = matchesKey

// EncodeRecord and DecodeRecord are what a bucket of records does to each of them.
var (
	EncodeRecord = encode[volume.Record]
	DecodeRecord = decode[volume.Record]
)
