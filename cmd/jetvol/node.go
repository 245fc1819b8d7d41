package main

import (
	"fmt"
	"io"
	"text/tabwriter"

	"github.com/spf13/cobra"

	"github.com/jetvol/jetvol/kv"
	"github.com/jetvol/jetvol/nodes"
	"github.com/jetvol/jetvol/volume"
)

const nodeLong = `Tells which node holds which volumes, and takes all of them from a node that is gone.
What is told comes from the records of the volumes: nodes have none of their own.`

func (a *app) nodeCommand() *cobra.Command {
	command := group(&cobra.Command{
		Use:   "node",
		Short: "See who holds volumes, and say that a node is gone",
		Long:  nodeLong,
	})
	command.AddCommand(a.nodeListCommand(), a.nodeGoneCommand())
	return command
}

// nodeScope selects volumes: a node holds those of all projects.
type nodeScope struct{ allProjects bool }

func (f *nodeScope) register(command *cobra.Command) {
	command.Flags().BoolVarP(&f.allProjects, "all-projects", "A", false, "volumes of all projects (the default, unless -p is given)")
}

// project returns the only project that is meant, or nothing for all. It returns a
// usageError for a name that is none, and for -p together with -A.
func (f *nodeScope) project(a *app, c *cobra.Command) (volume.Project, error) {
	if !c.Flags().Changed("project") {
		return "", nil
	}
	if f.allProjects {
		return "", usagef("--project and --all-projects exclude each other")
	}
	project := volume.Project(a.project)
	if err := (volume.Key{Project: project, Name: "any"}).Validate(); err != nil {
		return "", &usageError{cause: err}
	}
	return project, nil
}

func (a *app) nodeListCommand() *cobra.Command {
	var scope nodeScope
	var asJSON bool
	command := &cobra.Command{
		Use:     "list [NODE]",
		Aliases: []string{"ls"},
		Short:   "List who holds what",
		Example: `  jetvol node list
  jetvol node list node-1 --json`,
		Args:              cobra.MaximumNArgs(1),
		ValidArgsFunction: cobra.NoFileCompletions,
		RunE: func(c *cobra.Command, args []string) error {
			filter, err := a.nodeFilter(c, &scope, args)
			if err != nil {
				return err
			}
			return a.nodeList(c, filter, asJSON)
		},
	}
	scope.register(command)
	command.Flags().BoolVar(&asJSON, "json", false, "print one volume of a node as JSON per line")
	return command
}

func (a *app) nodeFilter(c *cobra.Command, scope *nodeScope, args []string) (nodes.Filter, error) {
	project, err := scope.project(a, c)
	if err != nil || len(args) == 0 {
		return nodes.Filter{Project: project}, err
	}
	node := volume.Node(args[0])
	if err := node.Validate(); err != nil {
		return nodes.Filter{}, &usageError{cause: err}
	}
	return nodes.Filter{Node: node, Project: project}, nil
}

func (a *app) nodeList(c *cobra.Command, filter nodes.Filter, asJSON bool) error {
	conn, js, err := a.openJetStream(c.Flags())
	if err != nil {
		return err
	}
	defer conn.Close()
	holdings, failure := nodes.List(c.Context(), kv.NewVolumes(js), filter)
	if failure != nil && holdings == nil {
		return failure
	}
	if !asJSON {
		err = showHoldings(a.stdout, holdings)
	}
	for _, h := range holdings {
		if asJSON && err == nil {
			err = printJSON(a.stdout, h)
		}
	}
	if err != nil {
		return err
	}
	return failure
}

func showHoldings(w io.Writer, holdings []nodes.Holding) error {
	table := tabwriter.NewWriter(w, 0, 0, 2, ' ', 0)
	fmt.Fprintln(table, "NODE\tVOLUME\tMODE\tSTATE\tBACKEND")
	for _, h := range holdings {
		fmt.Fprintf(table, "%s\t%s\t%s\t%s\t%s\n", h.Node, h.Key, h.Mode, h.State, h.Backend)
	}
	return table.Flush()
}
