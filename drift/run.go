package drift

import (
	"context"
	"math/rand/v2"
	"time"

	"github.com/jetvol/jetvol/commands"
)

// forever is longer than any process runs.
const forever = time.Duration(1<<63 - 1)

// All returns the numbers of all partitions.
func All() []int {
	all := make([]int, commands.Partitions)
	for i := range all {
		all[i] = i
	}
	return all
}

// Run sweeps until ctx ends: all partitions of this process once per interval, and each
// soon after it was taken over. A sweep that failed is made again soon.
func (s *Sweeper) Run(ctx context.Context) {
	schedule{
		interval: s.options.Interval, soon: s.options.Soon,
		serves: s.options.Partitions.Serves, sweep: s.sweepAndTell,
	}.run(ctx)
}

// sweepAndTell sweeps and logs, and reports whether it came to the end.
func (s *Sweeper) sweepAndTell(ctx context.Context, partitions []int) bool {
	report, err := s.Sweep(ctx, partitions)
	if ctx.Err() != nil {
		return false
	}
	event := s.log.Info()
	if err != nil {
		event = s.log.Warn().Err(err)
	}
	event.Ints("partitions", partitions).Int("volumes", report.Volumes).Int("objects", report.Objects).
		Int("skipped", report.Skipped).Int("commands", report.Commands).Dur("took", report.Took).Msg("swept")
	return err == nil
}

// schedule says when which partitions are swept.
type schedule struct {
	interval, soon time.Duration
	serves         func() ([]int, <-chan struct{})
	sweep          func(ctx context.Context, partitions []int) bool
}

func (s schedule) run(ctx context.Context) {
	fresh := map[int]bool{} // by partition: whether a first sweep of it is still to come to its end
	periodic, early := time.NewTimer(jittered(s.interval)), time.NewTimer(forever)
	defer periodic.Stop()
	defer early.Stop()
	for {
		served, changed := s.serves()
		if renew(fresh, served) {
			early.Reset(rand.N(s.soon))
		}
		select {
		case <-ctx.Done():
			return
		case <-changed:
			continue
		case <-periodic.C:
			periodic.Reset(jittered(s.interval))
		case <-early.C:
			served = only(fresh, served)
		}
		failed := len(served) > 0 && !s.sweep(ctx, served)
		for _, number := range served {
			fresh[number] = failed
		}
		if failed {
			early.Reset(rand.N(s.soon))
		}
	}
}

// renew makes fresh have the served partitions, and reports whether there are new ones.
func renew(fresh map[int]bool, served []int) bool {
	before := make(map[int]bool, len(fresh))
	for number, is := range fresh {
		before[number] = is
	}
	clear(fresh)
	isNew := false
	for _, number := range served {
		is, known := before[number]
		fresh[number] = is || !known
		isNew = isNew || !known
	}
	return isNew
}

// only returns the served partitions that are still to be swept for the first time.
func only(fresh map[int]bool, served []int) []int {
	var still []int
	for _, number := range served {
		if fresh[number] {
			still = append(still, number)
		}
	}
	return still
}

// jittered returns d, give or take a fifth, so that workers that began together do not
// stay together.
func jittered(d time.Duration) time.Duration {
	fifth := d / 5
	if fifth <= 0 {
		return d
	}
	return d - fifth + rand.N(2*fifth)
}
