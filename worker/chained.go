package worker

import (
	"github.com/jetvol/jetvol/events"
	"github.com/jetvol/jetvol/fsm"
	"github.com/jetvol/jetvol/volume"
)

// chain ties the decision's event to the volume's event before it. It comes last: the hash
// is over all that the event says. The transition lies in the record's outbox, which is
// stored and from which it may be published. The event is returned as it was encoded.
func chain(decision *fsm.Decision) (encoded []byte, err error) {
	decision.Record.EventHash, encoded, err = events.ChainEncoded(decision.Transition, decision.Record.EventHash)
	return encoded, err
}

// lastHash is what the volume's next event is to be tied to. If the last event on the stream
// is the one that the record means, it is what the record says, so that an event that was
// changed after it was stored breaks the chain behind it. It is what the stream has if that
// is another event, or if the record knows none: an earlier build has written it. A stream
// that has none, because all have aged out, says nothing against the record.
func lastHash(record volume.Record, last events.Stored) string {
	if last.Hash == "" {
		return record.EventHash
	}
	means := record.EventSequence == last.Sequence
	if n := len(record.Outbox); n > 0 {
		means = record.Outbox[n-1].ID == last.Data.ID
	}
	if means && record.EventHash != "" {
		return record.EventHash
	}
	return last.Hash
}
