package verify

import "github.com/jetvol/jetvol/volume"

// Rest checks that a start after an orderly end found nothing left to do.
func Rest(e Evidence) []Fault {
	var r report
	for _, left := range []struct {
		what  string
		count uint64
	}{
		{"commands in the stream", e.ColdStart.Queued},
		{"events that it had to publish", e.ColdStart.Events},
		{"records that it had to write", e.ColdStart.Writes},
	} {
		if left.count > 0 {
			r.add(Stuck, volume.Key{}, "a start after the last answer found %d %s", left.count, left.what)
		}
	}
	return r.faults
}

// Audited returns what the audit found: the hash chains, and the records as the events say.
func Audited(e Evidence) []Fault { return e.Audited }
