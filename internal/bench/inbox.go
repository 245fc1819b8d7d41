package bench

import (
	"sync"

	"github.com/nats-io/nats.go"
)

// inbox is where the answers to commands come in, each to its own token.
type inbox struct {
	prefix string

	mu      sync.Mutex // guards waiting
	waiting map[string]chan *nats.Msg
}

func newInbox(conn *nats.Conn) (*inbox, error) {
	i := &inbox{prefix: conn.NewInbox() + ".", waiting: map[string]chan *nats.Msg{}}
	_, err := conn.Subscribe(i.prefix+"*", i.deliver)
	return i, err
}

// expect returns the subject for the answer with that token, and where it is going to come in.
// Nobody else may have the token. A second answer is dropped.
func (i *inbox) expect(token string) (subject string, answer <-chan *nats.Msg) {
	room := make(chan *nats.Msg, 1)
	i.mu.Lock()
	defer i.mu.Unlock()
	i.waiting[token] = room
	return i.prefix + token, room
}

func (i *inbox) deliver(msg *nats.Msg) {
	token := msg.Subject[len(i.prefix):]
	i.mu.Lock()
	answer := i.waiting[token]
	delete(i.waiting, token)
	i.mu.Unlock()
	if answer != nil {
		answer <- msg
	}
}
