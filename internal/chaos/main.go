// Command chaos puts many real `jetvol worker` processes and one or three real NATS
// servers under load, disturbs them at random moments, and then proves that nothing was
// lost, doubled, reordered or left half-done:
//
//	go run ./internal/chaos -kills 200 -stops 50
//	go run ./internal/chaos -servers 3 -server-kills 30
//
// Workers are killed with SIGKILL, stopped with SIGSTOP and woken again, drained and
// joined, and cut off from the server; servers are killed and started again, or stopped
// for a while. All volumes are on one local backend, so that a worker that goes on where
// it should not shows. Meanwhile a probe in each partition measures how long nobody
// answered there after its owner was killed or stopped.
//
// When all that is done every process is woken, every command gets its answer, the
// processes end in order, one worker starts once more and finds nothing to do; then all
// witnesses are compared with the checks of packages verify and history. The last line
// has the counts; the exit code is 0 if there is no fault, 1 if there is one or the run
// could not be ended, and 2 for wrong flags. On failure the directory is kept.
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"os"
	"os/signal"
	"syscall"
	"time"

	"github.com/jetvol/jetvol/internal/history"
	"github.com/jetvol/jetvol/internal/natsproc"
	"github.com/jetvol/jetvol/internal/trial"
	"github.com/jetvol/jetvol/internal/verify"
)

// Exit codes.
const (
	exitFault = 1
	exitUsage = 2
)

// historyLimit bounds the check of the answers to one volume.
const historyLimit = time.Minute

var (
	errUsage  = errors.New("usage")
	errFaults = errors.New("faults found")
)

func main() {
	if code, served := natsproc.Main(); served {
		os.Exit(code)
	}
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	err := run(ctx, os.Args[1:], os.Stdout, os.Stderr)
	stop()
	switch {
	case err == nil, errors.Is(err, flag.ErrHelp):
	case errors.Is(err, errUsage):
		fmt.Fprintln(os.Stderr, "chaos:", err)
		os.Exit(exitUsage)
	default:
		fmt.Fprintln(os.Stderr, "chaos:", err)
		os.Exit(exitFault)
	}
}

// run makes one run, judges it and prints the result.
func run(ctx context.Context, args []string, stdout, stderr io.Writer) error {
	o, err := parseOptions(args, stderr)
	if err != nil {
		return err
	}
	place, err := trial.NewPlace(o.dir, "jetvol-chaos-")
	if errors.Is(err, trial.ErrNotEmpty) {
		err = fmt.Errorf("%w: -dir %w", errUsage, err)
	}
	if err != nil {
		return err
	}
	s := newStorm(o, place, stderr)
	evidence, err := s.run(ctx)
	if err != nil {
		place.Tell(s.faults(), stderr)
		return fmt.Errorf("%w (seed %d, directory %s is kept)", err, o.seed, place.Base)
	}
	return s.judge(evidence, stdout)
}

// judge runs all checks, prints the result and removes what a clean run has left.
func (s *storm) judge(e verify.Evidence, stdout io.Writer) error {
	s.say("comparing %d events, %d records, %d objects and %d journal entries; a kill fell into %d operations, a stop into %d",
		len(e.Transitions), len(e.Records), len(e.Objects), len(e.Effects), verify.Disturbed(e, e.Kills), verify.Disturbed(e, e.Stops))
	s.say("succeeded of ended: %s", verify.Tally(e))
	faults := append(verify.All(e), s.faults()...)
	told, err := history.Check(e, history.Options{Limit: historyLimit, Dir: s.place.Base})
	faults = append(faults, told.Faults...)
	if len(faults) > 0 {
		s.place.Tell(faults, s.stderr)
	} else if !s.keep && err == nil {
		err = s.place.Remove()
	}
	_, printed := fmt.Fprintf(stdout, "%s\n%s\n", s.details(told.Operations, faults), s.summary(e, faults))
	if len(faults) > 0 {
		return fmt.Errorf("%d %w, directory %s is kept", len(faults), errFaults, s.place.Base)
	}
	return errors.Join(err, printed)
}
