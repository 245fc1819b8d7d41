package main

import (
	"errors"
	"fmt"
	"os"

	"github.com/spf13/cobra"

	"github.com/jetvol/jetvol/commands"
	"github.com/jetvol/jetvol/volume"
)

const deadReplayLong = `Publishes the commands of dead letters again, with their headers, and then drops the
letters. A command keeps its id, so that to replay it twice carries it out once; one that
came without an id gets one. What a worker would bury again is refused: give it a corrected
payload with --payload, or another id with --new-id. A wrong name or verb cannot be
replayed: send the right command and drop the letter. With --all nothing is done without
--yes: what would be is shown, with exit code 6.

The outcome is not waited for: jetvol events tells it.`

func (a *app) deadReplayCommand() *cobra.Command {
	var f deadChoice
	var how commands.Replay
	var file string
	command := &cobra.Command{
		Use:   "replay SEQUENCE...",
		Short: "Publish the commands of dead letters again",
		Long:  deadReplayLong,
		Example: `  jetvol dead replay 12
  jetvol dead replay 12 --payload fixed.json
  jetvol dead replay --all --code internal --since 1h --yes`,
		ValidArgsFunction: cobra.NoFileCompletions,
		RunE: func(c *cobra.Command, args []string) error {
			filter, err := f.choose(a, c, args)
			if err != nil {
				return err
			}
			if how.Payload, err = readPayload(c, file, filter); err != nil {
				return err
			}
			return a.deadReplay(c, &f, filter, how)
		},
	}
	f.register(command)
	flags := command.Flags()
	flags.BoolVar(&how.NewID, "new-id", false, "under another id, made from the letter and the payload")
	flags.BoolVar(&how.Keep, "keep", false, "leave the letters where they are")
	flags.StringVar(&file, "payload", "", "file with a payload in place of the command's own; for one letter")
	return command
}

// readPayload returns the payload in a file, or nil if none is named.
func readPayload(c *cobra.Command, file string, filter commands.DeadFilter) ([]byte, error) {
	if !c.Flags().Changed("payload") {
		return nil, nil
	}
	if len(filter.Sequences) != 1 {
		return nil, usagef("--payload goes with one sequence")
	}
	payload, err := os.ReadFile(file)
	if err != nil {
		return nil, &usageError{cause: err}
	}
	return append([]byte{}, payload...), nil // an empty file is a payload too
}

func (a *app) deadReplay(c *cobra.Command, f *deadChoice, filter commands.DeadFilter, how commands.Replay) error {
	letters, done, err := a.openDeadLetters(c)
	if err != nil {
		return err
	}
	defer done()
	if f.shows(f.all) {
		return a.wouldReplay(c, f, letters, filter, how)
	}
	return each(c.Context(), letters, filter, func(l commands.DeadLetter) error {
		receipt, err := letters.Replay(c.Context(), l, how)
		if receipt.Sequence > 0 {
			fmt.Fprintf(a.stdout, "replayed %d: %s %s is command %s at sequence %d\n",
				l.Sequence, plain(string(l.Address().Verb)), target(l), receipt.CommandID, receipt.Sequence)
		}
		return a.hinted(err, l.Sequence)
	})
}

// wouldReplay shows under which ids the commands would be published.
func (a *app) wouldReplay(c *cobra.Command, f *deadChoice, letters *commands.DeadLetters, filter commands.DeadFilter, how commands.Replay) error {
	return f.wouldEach(c.Context(), letters, filter, "replays these letters", func(l commands.DeadLetter) error {
		id, err := letters.CheckReplay(c.Context(), l, how)
		if err != nil {
			return a.hinted(err, l.Sequence)
		}
		_, err = fmt.Fprintf(a.stdout, "would replay %d: %s %s as command %s\n", l.Sequence, plain(string(l.Address().Verb)), target(l), id)
		return err
	})
}

// hinted adds to a refused replay what may help.
func (a *app) hinted(err error, sequence uint64) error {
	switch {
	case errors.Is(err, volume.ErrInvalidCommandID), errors.Is(err, volume.ErrCommandIDReused):
		return fmt.Errorf("%w (`%s dead replay %d --new-id`)", err, a.program, sequence)
	case errors.Is(err, volume.ErrInvalidPayload), errors.Is(err, volume.ErrUnknownField),
		errors.Is(err, volume.ErrInvalidSize), errors.Is(err, volume.ErrPayloadTooLarge):
		return fmt.Errorf("%w (`%s dead replay %d --payload FILE` takes a corrected one)", err, a.program, sequence)
	case errors.Is(err, volume.ErrInvalidName), errors.Is(err, volume.ErrUnknownVerb):
		return fmt.Errorf("%w (send the right command, then `%s dead drop %d`)", err, a.program, sequence)
	}
	return err
}

func (a *app) deadDropCommand() *cobra.Command {
	var f deadChoice
	command := &cobra.Command{
		Use:   "drop SEQUENCE...",
		Short: "Remove dead letters for ever",
		Long: `Removes dead letters for ever. With one of the kind max_deliveries its command goes too:
it will not be carried out. With --all nothing is done without --yes: the letters are named,
with exit code 6.`,
		Example: `  jetvol dead drop 12 13
  jetvol dead drop --all --volume db-01 --yes`,
		ValidArgsFunction: cobra.NoFileCompletions,
		RunE: func(c *cobra.Command, args []string) error {
			filter, err := f.choose(a, c, args)
			if err != nil {
				return err
			}
			return a.deadDrop(c, &f, filter)
		},
	}
	f.register(command)
	return command
}

func (a *app) deadDrop(c *cobra.Command, f *deadChoice, filter commands.DeadFilter) error {
	letters, done, err := a.openDeadLetters(c)
	if err != nil {
		return err
	}
	defer done()
	if f.shows(f.all) {
		return f.wouldEach(c.Context(), letters, filter, "drops these letters for ever", func(l commands.DeadLetter) error {
			_, err := fmt.Fprintf(a.stdout, "would drop %d: %s %s\n", l.Sequence, target(l), why(l))
			return err
		})
	}
	return each(c.Context(), letters, filter, func(l commands.DeadLetter) error {
		err := letters.Drop(c.Context(), l)
		if err == nil {
			fmt.Fprintf(a.stdout, "dropped %d\n", l.Sequence)
		}
		return err
	})
}
