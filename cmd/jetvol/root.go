package main

import (
	"fmt"
	"strings"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"

	"github.com/jetvol/jetvol/volume"
)

const defaultProject = "default"

const rootLong = `jetvol controls volumes over NATS JetStream: commands go in, every change of a
volume is stored by compare-and-set and told as one event.

What changes something shows with --dry-run what it would do. Where it chooses by itself
what to do, or to what, it does nothing without --yes.

Exit codes: 0 succeeded, 1 failed, or faults were found, 2 usage, 3 rejected, 4 pending
(gave up waiting, the command may still be carried out), 5 unavailable, 6 unconfirmed
(nothing was done, --yes does it).`

const rootExample = `  # a server with a worker and a local backend in this process
  jetvol up

  # in another terminal
  jetvol volume create db-01 --size 10GiB
  jetvol volume attach db-01 --node node-1
  jetvol events --follow

  # against another server
  jetvol -s nats://nats.example.com:4222 --creds admin.creds volume list`

func (a *app) rootCommand() *cobra.Command {
	root := &cobra.Command{
		Use:           "jetvol",
		Short:         "A volume control plane on NATS JetStream",
		Long:          rootLong,
		Example:       rootExample,
		SilenceErrors: true, // main tells them
		SilenceUsage:  true,
	}
	a.connection.register(root.PersistentFlags())
	root.MarkFlagsMutuallyExclusive(credentialFlags...)
	root.PersistentFlags().StringVarP(&a.project, "project", "p", defaultProject, "project that volume names are of")
	root.AddCommand(
		a.upCommand(),
		a.workerCommand(),
		a.volumeCommand(),
		a.snapshotCommand(),
		a.nodeCommand(),
		a.driftCommand(),
		a.adoptCommand(),
		a.quotaCommand(),
		a.eventsCommand(),
		a.explainCommand(),
		a.backendsCommand(),
		a.workersCommand(),
		a.auditCommand(),
		a.deadCommand(),
		a.doctorCommand(),
		a.benchCommand(),
		a.provisionCommand(),
		a.configCommand(),
		a.schemaCommand(),
		a.versionCommand(),
	)
	group(root)
	a.mark(root)
	complete(root, "context", knownContexts)
	return root
}

// group makes a command without an action of its own show its help, and refuse an
// unknown subcommand, which cobra by itself does not below the root.
func group(command *cobra.Command) *cobra.Command {
	command.Args = func(c *cobra.Command, args []string) error {
		if len(args) == 0 {
			return nil
		}
		text := fmt.Sprintf("unknown command %q for %q", args[0], c.CommandPath())
		if near := c.SuggestionsFor(args[0]); len(near) > 0 {
			text += ", did you mean " + strings.Join(near, " or ") + "?"
		}
		return fmt.Errorf("%s", text)
	}
	command.SuggestionsMinimumDistance = 2
	command.RunE = func(c *cobra.Command, _ []string) error { return c.Help() }
	return command
}

// mark makes every action note that it was reached: an error before is one of usage.
func (a *app) mark(command *cobra.Command) {
	if act := command.RunE; act != nil {
		command.RunE = func(c *cobra.Command, args []string) error {
			a.running = true
			return act(c, args)
		}
	}
	for _, child := range command.Commands() {
		a.mark(child)
	}
}

// keyOf returns the volume that an argument names: NAME within the project of -p, or
// PROJECT.NAME. It returns a usageError if it is neither.
func (a *app) keyOf(argument string) (volume.Key, error) {
	key := volume.Key{Project: volume.Project(a.project), Name: volume.Name(argument)}
	if project, name, _ := strings.Cut(argument, "."); strings.Count(argument, ".") == 1 {
		key = volume.Key{Project: volume.Project(project), Name: volume.Name(name)}
	}
	if err := key.Validate(); err != nil {
		return volume.Key{}, &usageError{cause: err}
	}
	return key, nil
}

// complete offers values for a flag in the shell.
func complete(command *cobra.Command, flag string, values func() []string) {
	err := command.RegisterFlagCompletionFunc(flag,
		func(*cobra.Command, []string, string) ([]string, cobra.ShellCompDirective) {
			return values(), cobra.ShellCompDirectiveNoFileComp
		})
	if err != nil {
		panic("jetvol: completion of a flag that is not there: " + err.Error())
	}
}

// completeFile offers files with one of the extensions for a flag in the shell.
func completeFile(command *cobra.Command, flag string, extensions []string) {
	if err := command.MarkFlagFilename(flag, extensions...); err != nil {
		panic("jetvol: completion of a flag that is not there: " + err.Error())
	}
}

// choice adds a flag that takes one of the allowed values, and offers them in the shell.
func choice(command *cobra.Command, value pflag.Value, flag, usage string, allowed []string) {
	command.Flags().Var(value, flag, usage)
	complete(command, flag, func() []string { return allowed })
}
