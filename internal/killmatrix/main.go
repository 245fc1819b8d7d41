// Command killmatrix kills a worker with SIGKILL at every point of its work, for every
// kind of command, and proves that another worker brings the command to its end:
//
//	go run ./internal/killmatrix -seeds 20
//
// The points are failpoints, comments in the source which only a copy of the module that
// this program makes and builds turns into code. A square of the matrix is a point and a
// column, which is a verb or a way in which a command does not get that far; a trial is
// a square and a seed. In each trial a real worker process brings a volume to where the
// command needs it, receives the command and dies at the point by its own hand. Then
// another process goes on, and the checks of package verify judge what is left.
//
// The volumes are on disk, or with -backend ceph (and -tags ceph,pacific) on a throw-away
// Ceph cluster that the program starts and ends.
//
// A worker that does not die at its point is a failure, and so is one that dies at a
// point which its column is said not to reach. The last line has the counts; the exit
// code is 0 if nothing failed, 1 if something did or the run could not be ended, and 2
// for wrong flags.
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"math/rand/v2"
	"os"
	"os/signal"
	"regexp"
	"strings"
	"syscall"
	"time"

	"github.com/jetvol/jetvol/backends/local"
	trials "github.com/jetvol/jetvol/internal/trial"
)

// Defaults of the flags.
const (
	defaultParallel = 8
	defaultDocument = "docs/reliability.md"
)

// Exit codes.
const (
	exitFault = 1
	exitUsage = 2
)

var (
	errUsage    = errors.New("usage")
	errFailures = errors.New("trials failed")
)

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	err := execute(ctx, os.Args[1:], os.Stdout, os.Stderr)
	stop()
	switch {
	case err == nil, errors.Is(err, flag.ErrHelp):
	case errors.Is(err, errUsage):
		fmt.Fprintln(os.Stderr, "killmatrix:", err)
		os.Exit(exitUsage)
	default:
		fmt.Fprintln(os.Stderr, "killmatrix:", err)
		os.Exit(exitFault)
	}
}

// options are the flags.
type options struct {
	seeds    int
	first    uint64
	sample   int
	parallel int
	columns  *regexp.Regexp
	points   *regexp.Regexp
	root     string
	document string
	sabotage string
	backend  string
	update   bool
	keep     bool
}

func parseOptions(args []string, stderr io.Writer) (options, error) {
	var o options
	var columns, points string
	flags := flag.NewFlagSet("killmatrix", flag.ContinueOnError)
	flags.SetOutput(stderr)
	flags.IntVar(&o.seeds, "seeds", 1, "trials of each square")
	flags.Uint64Var(&o.first, "seed", 1, "the first seed; the others follow it")
	flags.IntVar(&o.sample, "sample", 0, "so many squares only, chosen by the seed (default all)")
	flags.IntVar(&o.parallel, "parallel", defaultParallel, "trials at a time, each on a server of its own")
	flags.StringVar(&columns, "columns", "", "only columns that match the expression")
	flags.StringVar(&points, "points", "", "only points that match the expression")
	flags.StringVar(&o.backend, "backend", local.DriverName, "driver that the workers use: "+strings.Join(trials.Drivers(), " or "))
	flags.StringVar(&o.root, "root", ".", "directory of the module")
	flags.StringVar(&o.document, "document", defaultDocument, "file with the table, within the module")
	flags.StringVar(&o.sabotage, "sabotage", "", "put this fault into the copy, which has to be found: "+sabotageNames())
	flags.BoolVar(&o.update, "update", false, "write the table of a whole run into the document")
	flags.BoolVar(&o.keep, "keep", false, "keep the directory of a clean run too")
	if err := flags.Parse(args); err != nil {
		if errors.Is(err, flag.ErrHelp) {
			return o, err
		}
		return o, fmt.Errorf("%w: %w", errUsage, err)
	}
	var err error
	if o.columns, err = regexp.Compile(columns); err != nil {
		return o, fmt.Errorf("%w: -columns: %w", errUsage, err)
	}
	if o.points, err = regexp.Compile(points); err != nil {
		return o, fmt.Errorf("%w: -points: %w", errUsage, err)
	}
	if err := trials.CheckDriver(o.backend); err != nil {
		return o, fmt.Errorf("%w: -backend: %w", errUsage, err)
	}
	return o, o.validate(flags.Args())
}

