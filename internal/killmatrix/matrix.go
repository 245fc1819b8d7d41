package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"time"

	"golang.org/x/sync/errgroup"
)

// progressEvery is the pause between lines that tell how far the run is.
const progressEvery = 5 * time.Second

// trialsPerSite is how many trials one server sees: its streams stay small.
const trialsPerSite = 40

// job is one trial to be made.
type job struct {
	cell cell
	seed uint64
	// quiet are points that the command must not reach, all armed at once. There is no
	// kill then, and the cell has no point.
	quiet []point
}

func (j job) String() string {
	if len(j.quiet) == 0 {
		return fmt.Sprintf("%s, seed %d", j.cell, j.seed)
	}
	names := make([]string, len(j.quiet))
	for i, p := range j.quiet {
		names[i] = p.name
	}
	return fmt.Sprintf("%s without %s, seed %d", j.cell.column.name, strings.Join(names, ", "), j.seed)
}

// result is what came of a job.
type result struct {
	job
	kills int
	err   error
	dir   string // kept if err is not nil
	took  time.Duration
}

// run is a whole matrix, or a part of it.
type run struct {
	binary   string
	base     string
	store    store
	parallel int
	stderr   io.Writer
	jobs     []job

	mu      sync.Mutex // guards results
	results []result
}

// jobsOf returns the trials of the cells with so many seeds, and for each column those
// that show what it does not reach. The order is mixed, so that the slow ones do not
// come together.
func jobsOf(chosen []cell, seeds int, first uint64) []job {
	var jobs []job
	columnsSeen := map[string]bool{}
	for _, c := range chosen {
		for n := range seeds {
			jobs = append(jobs, job{cell: c, seed: first + uint64(n)})
		}
		if !columnsSeen[c.column.name] {
			columnsSeen[c.column.name] = true
			jobs = append(jobs, quietJobs(c.column, first)...)
		}
	}
	rng := rand.New(rand.NewPCG(first, uint64(len(jobs))))
	rng.Shuffle(len(jobs), func(i, j int) { jobs[i], jobs[j] = jobs[j], jobs[i] })
	return jobs
}

// quietJobs arm every point that the column does not reach. A failpoint takes one value
// at a time, so there are as many trials as the most shared one has points.
func quietJobs(c column, seed uint64) []job {
	var rounds []map[string]point
	for _, p := range points() {
		if _, why := at(c, p); why != "" {
			rounds = place(rounds, p)
		}
	}
	jobs := make([]job, len(rounds))
	for i, round := range rounds {
		jobs[i] = job{cell: cell{column: c, scenario: plain}, seed: seed}
		for _, p := range points() {
			if _, armed := round[p.places[0]]; armed && round[p.places[0]].name == p.name {
				jobs[i].quiet = append(jobs[i].quiet, p)
			}
		}
	}
	return jobs
}

// place puts the point into the first round in which its failpoints are free.
func place(rounds []map[string]point, p point) []map[string]point {
	for i, round := range rounds {
		if _, taken := round[p.places[0]]; !taken {
			rounds[i][p.places[0]] = p
			return rounds
		}
	}
	return append(rounds, map[string]point{p.places[0]: p})
}

// do makes all trials, several at a time. It returns an error only if ctx ended or the
// machine does not let it work; what trials found is in the results.
func (r *run) do(ctx context.Context) error {
	group, ctx := errgroup.WithContext(ctx)
	queue := make(chan job)
	group.Go(func() error {
		defer close(queue)
		for _, j := range r.jobs {
			select {
			case queue <- j:
			case <-ctx.Done():
				return ctx.Err()
			}
		}
		return nil
	})
	for n := range r.parallel {
		group.Go(func() error { return r.lane(ctx, filepath.Join(r.base, fmt.Sprintf("lane-%d", n+1)), queue) })
	}
	ended, told := make(chan struct{}), make(chan struct{})
	go func() {
		defer close(told)
		r.progress(ended)
	}()
	defer func() { close(ended); <-told }()
	return group.Wait()
}

// lane makes trials one after another, on a server of its own.
func (r *run) lane(ctx context.Context, dir string, queue <-chan job) (err error) {
	var s *site
	defer func() {
		if s != nil {
			err = errors.Join(err, s.close())
		}
	}()
	for number := 1; ; number++ {
		j, more := <-queue
		if !more || ctx.Err() != nil {
			return ctx.Err()
		}
		if s == nil {
			if s, err = newSite(ctx, filepath.Join(dir, fmt.Sprintf("site-%d", number))); err != nil {
				return err
			}
		}
		done := r.try(ctx, s, filepath.Join(dir, fmt.Sprintf("trial-%d", number)), j)
		r.add(done)
		if done.err == nil && s.trials < trialsPerSite {
			continue
		}
		if s, err = nil, r.leave(s, done); err != nil {
			return err
		}
	}
}

// leave closes a site and removes its files, unless a failed trial may be explained by them.
func (r *run) leave(s *site, last result) error {
	if err := s.close(); err != nil || last.err != nil {
		return err
	}
	return os.RemoveAll(s.dir)
}

// try makes one trial. The files of a good one are removed.
func (r *run) try(ctx context.Context, s *site, dir string, j job) result {
	began := time.Now()
	done := result{job: j, dir: dir}
	plan := newPlan(j.cell, j.seed, s.project())
	t, err := newTrial(ctx, s, r.binary, r.store, dir, plan)
	switch {
	case err != nil:
	case len(j.quiet) > 0:
		err = t.runQuiet(ctx, j.quiet)
	default:
		err = t.run(ctx)
	}
	if t != nil {
		done.kills = len(t.kills)
	}
	if done.err = err; err == nil {
		done.err = os.RemoveAll(dir)
	}
	done.took = time.Since(began)
	return done
}

func (r *run) add(done result) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.results = append(r.results, done)
	if done.err != nil {
		fmt.Fprintf(r.stderr, "killmatrix: FAILED %s after %s (%s):\n\t%s\n", done.job, done.took.Round(time.Millisecond), done.dir,
			strings.ReplaceAll(done.err.Error(), "\n", "\n\t"))
	}
}

// progress tells how far the run is until it has ended.
func (r *run) progress(ended <-chan struct{}) {
	ticker := time.NewTicker(progressEvery)
	defer ticker.Stop()
	for {
		select {
		case <-ended:
			return
		case <-ticker.C:
			r.mu.Lock()
			count := tally(r.results)
			fmt.Fprintf(r.stderr, "killmatrix: %d of %d trials, %d kills, %d failures\n", count.trials, len(r.jobs), count.kills, count.failures)
			r.mu.Unlock()
		}
	}
}

type counts struct {
	trials, kills, failures int
}

func tally(results []result) counts {
	var c counts
	for _, r := range results {
		c.trials++
		c.kills += r.kills
		if r.err != nil {
			c.failures++
		}
	}
	return c
}
