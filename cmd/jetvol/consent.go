package main

import (
	"github.com/spf13/cobra"
)

// The flags of commands that change something.
const (
	dryRunFlag = "dry-run"
	yesFlag    = "yes"
)

// consent is how far a command that changes something may go. What the command line names,
// one by one, is done; where the command itself chooses what it does, or to what, it shows
// its plan and does nothing without --yes.
type consent struct{ dryRun, yes bool }

// register adds --dry-run.
func (f *consent) register(command *cobra.Command) {
	command.Flags().BoolVar(&f.dryRun, dryRunFlag, false, "only show what would be done")
}

// registerAsking adds --dry-run, and --yes for what is not done without it; with says when
// that is, if it is not always.
func (f *consent) registerAsking(command *cobra.Command, with string) {
	f.register(command)
	usage := "do it; without, only the plan is shown, with exit code 6"
	if with != "" {
		usage = "with " + with + ": " + usage
	}
	command.Flags().BoolVar(&f.yes, yesFlag, false, usage)
	command.MarkFlagsMutuallyExclusive(dryRunFlag, yesFlag)
}

// shows reports whether only the plan is to be shown. A command that asks needs --yes.
func (f *consent) shows(asks bool) bool { return f.dryRun || asks && !f.yes }

// shown ends a command that has shown its plan: with success if no more was asked for, and
// else with an unconfirmedError that says what --yes would do.
func (f *consent) shown(would string) error {
	if f.dryRun {
		return nil
	}
	return &unconfirmedError{would}
}

// unconfirmedError says that a plan was shown and nothing was done.
type unconfirmedError struct{ would string }

func (e *unconfirmedError) Error() string { return "nothing was done: --" + yesFlag + " " + e.would }
