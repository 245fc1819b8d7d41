package drift

import (
	"context"
	"slices"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/jetvol/jetvol/backends"
	"github.com/jetvol/jetvol/backends/null"
	"github.com/jetvol/jetvol/volume"
)

// share is what a worker serves, as a test says.
type share struct {
	mu      sync.Mutex
	served  []int
	changed chan struct{}
}

func (s *share) set(served ...int) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.served = served
	close(s.changed)
	s.changed = make(chan struct{})
}

func (s *share) Serves() ([]int, <-chan struct{}) {
	s.mu.Lock()
	defer s.mu.Unlock()
	return slices.Clone(s.served), s.changed
}

// swept is one sweep that a schedule has asked for.
type swept struct {
	at         time.Duration
	partitions []int
}

// follow runs a schedule in a bubble for as long as during does, and returns its sweeps.
// Those of which fails is true come to nothing.
func follow(during func(*share), fails func(int) bool) []swept {
	var all []swept
	share := &share{changed: make(chan struct{})}
	ctx, cancel := context.WithCancel(context.Background())
	began, done := time.Now(), make(chan struct{})
	go func() {
		defer close(done)
		schedule{
			interval: time.Hour, soon: time.Minute, serves: share.Serves,
			sweep: func(_ context.Context, partitions []int) bool {
				all = append(all, swept{time.Since(began), partitions})
				return !fails(len(all))
			},
		}.run(ctx)
	}()
	during(share)
	cancel()
	<-done
	return all
}

func never(int) bool { return false }

func TestSchedule_TakenOver_SweptSoonAndOnce(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		all := follow(func(s *share) {
			s.set(1, 2)
			<-time.After(2 * time.Minute)
			s.set(1, 2) // a change that is none
			<-time.After(2 * time.Minute)
			s.set(2, 3)
			<-time.After(2 * time.Minute)
			s.set()
			<-time.After(2 * time.Minute)
			s.set(2) // again
			<-time.After(2 * time.Minute)
		}, never)
		want := [][]int{{1, 2}, {3}, {2}}
		if len(all) != len(want) {
			t.Fatalf("got %v, want %v", all, want)
		}
		for i, one := range all {
			if !slices.Equal(one.partitions, want[i]) {
				t.Errorf("sweep %d: got %v, want %v", i, one.partitions, want[i])
			}
		}
		if all[0].at > time.Minute || all[1].at < 4*time.Minute || all[1].at > 5*time.Minute {
			t.Errorf("got %v, want each within a minute", all)
		}
	})
}

func TestSchedule_Hourly_AllThatIsServed(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		all := follow(func(s *share) {
			s.set(1, 2)
			<-time.After(10 * time.Hour)
		}, never)
		if len(all) < 1+8 || len(all) > 1+12 {
			t.Fatalf("got %d sweeps in ten hours, want one first and about ten", len(all))
		}
		distances := map[time.Duration]bool{}
		for i := 2; i < len(all); i++ {
			distance := all[i].at - all[i-1].at
			distances[distance] = true
			if distance < 48*time.Minute || distance > 72*time.Minute || len(all[i].partitions) != 2 {
				t.Errorf("sweep %d: got %v after %s, want both an hour later, give or take a fifth", i, all[i].partitions, distance)
			}
		}
		if len(distances) < 2 {
			t.Errorf("got distances %v, want them to differ", distances)
		}
	})
}

func TestSchedule_Failed_AgainSoon(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		all := follow(func(s *share) {
			s.set(5)
			<-time.After(5 * time.Minute)
		}, func(sweep int) bool { return sweep < 3 })
		if len(all) != 3 {
			t.Errorf("got %v, want two that failed and one that did not", all)
		}
	})
}

// TestSweeper_Look_RateHolds counts the looks that fit into ten seconds.
func TestSweeper_Look_RateHolds(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		const looks, seconds = 20, 10
		s := &Sweeper{limiter: newLimiter(looks), metrics: newMetrics(prometheus.NewRegistry())}
		backend := backends.New("null", null.New(null.Options{}), backends.Options{})
		ctx, cancel := context.WithTimeout(t.Context(), seconds*time.Second)
		defer cancel()
		count := 0
		for ; ; count++ {
			if _, err := s.look(ctx, backend, volume.Key{Project: "default", Name: "db-01"}); err != nil {
				break
			}
		}
		if want := looks * seconds; count < want || count > want+looks {
			t.Errorf("got %d looks in %d s, want about %d", count, seconds, want)
		}
		if err := backend.Close(); err != nil {
			t.Fatal(err)
		}
	})
}

func TestShareOf_Halved_MakesTwo(t *testing.T) {
	counts := map[uint32]int{}
	for i := range 4000 {
		key := volume.Key{Project: "default", Name: volume.Name("db-" + string(rune('a'+i%26)) + time.Duration(i).String())}
		const shares = 8
		share := shareOf(key, shares)
		counts[share]++
		if half := shareOf(key, 2*shares) / 2; half != share {
			t.Fatalf("%s: share %d becomes %d", key, share, half)
		}
	}
	for share := range uint32(8) {
		if counts[share] < 250 {
			t.Errorf("got shares %v, want all used alike", counts)
		}
	}
}
