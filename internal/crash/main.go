// Command crash kills `jetvol up` with SIGKILL, again and again at random moments, while
// many clients command a shared set of volumes, and then proves that nothing was lost,
// doubled, reordered or left half-done:
//
//	go run ./internal/crash -kills 100
//
// It runs the real binary on a real directory. When the last kill is done it starts the
// binary once more, waits until every command has its answer, ends the process in
// order, and compares all witnesses with the checks of package verify. The last line
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
	"strings"
	"syscall"
	"time"

	"github.com/jetvol/jetvol/backends/local"
	"github.com/jetvol/jetvol/internal/load"
	"github.com/jetvol/jetvol/internal/trial"
	"github.com/jetvol/jetvol/internal/verify"
)

// Defaults and bounds of the flags.
const (
	defaultKills     = 100
	defaultClients   = 16
	defaultVolumes   = 48
	defaultMaxUptime = 1500 * time.Millisecond
	minUptime        = 50 * time.Millisecond
)

// Exit codes.
const (
	exitFault = 1
	exitUsage = 2
)

var (
	errUsage  = errors.New("usage")
	errFaults = errors.New("faults found")
)

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	err := run(ctx, os.Args[1:], os.Stdout, os.Stderr)
	stop()
	switch {
	case err == nil, errors.Is(err, flag.ErrHelp):
	case errors.Is(err, errUsage):
		fmt.Fprintln(os.Stderr, "crash:", err)
		os.Exit(exitUsage)
	default:
		fmt.Fprintln(os.Stderr, "crash:", err)
		os.Exit(exitFault)
	}
}

// options are the flags.
type options struct {
	kills     int
	clients   int
	volumes   int
	seed      uint64
	binary    string
	backend   string
	dir       string
	maxUptime time.Duration
	keep      bool
}

func parseOptions(args []string, stderr io.Writer) (options, error) {
	var o options
	flags := flag.NewFlagSet("crash", flag.ContinueOnError)
	flags.SetOutput(stderr)
	flags.IntVar(&o.kills, "kills", defaultKills, "how often to kill")
	flags.IntVar(&o.clients, "clients", defaultClients, "concurrent clients")
	flags.IntVar(&o.volumes, "volumes", defaultVolumes, "volumes that the clients share")
	flags.Uint64Var(&o.seed, "seed", uint64(time.Now().UnixNano()), "of every random choice")
	flags.StringVar(&o.binary, "binary", "", "jetvol binary (default: build ./cmd/jetvol)")
	flags.StringVar(&o.backend, "backend", local.DriverName, "driver that the volumes are on: "+strings.Join(trial.Drivers(), " or "))
	flags.StringVar(&o.dir, "dir", "", "empty directory to work in (default: a temporary one)")
	flags.DurationVar(&o.maxUptime, "max-uptime", defaultMaxUptime, "a kill comes at most this long after ready")
	flags.BoolVar(&o.keep, "keep", false, "keep the directory of a clean run too")
	if err := flags.Parse(args); err != nil {
		if errors.Is(err, flag.ErrHelp) {
			return o, err
		}
		return o, fmt.Errorf("%w: %w", errUsage, err)
	}
	if err := trial.CheckDriver(o.backend); err != nil {
		return o, fmt.Errorf("%w: -backend: %w", errUsage, err)
	}
	return o, o.validate(flags.Args())
}

func (o options) validate(rest []string) error {
	switch {
	case len(rest) > 0:
		return fmt.Errorf("%w: unexpected argument %q", errUsage, rest[0])
	case o.kills < 0 || o.clients < 1 || o.volumes < 1:
		return fmt.Errorf("%w: want -kills ≥ 0, -clients ≥ 1 and -volumes ≥ 1", errUsage)
	case o.maxUptime < minUptime:
		return fmt.Errorf("%w: -max-uptime %s: want at least %s", errUsage, o.maxUptime, minUptime)
	}
	return nil
}

// run makes one run, judges it and prints the result.
func run(ctx context.Context, args []string, stdout, stderr io.Writer) error {
	o, err := parseOptions(args, stderr)
	if err != nil {
		return err
	}
	place, err := trial.NewPlace(o.dir, "jetvol-crash-")
	if errors.Is(err, trial.ErrNotEmpty) {
		err = fmt.Errorf("%w: -dir %w", errUsage, err)
	}
	if err != nil {
		return err
	}
	storm := newStorm(o, place, stderr)
	evidence, err := storm.run(ctx)
	if err != nil {
		return fmt.Errorf("%w (seed %d, directory %s is kept)", err, o.seed, place.Base)
	}
	fmt.Fprintf(stderr, "crash: comparing %d events, %d records, %d objects and %d journal entries; a kill cut %d operations\n",
		len(evidence.Transitions), len(evidence.Records), len(evidence.Objects), len(evidence.Effects), verify.Disturbed(evidence, evidence.Kills))
	fmt.Fprintf(stderr, "crash: succeeded of ended: %s\n", verify.Tally(evidence))
	faults := verify.All(evidence)
	if len(faults) > 0 {
		place.Tell(faults, stderr)
	} else if !o.keep {
		err = place.Remove()
	}
	_, printed := fmt.Fprintln(stdout, summary(len(evidence.Kills), storm.ledger().Counts(), faults, o.seed))
	if len(faults) > 0 {
		return fmt.Errorf("%d %w, directory %s is kept", len(faults), errFaults, place.Base)
	}
	return errors.Join(err, printed)
}

// summary returns the last line of a run.
func summary(kills int, c load.Counts, faults []verify.Fault, seed uint64) string {
	line := fmt.Sprintf("kills=%d commands=%d answers=%d", kills, c.Commands, c.Answers)
	found := verify.Count(faults)
	for _, class := range verify.Classes() {
		name := string(class)
		if class == verify.Disagreement {
			name = "disagreements"
		}
		line += fmt.Sprintf(" %s=%d", name, found[class])
	}
	return line + fmt.Sprintf(" repeated=%d reused=%d seed=%d", c.Repeated, c.Reused, seed)
}
