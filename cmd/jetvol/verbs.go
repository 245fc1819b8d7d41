package main

import (
	"github.com/spf13/cobra"

	"github.com/jetvol/jetvol/volume"
)

// verbSpec is one verb as a subcommand: its texts and its own flags.
type verbSpec struct {
	verb    volume.Verb
	use     string
	short   string
	example string
	flags   func(*cobra.Command, *volume.Args)
	subject subject
}

// subject is what a subcommand is about.
type subject struct {
	count int // of the arguments that name it
	// read returns the volume that the arguments name, and sets what else they say.
	read func(*app, []string, *volume.Args) (volume.Key, error)
}

var aVolume = subject{1, func(a *app, names []string, _ *volume.Args) (volume.Key, error) { return a.keyOf(names[0]) }}

func verbSpecs() []verbSpec {
	return []verbSpec{
		{
			volume.VerbCreate, "create NAME --size SIZE|--from VOLUME@SNAPSHOT", "Make a volume, empty or as a clone",
			`  jetvol volume create db-01 --size 10GiB
  jetvol volume create db-01 --size 10GiB --label team=data --label tier=gold --json
  jetvol -p billing volume create db-01 --size 500MB --no-wait --id order-4711
  jetvol volume create db-02 --from db-01@before-upgrade
  jetvol volume create report --from db-01@before-upgrade --read-only`,
			createFlags,
			aVolume,
		},
		{
			volume.VerbAttach, "attach NAME --node NODE", "Give a volume to a node",
			`  jetvol volume attach db-01 --node node-1
  jetvol volume attach db-01 --node node-1 --mode read-only --if-state available
  jetvol volume attach db-01 --node node-2 --mode read-only`,
			attachFlags,
			aVolume,
		},
		{
			volume.VerbDetach, "detach NAME", "Take a volume from the node that holds it",
			`  jetvol volume detach db-01
  jetvol volume detach db-01 --node node-1`,
			func(c *cobra.Command, args *volume.Args) {
				c.Flags().StringVar((*string)(&args.Node), "node", "", "node that lets go; may be left out if only one holds the volume")
			},
			aVolume,
		},
		{
			volume.VerbResize, "resize NAME --size SIZE", "Make a volume larger",
			`  jetvol volume resize db-01 --size 20GiB`,
			resizeFlags,
			aVolume,
		},
		{
			volume.VerbFlatten, "flatten NAME", "Make a clone independent of its snapshot",
			`  jetvol volume flatten db-02
  jetvol volume flatten db-02 --wait 0`,
			nil,
			aVolume,
		},
		{
			volume.VerbDelete, "delete NAME", "Remove a volume and its data",
			`  jetvol volume delete db-01
  jetvol volume delete db-01 --if-generation 8`,
			nil,
			aVolume,
		},
		{
			volume.VerbReconcile, "reconcile NAME", "Compare a volume with its backend and settle what differs",
			`  jetvol volume reconcile db-01
  jetvol volume reconcile db-01 --believe backend`,
			func(c *cobra.Command, args *volume.Args) {
				choice(c, &oneOf[volume.Side]{&args.Believe, []volume.Side{volume.BelieveBackend}, "SIDE"}, "believe",
					"take over the size and the nodes that the backend has, also of a volume at rest", []string{string(volume.BelieveBackend)})
			},
			aVolume,
		},
		{
			volume.VerbAdopt, "adopt NAME", "Make a record of a volume that only a backend has",
			`  jetvol volume adopt db-01
  jetvol volume adopt db-01 --backend ceph-ssd --volume-id default.db-01.1 --dry-run
  jetvol volume adopt web-01 --backend ceph-ssd --image web-disk`,
			func(c *cobra.Command, args *volume.Args) {
				c.Flags().StringVar(&args.Backend, "backend", "", "backend that has the volume (default the worker's)")
				c.Flags().StringVar((*string)(&args.ID), "volume-id", "", "refuse an object of another id")
				c.Flags().StringVar((*string)(&args.Image), "image", "", "what the backend has as, and jetvol never made, that is to become the volume")
			},
			aVolume,
		},
		{
			volume.VerbUnmanage, "unmanage NAME", "Let go of a volume, whose data the backend keeps",
			`  jetvol volume unmanage db-01
  jetvol volume unmanage db-01 --as web-disk --dry-run`,
			unmanageFlags,
			aVolume,
		},
		{
			volume.VerbNodeGone, "node-gone NAME --node NODE --reason TEXT", "Fence a node that is dead and take a volume from it",
			`  jetvol volume node-gone db-01 --node node-1 --reason "rack 4 lost power"`,
			nodeGoneArguments,
			aVolume,
		},
		{
			volume.VerbCancel, "cancel NAME", "Give up a command that is under way",
			`  jetvol volume cancel db-01
  jetvol volume cancel db-01 --command order-4711`,
			func(c *cobra.Command, args *volume.Args) {
				c.Flags().StringVar((*string)(&args.Target), "command", "", "id of the command (default whichever is running)")
			},
			aVolume,
		},
	}
}

func createFlags(c *cobra.Command, args *volume.Args) {
	sizeFlag(c, args)
	c.Flags().Var((*snapshotKey)(&args.Source), "from", "snapshot that the volume begins as a clone of")
	c.MarkFlagsOneRequired("size", "from")
	c.Flags().BoolVar(&args.ReadOnly, "read-only", false, "with --from: the volume can be read only")
	c.Flags().StringVar(&args.Backend, "backend", "", "backend to store the volume on (default the worker's, or the snapshot's)")
	c.Flags().Var((*labels)(&args.Labels), "label", "label, may be given several times")
}

func attachFlags(c *cobra.Command, args *volume.Args) {
	c.Flags().StringVar((*string)(&args.Node), "node", "", "node that gets the volume")
	required(c, "node")
	modes := []volume.Mode{volume.ReadWrite, volume.ReadOnly}
	args.Mode = volume.ReadWrite
	choice(c, &oneOf[volume.Mode]{&args.Mode, modes, "MODE"}, "mode", "read-write or read-only", words(modes))
}

func unmanageFlags(c *cobra.Command, args *volume.Args) {
	c.Flags().StringVar((*string)(&args.Name), "as", "", "what the backend is to keep the volume as (default released-<volume id>)")
}

func nodeGoneArguments(c *cobra.Command, args *volume.Args) {
	c.Flags().StringVar((*string)(&args.Node), "node", "", "node that is gone")
	required(c, "node")
	c.Flags().StringVar(&args.Reason, "reason", "", "how it is known that the node is gone")
	required(c, "reason")
}

func resizeFlags(c *cobra.Command, args *volume.Args) {
	sizeFlag(c, args)
	required(c, "size")
}

func sizeFlag(c *cobra.Command, args *volume.Args) {
	c.Flags().Var((*size)(&args.Size), "size", "size like 10GiB, 500MB or a number of bytes")
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
		Args:              cobra.ExactArgs(spec.subject.count),
		ValidArgsFunction: cobra.NoFileCompletions,
		RunE: func(c *cobra.Command, names []string) error {
			key, err := spec.subject.read(a, names, &args)
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
