package worker

import (
	"time"

	"github.com/nats-io/nats.go/jetstream"

	"github.com/jetvol/jetvol/commands"
	"github.com/jetvol/jetvol/volume"
)

// delivery is one message of the command stream, decoded as far as it can be.
type delivery struct {
	msg      jetstream.Msg
	sequence uint64 // of the stream
	attempts uint64 // how often the server has delivered it
	storedAt time.Time
	envelope commands.Envelope
	err      error // why it cannot be decoded
}

func newDelivery(msg jetstream.Msg, meta *jetstream.MsgMetadata) *delivery {
	d := &delivery{msg: msg, sequence: meta.Sequence.Stream, attempts: meta.NumDelivered, storedAt: meta.Timestamp}
	d.envelope, d.err = commands.Decode(commands.Incoming{
		Subject:  msg.Subject(),
		Header:   msg.Headers(),
		Data:     msg.Data(),
		Sequence: meta.Sequence.Stream,
		StoredAt: meta.Timestamp,
	})
	return d
}

func (d *delivery) command() volume.Command { return d.envelope.Command }

// laneKey is the volume that the command is for. What cannot be decoded shares one lane.
func (d *delivery) laneKey() volume.Key {
	if d.err != nil {
		return volume.Key{}
	}
	return d.envelope.Key
}
