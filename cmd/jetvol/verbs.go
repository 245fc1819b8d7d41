package main

import (
	"github.com/spf13/cobra"

	"github.com/jetvol/jetvol/commands"
	"github.com/jetvol/jetvol/volume"
)

// verbSpec is one verb as a subcommand: its texts and its own flags.
type verbSpec struct {
	verb    volume.Verb
	use     string
	short   string
	example string
	flags   func(*cobra.Command, *volume.Args)
}

func verbSpecs() []verbSpec {
	return []verbSpec{
		{
			volume.VerbCreate, "create NAME --size SIZE", "Make a volume",
			`  jetvol volume create db-01 --size 10GiB
  jetvol volume create db-01 --size 10GiB --label team=data --label tier=gold --json
  jetvol -p billing volume create db-01 --size 500MB --no-wait --id order-4711`,
			createFlags,
		},
		{
			volume.VerbAttach, "attach NAME --node NODE", "Give a volume to a node",
			`  jetvol volume attach db-01 --node node-1
  jetvol volume attach db-01 --node node-1 --mode read-only --if-state available
  jetvol volume attach db-01 --node node-2 --mode read-only`,
			attachFlags,
		},
		{
			volume.VerbDetach, "detach NAME", "Take a volume from the node that holds it",
			`  jetvol volume detach db-01
  jetvol volume detach db-01 --node node-1`,
			func(c *cobra.Command, args *volume.Args) {
				c.Flags().StringVar((*string)(&args.Node), "node", "", "node that lets go; may be left out if only one holds the volume")
			},
		},
		{
			volume.VerbResize, "resize NAME --size SIZE", "Make a volume larger",
			`  jetvol volume resize db-01 --size 20GiB`,
			sizeFlag,
		},
		{
			volume.VerbDelete, "delete NAME", "Remove a volume and its data",
			`  jetvol volume delete db-01
  jetvol volume delete db-01 --if-generation 8`,
			nil,
		},
		{
			volume.VerbReconcile, "reconcile NAME", "Compare a volume with its backend and settle what differs",
			`  jetvol volume reconcile db-01`,
			nil,
		},
		{
			volume.VerbNodeGone, "node-gone NAME --node NODE --reason TEXT", "Fence a node that is dead and take a volume from it",
			`  jetvol volume node-gone db-01 --node node-1 --reason "rack 4 lost power"`,
			nodeGoneArguments,
		},
		{
			volume.VerbCancel, "cancel NAME", "Give up a command that is under way",
			`  jetvol volume cancel db-01
  jetvol volume cancel db-01 --command order-4711`,
			func(c *cobra.Command, args *volume.Args) {
				c.Flags().StringVar((*string)(&args.Target), "command", "", "id of the command (default whichever is running)")
			},
		},
	}
}

func createFlags(c *cobra.Command, args *volume.Args) {
	sizeFlag(c, args)
	c.Flags().StringVar(&args.Backend, "backend", "", "backend to store the volume on (default the worker's)")
	c.Flags().Var((*labels)(&args.Labels), "label", "label, may be given several times")
}

func attachFlags(c *cobra.Command, args *volume.Args) {
	c.Flags().StringVar((*string)(&args.Node), "node", "", "node that gets the volume")
	required(c, "node")
	modes := []volume.Mode{volume.ReadWrite, volume.ReadOnly}
	args.Mode = volume.ReadWrite
	choice(c, &oneOf[volume.Mode]{&args.Mode, modes, "MODE"}, "mode", "read-write or read-only", words(modes))
}

func nodeGoneArguments(c *cobra.Command, args *volume.Args) {
	c.Flags().StringVar((*string)(&args.Node), "node", "", "node that is gone")
	required(c, "node")
	c.Flags().StringVar(&args.Reason, "reason", "", "how it is known that the node is gone")
	required(c, "reason")
}

func sizeFlag(c *cobra.Command, args *volume.Args) {
	c.Flags().Var((*size)(&args.Size), "size", "size like 10GiB, 500MB or a number of bytes")
	required(c, "size")
}

func required(c *cobra.Command, flag string) {
	if err := c.MarkFlagRequired(flag); err != nil {
		panic("jetvol: a required flag that is not there: " + err.Error())
	}
}

func (a *app) verbCommand(spec verbSpec) *cobra.Command {
	var args volume.Args
	var f requestFlags
	command := &cobra.Command{
		Use:               spec.use,
		Short:             spec.short,
		Example:           spec.example,
		Args:              cobra.ExactArgs(1),
		ValidArgsFunction: cobra.NoFileCompletions,
		RunE: func(c *cobra.Command, names []string) error {
			key, err := a.keyOf(names[0])
			if err != nil {
				return err
			}
			return a.send(c, &f, f.request(c, key, spec.verb, args))
		},
	}
	if spec.flags != nil {
		spec.flags(command, &args)
	}
	f.register(command)
	return command
}

// commandLine returns how people ask for the request, without what is default.
func commandLine(program string, request commands.Request) string {
	line := program + " volume " + string(request.Verb) + " " + string(request.Key.Name)
	if request.Args.Size > 0 {
		line += " --size " + request.Args.Size.String()
	}
	if request.Args.Node != "" {
		line += " --node " + string(request.Args.Node)
	}
	if request.Args.Mode == volume.ReadOnly {
		line += " --mode " + string(request.Args.Mode)
	}
	return line
}
