package bench

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"

	"github.com/jetvol/jetvol/commands"
	"github.com/jetvol/jetvol/events"
	"github.com/jetvol/jetvol/kv"
	"github.com/jetvol/jetvol/volume"
)

// Template is all that one command of a verb makes pass through the server, in its order.
type Template struct {
	Command Message `json:"command"`
	Writes  []Write `json:"writes"`
	Reply   Message `json:"reply"`
}

// Message is what a message carries.
type Message struct {
	Header nats.Header `json:"header,omitempty"`
	Data   []byte      `json:"data"`
}

// Write is one message to be stored.
type Write struct {
	Message
	// Event is the last token of an event's subject; empty for the record.
	Event string `json:"event,omitempty"`
}

// events returns how many of the writes are events.
func (t Template) events() int {
	n := 0
	for _, w := range t.Writes {
		if w.Event != "" {
			n++
		}
	}
	return n
}

const (
	// sampleTimeout bounds the commands that are sampled on one volume.
	sampleTimeout = 30 * time.Second
	// sampleTries bounds on how many volumes commands are sampled until nothing is made twice.
	sampleTries = 5
)

// errNoTemplate says that a command succeeded, and yet what passed is not what others of its
// verb make pass: a write was made again, which a cluster may refuse without cause. The
// command may be sampled on another volume.
var errNoTemplate = errors.New("the writes of a sampled command are not records and events in turn")

// sampler gives single commands and listens to all that passes because of them.
type sampler struct {
	conn   *nats.Conn
	js     jetstream.JetStream
	passed chan *nats.Msg
	inbox  string
}

// take has each deed carried out on the volume, one after another, and returns what passed,
// by verb. After errNoTemplate all of them are carried out nevertheless.
func (s *sampler) take(ctx context.Context, key volume.Key, deeds []deed) (map[volume.Verb]Template, error) {
	ctx, cancel := context.WithTimeout(ctx, sampleTimeout)
	defer cancel()
	const room = 1024
	s.passed, s.inbox = make(chan *nats.Msg, room), s.conn.NewInbox()
	taps := []string{
		events.PublishSubject(key, "*"),
		"$KV." + kv.VolumesBucket + "." + key.String(),
		s.inbox,
	}
	var listening []*nats.Subscription
	defer func() {
		for _, tap := range listening {
			_ = tap.Unsubscribe() // the connection may be closed
		}
	}()
	for _, subject := range taps {
		tap, err := s.conn.ChanSubscribe(subject, s.passed)
		if err != nil {
			return nil, err
		}
		listening = append(listening, tap)
	}
	templates := map[volume.Verb]Template{}
	var odd error
	for _, d := range deeds {
		t, err := s.one(ctx, key, d)
		if err != nil {
			err = fmt.Errorf("sample %s of volume %s: %w", d.verb, key, err)
		}
		if err != nil && !errors.Is(err, errNoTemplate) {
			return nil, err
		}
		templates[d.verb], odd = t, errors.Join(odd, err)
	}
	return templates, odd
}

// one gives one command. What its worker publishes before the reply also comes before it:
// the server keeps the order from one connection to another.
func (s *sampler) one(ctx context.Context, key volume.Key, d deed) (Template, error) {
	command, err := newMessage(key, d, s.inbox)
	if err != nil {
		return Template{}, err
	}
	t := Template{Command: Message{command.Header, command.Data}}
	if _, err := s.js.PublishMsg(ctx, command); err != nil {
		return t, err
	}
	for {
		select {
		case <-ctx.Done():
			return t, context.Cause(ctx)
		case msg := <-s.passed:
			if msg.Subject == s.inbox {
				t.Reply = Message{msg.Header, msg.Data}
				return t, t.check()
			}
			w := Write{Message: Message{msg.Header, msg.Data}}
			if !strings.HasPrefix(msg.Subject, "$KV.") {
				w.Event = msg.Subject[strings.LastIndexByte(msg.Subject, '.')+1:]
			}
			t.Writes = append(t.Writes, w)
		}
	}
}

// check returns an error unless the command has succeeded, and errNoTemplate unless its writes
// are records with an event directly after each. The sampler hears what is published, not what
// is stored: a write that was made again would be there twice.
func (t Template) check() error {
	reply, err := commands.DecodeReply(t.Reply.Data)
	if err != nil {
		return err
	}
	if err := reply.Err(); err != nil {
		return err
	}
	if len(t.Writes) == 0 || len(t.Writes)%2 != 0 {
		return fmt.Errorf("%w: %d writes", errNoTemplate, len(t.Writes))
	}
	for i, w := range t.Writes {
		if isEvent := w.Event != ""; isEvent != (i%2 == 1) {
			return fmt.Errorf("%w: write %d of %d", errNoTemplate, i+1, len(t.Writes))
		}
	}
	return nil
}
