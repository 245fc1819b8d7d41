package main

import (
	"strings"

	"github.com/spf13/cobra"

	"github.com/jetvol/jetvol/volume"
)

const snapshotLong = `Keeps states of volumes and brings them back. A snapshot belongs to its volume and is
named VOLUME@NAME; PROJECT.VOLUME@NAME works too. Volumes are cloned from it by
"jetvol volume create NEW --from VOLUME@NAME".

Making, deleting and restoring are commands to the volume and wait for those before them.`

func (a *app) snapshotCommand() *cobra.Command {
	command := group(&cobra.Command{
		Use:     "snapshot",
		Aliases: []string{"snap"},
		Short:   "Keep states of volumes and bring them back",
		Long:    snapshotLong,
	})
	for _, spec := range snapshotSpecs() {
		command.AddCommand(a.verbCommand(spec))
	}
	command.AddCommand(a.snapshotGetCommand(), a.snapshotListCommand(), a.snapshotTreeCommand(), a.snapshotLabelCommand())
	return command
}

var (
	newSnapshot = subject{2, func(a *app, names []string, args *volume.Args) (volume.Key, error) {
		args.Snapshot = volume.SnapshotName(names[1])
		return a.keyOf(names[0])
	}}
	aSnapshot = subject{1, func(a *app, names []string, args *volume.Args) (volume.Key, error) {
		key, snapshot, err := a.snapshotOf(names[0])
		args.Snapshot = snapshot
		return key, err
	}}
)

// snapshotOf returns the volume and the snapshot that an argument names: VOLUME@NAME within
// the project of -p, or PROJECT.VOLUME@NAME. It returns a usageError if it is neither.
func (a *app) snapshotOf(argument string) (volume.Key, volume.SnapshotName, error) {
	name, snapshot, found := strings.Cut(argument, "@")
	if !found {
		return volume.Key{}, "", usagef("snapshot %q: want VOLUME@NAME", argument)
	}
	key, err := a.keyOf(name)
	if err != nil {
		return volume.Key{}, "", err
	}
	if err := volume.SnapshotName(snapshot).Validate(); err != nil {
		return volume.Key{}, "", &usageError{cause: err}
	}
	return key, volume.SnapshotName(snapshot), nil
}

// snapshotSpecs are the verbs that are about a snapshot.
func snapshotSpecs() []verbSpec {
	return []verbSpec{
		{
			volume.VerbSnapshot, "create VOLUME NAME", "Keep what is in a volume now",
			`  jetvol snapshot create db-01 before-upgrade
  jetvol snapshot create db-01 monday --label kept=30d --if-state available`,
			func(c *cobra.Command, args *volume.Args) {
				c.Flags().Var((*labels)(&args.Labels), "label", "label of the snapshot, may be given several times")
			},
			newSnapshot,
		},
		{
			volume.VerbDeleteSnapshot, "delete VOLUME@NAME", "Delete a snapshot of which there are no clones",
			`  jetvol snapshot delete db-01@before-upgrade`,
			nil,
			aSnapshot,
		},
		{
			volume.VerbRestore, "restore VOLUME@NAME", "Bring a snapshot's content back into its volume",
			`  jetvol snapshot restore db-01@before-upgrade
  jetvol snapshot restore db-01@before-upgrade --wait 0`,
			nil,
			aSnapshot,
		},
	}
}
