package bench

import (
	"errors"
	"fmt"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"
)

// maxTries bounds how often a cluster may refuse a guard without cause.
const maxTries = 6

// publishing is a message on its way to its stream.
type publishing struct {
	worker *ceilingWorker
	msg    *nats.Msg
	future jetstream.PubAckFuture
}

func (w *ceilingWorker) publish(msg *nats.Msg) (*publishing, error) {
	p := &publishing{worker: w, msg: msg}
	return p, p.send()
}

func (p *publishing) send() (err error) {
	p.future, err = p.worker.js.PublishMsgAsync(p.msg, jetstream.WithStallWait(stallWait))
	if err != nil {
		return fmt.Errorf("publish to %s: %w", p.msg.Subject, err)
	}
	return nil
}

// codeInFlight is a cluster's refusal of a guard while another write is in flight.
const codeInFlight jetstream.ErrorCode = 10164

// wait returns the message's sequence once it is stored.
func (p *publishing) wait() (uint64, error) {
	for try := 1; ; try++ {
		var err error
		select {
		case ack := <-p.future.Ok():
			return ack.Sequence, nil
		case err = <-p.future.Err():
		}
		if api, refused := errors.AsType[*jetstream.APIError](err); !refused || try == maxTries || api.ErrorCode != codeInFlight {
			return 0, fmt.Errorf("publish to %s: %w", p.msg.Subject, err)
		}
		if err := p.send(); err != nil {
			return 0, err
		}
	}
}
