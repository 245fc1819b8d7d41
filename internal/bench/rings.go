package bench

import (
	"context"
	"math"
	"time"

	"github.com/jetvol/jetvol/fsm"
	"github.com/jetvol/jetvol/kv"
	"github.com/jetvol/jetvol/volume"
)

// A record keeps the answers to its volume's last commands in a ring. The ring of a volume that
// gets one command after another fills up, loses its older half, and fills up again: the record
// of a template has to have as many answers as jetvol's records have on average.

// meanRing is how many answers a record has when a command comes, averaged over so many commands
// to a volume whose record has now answers before the first of them.
func meanRing(now int, commands float64) float64 {
	whole := max(1, int(math.Round(commands)))
	sum := 0
	for range whole {
		if now == fsm.MaxOutcomes { // the worker makes room before it decides
			now -= fsm.MaxOutcomes / 2
		}
		sum += now
		now++
	}
	return float64(sum) / float64(whole)
}

// ripen returns a new volume and what is done to it so that every verb of a workload whose volumes
// stay comes up last with about that many answers in the record. Of an attach and a detach after
// it the one has half an answer less, the other half an answer more.
func (s *source) ripen(ring float64) (volume.Key, []deed) {
	s.mu.Lock()
	defer s.mu.Unlock()
	deeds := []deed{createIt}
	if s.workload == Hot {
		for range max(1, int(math.Round(ring))) {
			deeds = append(deeds, s.grow())
		}
		return s.nextKey(), deeds
	}
	for range max(1, int(math.Round((ring+0.5)/2))) {
		deeds = append(deeds, attachIt, detachIt)
	}
	return s.nextKey(), deeds
}

// ring is how many answers the record has of the volume whose turn comes next.
func (r *run) ring(ctx context.Context) (int, error) {
	entry, err := kv.NewVolumes(r.js).ByKey(ctx, r.jetvol.source.next())
	return len(entry.Value.Outcomes), err
}

// sampleRound takes the templates of a round of that length. If the pace is as it was in jetvol's
// last turn, their records are as long as jetvol's are on average.
func (r *run) sampleRound(ctx context.Context, d time.Duration) error {
	s := r.jetvol.source
	if !s.workload.stays() && s.workload != Hot {
		return r.sample(ctx, s.sample)
	}
	now, err := r.ring(ctx)
	if err != nil {
		return err
	}
	ring := meanRing(now, r.pace*d.Seconds()/float64(s.staying()))
	return r.sample(ctx, func() (volume.Key, []deed) { return s.ripen(ring) })
}
