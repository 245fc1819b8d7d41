package verify

import "github.com/jetvol/jetvol/volume"

// standing returns the records but for those that are refuted: to be taken away by whoever reads
// them next, as if they were not there.
func (e Evidence) standing() map[volume.Key]volume.Record {
	all := e.transitionsByVolume()
	standing := map[volume.Key]volume.Record{}
	for key, record := range e.Records {
		if !refuted(record, all[key]) {
			standing[key] = record
		}
	}
	return standing
}

// refuted reports whether a worker has stored the record on the assumption that the name has no
// events, and it has some. Nothing was done by it (ADR 13).
func refuted(record volume.Record, stream []volume.Transition) bool {
	return record.Assumed && len(record.Outbox) > 0 && len(stream) > 0 && !stream[0].Same(record.Outbox[0])
}
