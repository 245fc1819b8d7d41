package main

import (
	"context"
	"fmt"
	"strconv"
	"strings"
	"text/tabwriter"

	"github.com/spf13/cobra"

	"github.com/jetvol/jetvol/query"
)

func (a *app) backendsCommand() *cobra.Command {
	var asJSON bool
	command := &cobra.Command{
		Use:   "backends",
		Short: "Show the backends of a worker and how they are",
		Long: `Shows the backends as the worker that answers has them configured, whether they
work now, and what they can do.`,
		Example: `  jetvol backends
  jetvol backends --json`,
		Args: cobra.NoArgs,
		RunE: func(c *cobra.Command, _ []string) error {
			return a.ask(c, func(ctx context.Context, client *query.Client) error {
				reply, err := client.Backends(ctx)
				if err != nil {
					return err
				}
				if asJSON {
					return printJSON(a.stdout, reply)
				}
				return a.showBackends(reply)
			})
		},
	}
	command.Flags().BoolVar(&asJSON, "json", false, "print them as one line of JSON")
	return command
}

func (a *app) showBackends(reply query.BackendsReply) error {
	table := tabwriter.NewWriter(a.stdout, 0, 0, 2, ' ', 0)
	fmt.Fprintln(table, "BACKEND\tHEALTH\tDRIVER\tDEFAULT\tCAN")
	for _, b := range reply.Backends {
		isDefault := "-"
		if b.Default {
			isDefault = "yes"
		}
		driver := strings.TrimSpace(b.Driver + " " + b.Version)
		if driver == "" {
			driver = "-"
		}
		fmt.Fprintf(table, "%s\t%s\t%s\t%s\t%s\n", b.Name, b.Health, plain(driver), isDefault, strings.Join(abilities(b.Capabilities), " "))
	}
	if err := table.Flush(); err != nil {
		return err
	}
	for _, b := range reply.Backends {
		if b.Failure != nil {
			fmt.Fprintf(a.stdout, "%s: %s\n", b.Name, plain(failureText(b.Failure)))
		}
	}
	fmt.Fprintf(a.stdout, "as seen by worker %s\n", reply.Worker)
	return nil
}

func (a *app) workersCommand() *cobra.Command {
	var asJSON bool
	command := &cobra.Command{
		Use:   "workers",
		Short: "Show the workers that live and what each serves",
		Example: `  jetvol workers
  jetvol workers --json`,
		Args: cobra.NoArgs,
		RunE: func(c *cobra.Command, _ []string) error {
			return a.read(c, func(ctx context.Context, reader query.Reader) error {
				reply, err := reader.Workers(ctx)
				if err != nil {
					return err
				}
				if asJSON {
					return printJSON(a.stdout, reply)
				}
				return a.showWorkers(reply)
			})
		},
	}
	command.Flags().BoolVar(&asJSON, "json", false, "print them as one line of JSON")
	return command
}

func (a *app) showWorkers(reply query.WorkersReply) error {
	table := tabwriter.NewWriter(a.stdout, 0, 0, 2, ' ', 0)
	fmt.Fprintln(table, "WORKER\tSINCE\tSTATE\tPARTITIONS")
	for _, w := range reply.Workers {
		state := "works"
		if w.Draining {
			state = "drains"
		}
		partitions := "-"
		if len(w.Partitions) > 0 {
			partitions = ranges(w.Partitions)
		}
		fmt.Fprintf(table, "%s\t%s\t%s\t%s\n", w.Worker, stamp(w.JoinedAt), state, partitions)
	}
	return table.Flush()
}

// ranges is `0-3,7` for ascending numbers.
func ranges(numbers []int) string {
	var parts []string
	for i := 0; i < len(numbers); {
		end := i
		for end+1 < len(numbers) && numbers[end+1] == numbers[end]+1 {
			end++
		}
		part := strconv.Itoa(numbers[i])
		if end > i {
			part += "-" + strconv.Itoa(numbers[end])
		}
		parts = append(parts, part)
		i = end + 1
	}
	return strings.Join(parts, ",")
}
