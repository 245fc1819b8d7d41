package bench

import (
	"context"
	"fmt"
	"strings"
	"time"

	"github.com/HdrHistogram/hdrhistogram-go"
	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"

	"github.com/jetvol/jetvol/commands"
	"github.com/jetvol/jetvol/volume"
)

// RoundTrips is what the round trips of one create take that are made by bare calls, one
// after another, in milliseconds. The reply is no round trip but a plain message from one
// connection to another.
type RoundTrips struct {
	Legs []Leg   `json:"legs"`
	Sum  float64 `json:"sum_ms"` // the median of the sums, not the sum of medians
	// Ratio is the median of jetvol's latencies in the same round, divided by Sum.
	Ratio float64 `json:"ratio_to_sum"`
}

// Leg is the median of one kind of round trip.
type Leg struct {
	Name string  `json:"name"`
	P50  float64 `json:"p50_ms"`
}

// maxTrips bounds how often the round trips are made in a round.
const maxTrips = 1000

// unknownVerb is one for which ceiling workers have no template: they acknowledge only.
const unknownVerb = volume.Verb("nothing")

// tripper makes round trips on the ceiling's streams, about volumes of its own project.
type tripper struct {
	bare    *bareClient
	js      jetstream.JetStream
	from    *nats.Conn // where replies come from
	replies *nats.Subscription
	project volume.Project
	serial  int
	w       *ceilingWorker // for how it writes
}

func newTripper(to, from *nats.Conn, js jetstream.JetStream, bare *bareClient, project volume.Project) (*tripper, error) {
	replies, err := to.SubscribeSync(to.NewInbox())
	if err != nil {
		return nil, err
	}
	return &tripper{
		bare: bare, js: js, from: from, replies: replies, w: &ceilingWorker{js: js},
		// Its records and events are not those of the ceiling's commands.
		project: volume.Project(strings.Replace(string(project), "bench", "trips", 1)),
	}, to.Flush()
}

// measure makes round trips for about that long.
func (t *tripper) measure(ctx context.Context, d time.Duration) (RoundTrips, error) {
	template := (*t.bare.templates.Load())[volume.VerbCreate]
	legs := []*hdrhistogram.Histogram{newHistogram()} // the command
	names := []string{"command"}
	for _, w := range template.Writes {
		name := "event " + w.Event
		if w.Event == "" {
			name = "record"
		}
		names, legs = append(names, name), append(legs, newHistogram())
	}
	names, legs = append(names, "reply"), append(legs, newHistogram())
	sums := newHistogram()
	for end, n := time.Now().Add(d), 0; n < maxTrips && time.Now().Before(end); n++ {
		if err := t.once(ctx, template, legs, sums); err != nil {
			return RoundTrips{}, fmt.Errorf("round trips: %w", err)
		}
	}
	trips := RoundTrips{Sum: latencyOf(sums).P50}
	for i, name := range names {
		trips.Legs = append(trips.Legs, Leg{Name: name, P50: latencyOf(legs[i]).P50})
	}
	return trips, nil
}

// once makes the round trips of one create.
func (t *tripper) once(ctx context.Context, template Template, legs []*hdrhistogram.Histogram, sums *hdrhistogram.Histogram) error {
	t.serial++
	key := volume.Key{Project: t.project, Name: volume.Name(fmt.Sprintf("v-%08d", t.serial))}
	calls := []func() error{func() error { return t.command(ctx, key, template) }}
	m := &mark{}
	for _, w := range template.Writes {
		calls = append(calls, func() error { return t.write(key.String(), w, m) })
	}
	calls = append(calls, func() error { return t.reply(ctx, template) })
	var sum time.Duration
	for i, call := range calls {
		began := time.Now()
		if err := call(); err != nil {
			return err
		}
		took := time.Since(began)
		sum += took
		if err := legs[i].RecordValue(max(1, took.Microseconds())); err != nil {
			return err
		}
	}
	return sums.RecordValue(sum.Microseconds())
}

// command publishes a command. One that the stream takes for a duplicate is an error: it is not
// stored, and takes less time.
func (t *tripper) command(ctx context.Context, key volume.Key, template Template) error {
	msg := Write{Message: template.Command}.message(renaming.Replace(commands.Subject(key, unknownVerb)))
	msg.Header.Del(commands.HeaderReply)
	msg.Header.Set(commands.HeaderID, t.nextID(len(msg.Header.Get(commands.HeaderID))))
	ack, err := t.js.PublishMsg(ctx, msg)
	if err == nil && ack.Duplicate {
		err = fmt.Errorf("command of volume %s: %w", key, errDuplicate)
	}
	return err
}

// nextID is the id of a command, length characters long. The letter tells it from those of
// [bareClient], which are digits.
func (t *tripper) nextID(length int) string {
	return "t" + padded(uint64(t.serial), length-1) //nolint:gosec // it is counted up from 0
}

func (t *tripper) write(key string, w Write, m *mark) error {
	if w.Event == "" {
		return t.w.writeRecord(key, w, m)
	}
	event, err := t.w.publishEvent(key, w, m)
	if err != nil {
		return err
	}
	return m.settle(event)
}

func (t *tripper) reply(ctx context.Context, template Template) error {
	if err := t.from.Publish(t.replies.Subject, template.Reply.Data); err != nil {
		return err
	}
	_, err := t.replies.NextMsgWithContext(ctx)
	return err
}
