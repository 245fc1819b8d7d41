package worker

import (
	"github.com/nats-io/nats.go/jetstream"

	"github.com/jetvol/jetvol/commands"
	"github.com/jetvol/jetvol/volume"
)

// delivery is one message of the command stream, decoded as far as it can be.
type delivery struct {
	commands.Incoming
	msg      jetstream.Msg // nil if it was read from the stream, not delivered
	number   uint64        // of this delivery, as the server counts them
	attempts uint64        // how often the server has delivered it
	envelope commands.Envelope
	err      error // why it cannot be decoded
}

func newDelivery(msg jetstream.Msg, meta *jetstream.MsgMetadata) *delivery {
	header := msg.Headers() // the delivery's from now on: nats.go does not look at them again
	d := &delivery{msg: msg, number: meta.Sequence.Consumer, attempts: meta.NumDelivered, Incoming: commands.Incoming{
		Subject:  msg.Subject(),
		Header:   header,
		Data:     msg.Data(),
		Sequence: meta.Sequence.Stream,
		StoredAt: meta.Timestamp,
	}}
	d.envelope, d.err = commands.Decode(d.Incoming)
	// The server adds one value to each delivery. A second one is the publisher's.
	if pins := header[headerPin]; len(pins) > 1 {
		header[headerPin] = pins[:len(pins)-1]
		d.err = reservedHeader(headerPin)
	} else {
		delete(header, headerPin)
	}
	return d
}

// newSwallowed returns a stored command that the client library keeps to itself.
func newSwallowed(msg *jetstream.RawStreamMsg) *delivery {
	d := &delivery{Incoming: commands.Incoming{
		Subject: msg.Subject, Header: msg.Header, Data: msg.Data, Sequence: msg.Sequence, StoredAt: msg.Time,
	}}
	d.envelope, _ = commands.Decode(d.Incoming)
	d.err = reservedHeader(headerStatus)
	return d
}

// Headers by which the server and its client library speak to each other. A command
// that carries one would be taken for the server's word.
const (
	headerPin    = "Nats-Pin-Id"
	headerStatus = "Status"
)

// swallowed reports whether nats.go takes a message with this content for a status of
// the server: one with a Status header and no payload.
func swallowed(msg *jetstream.RawStreamMsg) bool {
	return len(msg.Data) == 0 && len(msg.Header[headerStatus]) > 0
}

func reservedHeader(name string) error {
	return volume.Errorf(volume.ErrInvalidArgument, "header %s: reserved for the server", name)
}

func (d *delivery) command() volume.Command { return d.envelope.Command }

// laneKey is the volume that the command is for. What cannot be decoded shares one lane.
func (d *delivery) laneKey() volume.Key {
	if d.err != nil {
		return volume.Key{}
	}
	return d.envelope.Key
}
