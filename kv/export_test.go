package kv

// CountUpTo sets from how many records on pages are picked, not counted.
func CountUpTo[T any](b *Bucket[T], most uint64) { b.counted = most }

// MatchesKey is for tests of the package.
var MatchesKey = matchesKey
