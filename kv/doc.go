// Package kv keeps typed records in JetStream key-value buckets and changes them only
// by compare-and-set.
//
// A record is one JSON object under one key. Its revision is the stream sequence of
// its last write; a write names the revision that it was decided on, and is refused
// if the record has moved on:
//
//	volumes := kv.NewVolumes(js)
//	entry, err := volumes.ByKey(ctx, key)
//	…                                       // decide on entry.Value
//	revision, err := volumes.CompareAndSet(ctx, key.String(), changed, entry.Revision)
//	if errors.Is(err, kv.ErrConflict) { … } // read again and decide again, never resend
//
// Decisions rest on reads by the stream's leader ([Bucket.Get], [Bucket.Head]). Reads
// by any replica ([Bucket.GetDirect], [Bucket.List], [Bucket.Watch]) may lag behind
// and are for showing and for finding. Nothing is cached: a process holds only what it
// asked for.
//
// The buckets are plain ones: the nats CLI and the KeyValue API of nats.go read them.
package kv