func (o options) validate(rest []string) error {
	partial := o.sample > 0 || o.columns.String() != "" || o.points.String() != ""
	_, known := sabotages[o.sabotage]
	switch {
	case len(rest) > 0:
		return fmt.Errorf("%w: unexpected argument %q", errUsage, rest[0])
	case o.seeds < 1 || o.parallel < 1 || o.sample < 0:
		return fmt.Errorf("%w: want -seeds ≥ 1, -parallel ≥ 1 and -sample ≥ 0", errUsage)
	case o.sabotage != "" && !known:
		return fmt.Errorf("%w: -sabotage %q: want one of %s", errUsage, o.sabotage, sabotageNames())
	case o.update && o.backend != local.DriverName:
		return fmt.Errorf("%w: -update is for the table over the backend %s", errUsage, local.DriverName)
	case o.update && (partial || o.sabotage != ""):
		return fmt.Errorf("%w: -update needs the whole matrix", errUsage)
	}
	return nil
}

// edits returns what is to be changed in the copy.
func (o options) edits() []edit {
	if o.sabotage == "" {
		return nil
	}
	return []edit{sabotages[o.sabotage]}
}

// chosen returns the squares that the flags leave.
func (o options) chosen() []cell {
	var chosen []cell
	for _, c := range cells() {
		if o.columns.MatchString(c.column.name) && o.points.MatchString(c.point.name) {
			chosen = append(chosen, c)
		}
	}
	if o.sample > 0 && o.sample < len(chosen) {
		rng := rand.New(rand.NewPCG(o.first, 0))
		rng.Shuffle(len(chosen), func(i, j int) { chosen[i], chosen[j] = chosen[j], chosen[i] })
		chosen = chosen[:o.sample]
	}
	return chosen
}

// execute builds, makes all trials and prints the result.
func execute(ctx context.Context, args []string, stdout, stderr io.Writer) (err error) {
	o, err := parseOptions(args, stderr)
	if err != nil {
		return err
	}
	base, err := os.MkdirTemp("", "jetvol-killmatrix-")
	if err != nil {
		return err
	}
	began := time.Now()
	in, err := newStore(ctx, o.backend, base)
	if err != nil {
		return fmt.Errorf("%w (directory %s is kept)", err, base)
	}
	defer func() { err = errors.Join(err, in.close()) }()
	binary, err := instrument(ctx, o.root, base, o.backend, o.edits())
	if err != nil {
		return fmt.Errorf("%w (directory %s is kept)", err, base)
	}
	fmt.Fprintf(stderr, "killmatrix: built in %s, in %s\n", time.Since(began).Round(time.Millisecond), base)
	chosen := o.chosen()
	r := &run{binary: binary, base: base, store: in, parallel: o.parallel, stderr: stderr, jobs: jobsOf(chosen, o.seeds, o.first)}
	if err := r.do(ctx); err != nil {
		return fmt.Errorf("%w (directory %s is kept)", err, base)
	}
	count := tally(r.results)
	if o.update {
		if err := updateDocument(o, r.results); err != nil {
			return err
		}
	}
	fmt.Fprintf(stderr, "killmatrix: %d trials in %s\n", count.trials, time.Since(began).Round(time.Second))
	fmt.Fprintln(stdout, summary(chosen, o.seeds, count))
	if count.failures > 0 {
		return fmt.Errorf("%d %w, directory %s is kept", count.failures, errFailures, base)
	}
	if o.keep {
		return nil
	}
	if err := in.close(); err != nil {
		return err
	}
	return os.RemoveAll(base)
}

// summary returns the last line of a run.
func summary(chosen []cell, seeds int, c counts) string {
	points, columns := map[string]bool{}, map[string]bool{}
	for _, cell := range chosen {
		points[cell.point.name], columns[cell.column.name] = true, true
	}
	return fmt.Sprintf("points=%d verbs=%d cells=%d seeds=%d kills=%d failures=%d",
		len(points), len(columns), len(chosen), seeds, c.kills, c.failures)
}
