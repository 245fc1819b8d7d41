package verify

import "github.com/jetvol/jetvol/volume"

// Ledgers checks that what projects use is what their quotas have counted.
func Ledgers(e Evidence) []Fault {
	var r report
	for _, text := range e.Quotas {
		r.add(Disagreement, volume.Key{}, "quota: %s", text)
	}
	return r.faults
}
