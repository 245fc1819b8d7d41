package bench

import (
	"context"
	"encoding/json"
	"fmt"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"
	"github.com/rs/zerolog"

	"github.com/jetvol/jetvol/commands"
	"github.com/jetvol/jetvol/kv"
	"github.com/jetvol/jetvol/volume"
	"github.com/jetvol/jetvol/worker"
)

// orders is what a ceiling worker is told before a round.
type orders struct {
	Templates map[volume.Verb]Template `json:"templates"`
	Delay     time.Duration            `json:"delay"` // in place of the backend's call
	// Last is the verb after which a volume gets no more commands; empty if there is none.
	Last volume.Verb `json:"last,omitempty"`
}

// ordersSubject is where the ceiling worker with that number takes [orders].
func ordersSubject(index int) string { return fmt.Sprintf("limits.orders.%d", index) }

// ceilingWorker does for one process's share of the partitions what a worker does, without
// thinking.
type ceilingWorker struct {
	conn  *nats.Conn
	js    jetstream.JetStream
	log   zerolog.Logger
	told  atomic.Pointer[orders]
	marks sync.Map // of *mark, by the volume's key
}

// mark is what the next write about a volume has to name.
type mark struct {
	mu       sync.Mutex // held over a command: those of a volume are one after another
	revision uint64     // of the record
	event    uint64     // sequence
}

// ServeCeiling does the writes of every command in the ceiling's work queue whose partition
// is index modulo of, until ctx ends or the connection is closed. Ready is called once it
// takes commands.
func ServeCeiling(ctx context.Context, conn *nats.Conn, index, of int, log zerolog.Logger, ready func()) error {
	js, err := jetstream.New(conn)
	if err != nil {
		return err
	}
	w := &ceilingWorker{conn: conn, js: js, log: log}
	w.told.Store(&orders{})
	if _, err := conn.Subscribe(ordersSubject(index), w.obey); err != nil {
		return err
	}
	for partition := index; partition < commands.Partitions; partition += of {
		if err := w.consume(ctx, partition); err != nil {
			return fmt.Errorf("partition %d: %w", partition, err)
		}
	}
	if err := conn.Flush(); err != nil {
		return err
	}
	ready()
	<-ctx.Done()
	return nil
}

// consume takes the commands of a partition until the connection is closed.
func (w *ceilingWorker) consume(ctx context.Context, partition int) error {
	consumer, err := w.js.Consumer(ctx, renaming.Replace(commands.StreamName), consumerName(partition))
	if err != nil {
		return err
	}
	_, err = consumer.Consume(func(msg jetstream.Msg) { go w.carryOut(msg) }, worker.PullOptions()...)
	return err
}

func (w *ceilingWorker) obey(msg *nats.Msg) {
	var o orders
	if err := json.Unmarshal(msg.Data, &o); err != nil {
		w.log.Error().Err(err).Msg("orders")
		return
	}
	w.told.Store(&o)
	if err := msg.Respond(nil); err != nil {
		w.log.Error().Err(err).Msg("orders")
	}
}

// carryOut makes the writes of one command, replies and acknowledges.
func (w *ceilingWorker) carryOut(msg jetstream.Msg) {
	// limits.command.<partition>.<project>.<volume>.<verb>
	tokens := strings.Split(msg.Subject(), ".")
	key, verb := tokens[3]+"."+tokens[4], volume.Verb(tokens[5])
	told := w.told.Load()
	t := told.Templates[verb]
	reply := t.Reply.Data
	if err := w.write(key, t, told.Delay); err != nil {
		w.log.Error().Err(err).Str("volume", key).Str("verb", string(verb)).Msg("write")
		reply = []byte(failedReply)
	}
	if verb == told.Last {
		w.marks.Delete(key)
	}
	if to := msg.Headers().Get(commands.HeaderReply); to != "" {
		if err := w.conn.Publish(to, reply); err != nil {
			w.log.Error().Err(err).Msg("reply")
		}
	}
	if err := msg.Ack(); err != nil {
		w.log.Error().Err(err).Msg("ack")
	}
}

// write makes the writes in their order, and keeps nothing of a volume without any. A record is waited for at once, as jetvol does,
// since what follows must not happen without it; an event only before the next one, and at
// the end.
func (w *ceilingWorker) write(key string, t Template, delay time.Duration) error {
	if len(t.Writes) == 0 {
		return nil
	}
	found, _ := w.marks.LoadOrStore(key, &mark{})
	m := found.(*mark)
	m.mu.Lock()
	defer m.mu.Unlock()
	var event *publishing
	for i, step := range t.Writes {
		if step.Event == "" {
			if i > 0 { // between the two records jetvol calls the backend
				_ = pause(context.Background(), delay)
			}
			if err := w.writeRecord(key, step, m); err != nil {
				return err
			}
			continue
		}
		if err := m.settle(event); err != nil {
			return err
		}
		var err error
		if event, err = w.publishEvent(key, step, m); err != nil {
			return err
		}
	}
	return m.settle(event)
}

func (w *ceilingWorker) writeRecord(key string, step Write, m *mark) error {
	msg := step.message(renaming.Replace("$KV." + kv.VolumesBucket + "." + key))
	msg.Header[jetstream.ExpectedLastSubjSeqHeader] = []string{strconv.FormatUint(m.revision, 10)}
	// Waited for at once, and published without waiting all the same: it costs a little less.
	p, err := w.publish(msg)
	if err != nil {
		return fmt.Errorf("record: %w", err)
	}
	m.revision, err = p.wait()
	return err
}

func (w *ceilingWorker) publishEvent(key string, step Write, m *mark) (*publishing, error) {
	msg := step.message("limits.tx." + key + "." + step.Event)
	msg.Header[jetstream.ExpectedLastSubjSeqHeader] = []string{strconv.FormatUint(m.event, 10)}
	msg.Header[jetstream.ExpectedLastSubjSeqSubjHeader] = []string{"limits.event." + key + ".>"}
	msg.Header[jetstream.ExpectedStreamHeader] = []string{renaming.Replace(step.Header.Get(jetstream.ExpectedStreamHeader))}
	return w.publish(msg)
}

// settle waits for an event, if there is one.
func (m *mark) settle(event *publishing) (err error) {
	if event != nil {
		m.event, err = event.wait()
	}
	return err
}

// message returns the write as a message, whose header may be changed.
func (w Write) message(subject string) *nats.Msg {
	msg := &nats.Msg{Subject: subject, Header: make(nats.Header, len(w.Header)), Data: w.Data}
	for name, values := range w.Header {
		msg.Header[name] = values
	}
	return msg
}
