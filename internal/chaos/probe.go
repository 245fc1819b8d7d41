package main

import (
	"context"
	"fmt"
	"hash/fnv"
	"strconv"
	"strings"
	"sync"
	"time"

	"github.com/nats-io/nats.go"

	"github.com/jetvol/jetvol/commands"
	"github.com/jetvol/jetvol/volume"
)

// probeEvery is how often each partition is asked. What is measured is at most so much
// longer than what happened.
const probeEvery = 100 * time.Millisecond

// A partition that has not answered the last probesAhead is asked in every slowRound-th
// round only: on a busy machine the probes would else be more than it can ever answer.
const (
	probesAhead = 50
	slowRound   = 10
)

// probes ask one volume of each partition again and again, with commands that change
// nothing, and so see when a partition has nobody who answers.
type probes struct {
	conn  *nats.Conn
	inbox string
	names [commands.Partitions]volume.Name

	mu       sync.Mutex // guards all below
	sent     int
	answered int
	rounds   [commands.Partitions]int // of the last answer
	watches  []*watch
	gaps     []gap
}

// watch waits for the first answer to a probe that was sent after a disturbance.
type watch struct {
	gap
	began     time.Time
	partition int
}

// gap is how long a partition was silent.
type gap struct {
	kind      string
	length    time.Duration
	disturbed bool // by something else meanwhile
}

func startProbes(conn *nats.Conn) (*probes, error) {
	p := &probes{conn: conn, inbox: conn.NewInbox(), names: probeNames()}
	_, err := conn.Subscribe(p.inbox, p.take)
	return p, err
}

// probeNames returns the name of a volume in each partition.
func probeNames() (names [commands.Partitions]volume.Name) {
	for missing, i := commands.Partitions, 0; missing > 0; i++ {
		name := volume.Name("probe-" + strconv.Itoa(i))
		if at := partitionOf(volume.Key{Project: project, Name: name}); names[at] == "" {
			names[at] = name
			missing--
		}
	}
	return names
}

// partitionOf is what the server's partition(16,1,2) does.
func partitionOf(key volume.Key) int {
	hash := fnv.New32a()
	_, _ = hash.Write([]byte(string(key.Project) + string(key.Name))) // never fails
	return int(hash.Sum32() % commands.Partitions)
}

// run sends probes until ctx ends.
func (p *probes) run(ctx context.Context) {
	ticker := time.NewTicker(probeEvery)
	defer ticker.Stop()
	for round := 0; ; round++ {
		select {
		case <-ctx.Done():
			return
		case <-ticker.C:
		}
		for partition, name := range p.names {
			if !p.due(partition, round) {
				continue
			}
			key := volume.Key{Project: project, Name: name}
			msg := nats.NewMsg(commands.Subject(key, volume.VerbCreate))
			msg.Header.Set(commands.HeaderID, fmt.Sprintf("probe/%d/%d/%d", partition, round, time.Now().UnixNano()))
			msg.Header.Set(commands.HeaderReply, p.inbox)
			msg.Data = []byte(`{"size":"1MiB","validate_only":true}`)
			if p.conn.PublishMsg(msg) == nil { // else there is no connection now, which is known
				p.mu.Lock()
				p.sent++
				p.mu.Unlock()
			}
		}
	}
}

// due reports whether a partition is to be asked in the round.
func (p *probes) due(partition, round int) bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	return round-p.rounds[partition] <= probesAhead || round%slowRound == 0
}

// take is called with each answer.
func (p *probes) take(msg *nats.Msg) {
	now := time.Now()
	reply, err := commands.DecodeReply(msg.Data)
	if err != nil {
		return
	}
	parts := strings.Split(string(reply.CommandID), "/")
	if len(parts) != 4 {
		return
	}
	partition, _ := strconv.Atoi(parts[1]) // the probe's own text
	round, _ := strconv.Atoi(parts[2])
	nanos, _ := strconv.ParseInt(parts[3], 10, 64)
	sent := time.Unix(0, nanos)
	p.mu.Lock()
	defer p.mu.Unlock()
	p.answered++
	p.rounds[partition] = max(p.rounds[partition], round)
	waiting := p.watches[:0]
	for _, w := range p.watches {
		if w.partition != partition || sent.Before(w.began) {
			waiting = append(waiting, w)
			continue
		}
		w.length = now.Sub(w.began)
		p.gaps = append(p.gaps, w.gap)
	}
	p.watches = waiting
}

// watch begins to measure how long the partitions are silent.
func (p *probes) watch(kind string, partitions []int) {
	p.mu.Lock()
	defer p.mu.Unlock()
	for _, partition := range partitions {
		p.watches = append(p.watches, &watch{gap: gap{kind: kind}, began: time.Now(), partition: partition})
	}
}

// disturb notes that something else happened: what is being measured is not the effect
// of one disturbance alone.
func (p *probes) disturb() {
	p.mu.Lock()
	defer p.mu.Unlock()
	for _, w := range p.watches {
		w.disturbed = true
	}
}

// takeovers returns how long partitions were silent after disturbances of that kind, of
// those that nothing else disturbed, and of all.
func (p *probes) takeovers(kind string) (alone, all []time.Duration) {
	p.mu.Lock()
	defer p.mu.Unlock()
	for _, g := range p.gaps {
		if g.kind != kind {
			continue
		}
		all = append(all, g.length)
		if !g.disturbed {
			alone = append(alone, g.length)
		}
	}
	return alone, all
}
