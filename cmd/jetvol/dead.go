package main

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strconv"
	"strings"
	"unicode"

	"github.com/spf13/cobra"

	"github.com/jetvol/jetvol/commands"
	"github.com/jetvol/jetvol/volume"
)

const deadLong = `Shows commands that were not carried out, and tries them again. A letter is named by
its SEQUENCE on the stream of dead letters. Its kind says how it came there:

  buried          a worker could not read it; the code says why
  max_deliveries  the server delivers it no more, as somebody has limited that; it is
                  still in the command stream
  terminated      somebody else than a worker took it out of the command stream; its
                  payload is lost
  unreadable      what is stored is no dead letter`

func (a *app) deadCommand() *cobra.Command {
	command := group(&cobra.Command{
		Use:   "dead",
		Short: "Look at commands that were not carried out, and try them again",
		Long:  deadLong,
	})
	command.AddCommand(a.deadListCommand(), a.deadShowCommand(), a.deadReplayCommand(), a.deadDropCommand())
	return command
}

// deadFilterFlags select dead letters. What they are compared with may be invalid, so
// any text is taken.
type deadFilterFlags struct {
	volume string
	verb   string
	code   volume.Code
	kind   commands.DeadKind
	since  moment
}

func (f *deadFilterFlags) register(command *cobra.Command) {
	f.since = moment{past: true}
	flags := command.Flags()
	flags.StringVar(&f.volume, "volume", "", "only commands to the volume with this name")
	flags.StringVar(&f.verb, "verb", "", "only commands with this verb")
	codes := slices.Sorted(maps.Keys(volume.Codes()))
	choice(command, &oneOf[volume.Code]{&f.code, codes, "CODE"}, "code", "only letters with this code", words(codes))
	choice(command, &oneOf[commands.DeadKind]{&f.kind, commands.DeadKinds(), "KIND"}, "kind",
		"only letters of this kind", words(commands.DeadKinds()))
	flags.Var(&f.since, "since", "only what was buried after this: a time, or how long ago")
}

// filter returns what to select. The project counts only if it is given: a name that is
// wrong may be that of the project.
func (f *deadFilterFlags) filter(a *app, c *cobra.Command) commands.DeadFilter {
	filter := commands.DeadFilter{
		Volume: volume.Name(f.volume), Verb: volume.Verb(f.verb), Code: f.code, Kind: f.kind, Since: f.since.Time,
	}
	if c.Flags().Changed("project") {
		filter.Project = volume.Project(a.project)
	}
	return filter
}

// openDeadLetters connects and returns the dead letters, and what closes the connection.
func (a *app) openDeadLetters(c *cobra.Command) (*commands.DeadLetters, func(), error) {
	conn, err := a.connectHome(c.Flags())
	if err != nil {
		return nil, nil, err
	}
	letters, err := commands.NewDeadLetters(conn, a.connection.timeout)
	if err != nil {
		conn.Close()
		return nil, nil, err
	}
	return letters, conn.Close, nil
}

// deadChoice is which letters to replay or drop: those named, or all that match.
type deadChoice struct {
	deadFilterFlags
	consent
	all bool
}

// narrowing are the flags that go with --all.
var narrowing = []string{"volume", "verb", "code", "kind", "since"}

func (f *deadChoice) register(command *cobra.Command) {
	f.deadFilterFlags.register(command)
	command.Flags().BoolVar(&f.all, "all", false, "all letters, or all that the filters select")
	f.registerAsking(command, "--all")
}

// choose returns the filter that the command line means. It returns a usageError for
// sequences together with --all, for neither, and for filters without --all.
func (f *deadChoice) choose(a *app, c *cobra.Command, args []string) (commands.DeadFilter, error) {
	if f.all == (len(args) > 0) {
		return commands.DeadFilter{}, usagef("want sequences of dead letters, or --all")
	}
	if f.all {
		return f.filter(a, c), nil
	}
	for _, flag := range narrowing {
		if c.Flags().Changed(flag) {
			return commands.DeadFilter{}, usagef("--%s goes with --all", flag)
		}
	}
	sequences, err := parseSequences(args)
	return commands.DeadFilter{Sequences: sequences}, err
}

func parseSequences(args []string) ([]uint64, error) {
	sequences := make([]uint64, 0, len(args))
	for _, arg := range args {
		number, err := strconv.ParseUint(arg, 10, 64)
		if err != nil || number == 0 {
			return nil, usagef("sequence %q: want a number, 1 or more", arg)
		}
		sequences = append(sequences, number)
	}
	return sequences, nil
}

// each does something to every letter that is meant, and goes on after those for which
// it fails.
func each(ctx context.Context, letters *commands.DeadLetters, filter commands.DeadFilter, do func(commands.DeadLetter) error) error {
	found, _, err := letters.List(ctx, filter)
	if err != nil {
		return err
	}
	var failures []error
	for _, sequence := range filter.Sequences {
		is := func(l commands.DeadLetter) bool { return l.Has(sequence) }
		if !slices.ContainsFunc(found, is) {
			failures = append(failures, fmt.Errorf("dead letter %d: %w", sequence, volume.NotFound))
		}
	}
	for _, l := range found {
		if err := do(l); err != nil {
			failures = append(failures, err)
		}
	}
	return errors.Join(failures...)
}

// wouldEach shows of every letter that is meant what --yes would do to it. Without a letter
// there is nothing to confirm.
func (f *deadChoice) wouldEach(ctx context.Context, letters *commands.DeadLetters, filter commands.DeadFilter, would string, show func(commands.DeadLetter) error) error {
	found := false
	err := each(ctx, letters, filter, func(l commands.DeadLetter) error {
		found = true
		return show(l)
	})
	if err != nil || !found {
		return err
	}
	return f.shown(would)
}

// why is a letter's code, or its kind if it has none.
func why(l commands.DeadLetter) string {
	if l.Code != "" {
		return plain(string(l.Code))
	}
	return string(l.Kind)
}

// target is the volume that the command is for, or "-".
func target(l commands.DeadLetter) string {
	if l.Command.Subject == "" || l.Address().Verb == "" {
		return "-"
	}
	return plain(l.Address().Key.String())
}

// plain makes a text fit for a terminal: what came from outside may hold anything.
func plain(text string) string {
	return strings.Map(func(r rune) rune {
		if !unicode.IsPrint(r) {
			return '?'
		}
		return r
	}, strings.ToValidUTF8(text, "?"))
}
