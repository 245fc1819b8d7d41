package main

import (
	"context"
	"fmt"
	"math/rand/v2"
	"time"

	"github.com/nats-io/nats.go/jetstream"

	"github.com/jetvol/jetvol/commands"
	"github.com/jetvol/jetvol/kv"
	"github.com/jetvol/jetvol/worker/ownership"
)

// deed is one kind of disturbance.
type deed string

// The deeds.
const (
	killWorker     deed = "kill worker"
	stopWorker     deed = "stop worker"
	stopWorkerLong deed = "stop worker long"
	joinWorker     deed = "join worker"
	drainWorker    deed = "drain worker"
	cutWorker      deed = "cut worker"
	killServer     deed = "kill server"
	stopServer     deed = "stop server"
)

// Lengths of disturbances.
const (
	minStop       = 500 * time.Millisecond
	maxStop       = 8 * time.Second
	longStop      = 30 * time.Second
	minCut        = 200 * time.Millisecond
	maxCut        = 4 * time.Second
	maxServerDown = 2 * time.Second
	maxServerStop = 4 * time.Second
	// A stop that is shorter than a lease lives needs no takeover.
	leaseLives = ownership.DefaultTTL + ownership.DefaultGrace + ownership.DefaultHeartbeat
)

// Shares of deeds that are not asked for by number: one of each for so many others.
const (
	killsPerJoin        = 6
	killsPerCut         = 5
	serverKillsPerStop  = 4
	replaceShare        = 75 // percent of killed and drained workers that get a successor at once
	sameNameShare       = 40 // percent of successors that take the name over
	leaderShare         = 60 // percent of disturbed servers that are the leader
	busyServerPauseTime = 200 * time.Millisecond
)

// plan returns the run's deeds in a random order.
func plan(o options, rng *rand.Rand) []deed {
	var deeds []deed
	for _, part := range []struct {
		deed   deed
		number int
	}{
		{killWorker, o.kills},
		{stopWorker, o.stops},
		{stopWorkerLong, o.longStops},
		{joinWorker, share(o.kills, killsPerJoin)},
		{drainWorker, share(o.kills, killsPerJoin)},
		{cutWorker, share(o.kills, killsPerCut)},
		{killServer, o.serverKills},
		{stopServer, share(o.serverKills, serverKillsPerStop)},
	} {
		for range part.number {
			deeds = append(deeds, part.deed)
		}
	}
	rng.Shuffle(len(deeds), func(i, j int) { deeds[i], deeds[j] = deeds[j], deeds[i] })
	return deeds
}

func share(number, per int) int { return (number + per - 1) / per }

// disturber does the deeds.
type disturber struct {
	rng     *rand.Rand
	pace    time.Duration
	crew    *crew
	servers *servers
	probes  *probes
	js      jetstream.JetStream
	leases  *kv.Bucket[ownership.Lease]
	done    func(deed) // is told each deed
}

func (d *disturber) percent(p int) bool { return d.rng.IntN(100) < p }

func (d *disturber) between(least, most time.Duration) time.Duration {
	return least + time.Duration(d.rng.Int64N(int64(most-least)+1))
}

// run does all deeds, one after another, and returns early with the first error or when
// ctx ends. What they have begun may go on until wake ends.
func (d *disturber) run(ctx, wake context.Context, deeds []deed) error {
	for _, deed := range deeds {
		pause(ctx, d.between(d.pace/3, d.pace*5/3))
		if err := d.do(ctx, wake, deed); err != nil {
			return fmt.Errorf("%s: %w", deed, err)
		}
		if ctx.Err() != nil {
			return context.Cause(ctx)
		}
		d.done(deed)
	}
	return nil
}

func (d *disturber) do(ctx, wake context.Context, deed deed) error {
	if err := d.servers.failure(); err != nil {
		return err
	}
	switch deed {
	case killServer, stopServer:
		return d.disturbServer(ctx, wake, deed)
	case joinWorker:
		if len(d.crew.all()) < maxWorkers {
			d.probes.disturb()
			return d.crew.join(ctx, "")
		}
		deed = drainWorker // there is no room
	}
	return d.disturbWorker(ctx, wake, deed)
}

func (d *disturber) disturbWorker(ctx, wake context.Context, deed deed) error {
	id, err := d.choose(ctx, deed)
	if err != nil || id == "" {
		return err
	}
	held := d.partitionsOf(ctx, id)
	d.probes.disturb()
	switch deed {
	case killWorker:
		d.probes.watch("kill", held)
		err = d.crew.kill(id)
	case stopWorker, stopWorkerLong:
		length := longStop
		if deed == stopWorker {
			length = d.between(minStop, maxStop)
		}
		if length > leaseLives {
			d.probes.watch("stop", held)
		}
		return d.crew.pause(wake, id, length)
	case cutWorker:
		d.crew.cut(id, d.between(minCut, maxCut), d.percent(50))
		return nil
	default:
		d.probes.watch("drain", held)
		d.crew.drain(id)
	}
	if err == nil && (d.percent(replaceShare) || len(d.crew.awake()) == 0) && len(d.crew.all()) < maxWorkers {
		successor := ""
		if deed == killWorker && d.percent(sameNameShare) {
			successor = id
		}
		err = d.crew.join(ctx, successor)
	}
	return err
}

// choose returns a worker for the deed. It waits until there is one; if it would be the
// last that is awake, another joins.
func (d *disturber) choose(ctx context.Context, deed deed) (string, error) {
	for ctx.Err() == nil {
		ids := d.crew.awake()
		if deed == killWorker {
			ids = d.crew.all() // paused or still starting: that is the same to it
		}
		if len(d.crew.awake()) <= 1 && len(d.crew.all()) < maxWorkers {
			if err := d.crew.join(ctx, ""); err != nil {
				return "", err
			}
		}
		if len(ids) > 0 {
			return ids[d.rng.IntN(len(ids))], nil
		}
		pause(ctx, busyServerPauseTime)
	}
	return "", nil
}

// partitionsOf returns what the worker holds by its lease, nothing if it cannot be read
// now.
func (d *disturber) partitionsOf(ctx context.Context, id string) []int {
	ctx, cancel := context.WithTimeout(ctx, askTimeout)
	defer cancel()
	lease, err := d.leases.Get(ctx, ownership.LeaseKey(id))
	if err != nil {
		return nil
	}
	return lease.Value.Partitions
}

func (d *disturber) disturbServer(ctx, wake context.Context, deed deed) error {
	for !d.servers.begin() { // one at a time
		if err := d.servers.failure(); err != nil || ctx.Err() != nil {
			return err
		}
		pause(ctx, busyServerPauseTime)
	}
	d.probes.disturb()
	all := make([]int, commands.Partitions)
	for i := range all {
		all[i] = i
	}
	d.probes.watch("server", all)
	server := d.servers.choose(ctx, d.js, d.rng.IntN(len(d.servers.all)), d.percent(leaderShare))
	if deed == killServer {
		d.servers.kill(wake, d.js, server, d.between(0, maxServerDown))
	} else {
		d.servers.stop(wake, d.js, server, d.between(minStop, maxServerStop))
	}
	return nil
}
