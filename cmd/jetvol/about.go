package main

import (
	"cmp"
	"fmt"
	"io"
	"runtime"
	"runtime/debug"
	"slices"

	"github.com/spf13/cobra"

	"github.com/jetvol/jetvol/commands"
	"github.com/jetvol/jetvol/volume"
)

// replySchema is what the schema of a reply is called beside those of the verbs.
const replySchema = "reply"

func (a *app) schemaCommand() *cobra.Command {
	names := append(words(volume.Verbs()), replySchema)
	return &cobra.Command{
		Use:   "schema [VERB|reply]",
		Short: "Print the JSON Schema of a command's payload, or of the reply",
		Example: `  jetvol schema create
  jetvol schema reply`,
		Args:      cobra.MatchAll(cobra.MaximumNArgs(1), cobra.OnlyValidArgs),
		ValidArgs: names,
		RunE: func(_ *cobra.Command, args []string) error {
			if len(args) == 0 {
				for _, name := range names {
					fmt.Fprintln(a.stdout, name)
				}
				return nil
			}
			return printSchema(a.stdout, args[0])
		},
	}
}

func printSchema(w io.Writer, name string) error {
	schema := commands.ReplySchema()
	if name != replySchema {
		var err error
		if schema, err = commands.Schema(volume.Verb(name)); err != nil {
			return err
		}
	}
	_, err := w.Write(schema)
	return err
}

// shownModules are those whose versions matter beside jetvol's own.
var shownModules = []string{"github.com/nats-io/nats.go", "github.com/nats-io/nats-server/v2"}

func (a *app) versionCommand() *cobra.Command {
	return &cobra.Command{
		Use:     "version",
		Short:   "Print the versions of jetvol, Go and NATS",
		Example: "  jetvol version",
		Args:    cobra.NoArgs,
		RunE: func(*cobra.Command, []string) error {
			info, ok := debug.ReadBuildInfo()
			if !ok {
				info = &debug.BuildInfo{}
			}
			showVersion(a.stdout, info)
			return nil
		},
	}
}

func versionOf(info *debug.BuildInfo) string { return cmp.Or(version, info.Main.Version, "(devel)") }

// buildVersion is that of this program.
func buildVersion() string {
	info, ok := debug.ReadBuildInfo()
	if !ok {
		info = &debug.BuildInfo{}
	}
	return versionOf(info)
}

func showVersion(w io.Writer, info *debug.BuildInfo) {
	fmt.Fprintf(w, "jetvol %s\n", versionOf(info))
	fmt.Fprintf(w, "%s %s/%s\n", runtime.Version(), runtime.GOOS, runtime.GOARCH)
	for _, module := range info.Deps {
		if slices.Contains(shownModules, module.Path) {
			fmt.Fprintf(w, "%s %s\n", module.Path, module.Version)
		}
	}
}
