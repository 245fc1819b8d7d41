package main

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"os"
	"os/user"
	"slices"
	"strings"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/spf13/cobra"

	"github.com/jetvol/jetvol/commands"
	"github.com/jetvol/jetvol/volume"
)

// defaultWait is longer than a backend needs to fail three times in its own time.
const defaultWait = 2 * time.Minute

const volumeLong = `Publishes a command, shows the volume's transitions as they happen, and ends with
the command's outcome as exit code. NAME is a volume of the project given by -p;
PROJECT.NAME works too.

A command is carried out once, however often it is sent with the same --id: that is how
to ask again after exit code 4.`

func (a *app) volumeCommand() *cobra.Command {
	command := group(&cobra.Command{
		Use:     "volume",
		Aliases: []string{"vol"},
		Short:   "Change volumes and look at them",
		Long:    volumeLong,
	})
	for _, spec := range verbSpecs() {
		command.AddCommand(a.verbCommand(spec))
	}
	command.AddCommand(a.getCommand(), a.listCommand(), a.historyCommand())
	return command
}

// requestFlags are those of every verb.
type requestFlags struct {
	consent
	id           string
	ifState      volume.State
	ifGeneration sequence
	deadline     moment
	actor        string
	noWait       bool
	asJSON       bool
	wait         time.Duration
}

func (f *requestFlags) register(command *cobra.Command) {
	flags := command.Flags()
	flags.StringVar(&f.id, "id", "", "command id; the same one again is the same command (default random)")
	choice(command, &oneOf[volume.State]{&f.ifState, volume.States(), "STATE"}, "if-state",
		"refuse unless the volume is in this state", words(volume.States()))
	flags.Var(&f.ifGeneration, "if-generation", "refuse unless the volume is at this generation")
	flags.Var(&f.deadline, "deadline", "refuse if the command is taken up later than this")
	flags.BoolVar(&f.dryRun, dryRunFlag, false, "only ask whether the command would be accepted now")
	flags.StringVar(&f.actor, "actor", "", "who asks, for the events (default user@host)")
	flags.BoolVar(&f.noWait, "no-wait", false, "end as soon as the command is stored")
	flags.BoolVar(&f.asJSON, "json", false, "print the reply, or with --no-wait the receipt, as one line of JSON")
	flags.DurationVar(&f.wait, "wait", defaultWait, "how long to wait for the outcome; 0 is for ever")
}

func (f *requestFlags) request(c *cobra.Command, key volume.Key, verb volume.Verb, args volume.Args) commands.Request {
	request := commands.Request{
		Key: key, Verb: verb, Args: args, ID: volume.CommandID(f.id), Actor: f.actor,
		Preconditions: volume.Preconditions{IfState: f.ifState, Deadline: f.deadline.Time, ValidateOnly: f.dryRun},
	}
	if c.Flags().Changed("if-generation") {
		generation := uint64(f.ifGeneration)
		request.IfGeneration = &generation
	}
	if request.Actor == "" {
		request.Actor = defaultActor()
	}
	return request
}

func defaultActor() string {
	name, host := "unknown", "unknown"
	if current, err := user.Current(); err == nil {
		name = current.Username
	}
	if known, err := os.Hostname(); err == nil {
		host = known
	}
	return name + "@" + host
}

// send carries out one verb: connect, publish, show, tell the outcome.
func (a *app) send(c *cobra.Command, f *requestFlags, request commands.Request) error {
	if f.wait < 0 {
		return usagef("wait %s: want 0 or more", f.wait)
	}
	// What is wrong with the request itself is told without a server.
	check := volume.Command{
		ID: request.ID, Key: request.Key, Verb: request.Verb, Args: request.Args,
		Preconditions: request.Preconditions, Actor: request.Actor,
	}
	if _, err := commands.NewMessage(check, ""); err != nil {
		return &usageError{cause: err}
	}
	conn, err := a.connect(c.Flags(), nats.MaxReconnects(-1)) // the wait is bounded by its context
	if err != nil {
		return err
	}
	defer conn.Close()
	var options []commands.Option
	if c.Flags().Changed("timeout") { // else long enough for a cluster to find a new leader
		options = append(options, commands.WithUnavailableAfter(a.connection.timeout))
	}
	client, err := a.commandClient(c.Context(), conn, options...)
	if err != nil {
		return err
	}
	ctx, cancel := bounded(c.Context(), f.wait)
	defer cancel()
	if f.noWait {
		err = a.publish(ctx, client, f, request)
	} else {
		err = a.await(ctx, client, f, request)
	}
	return errors.Join(err, client.Close())
}

// bounded returns a context that ends after the wait, or never by itself if that is 0.
func bounded(ctx context.Context, wait time.Duration) (context.Context, context.CancelFunc) {
	if wait == 0 {
		return context.WithCancel(ctx)
	}
	return context.WithTimeout(ctx, wait)
}

func (a *app) publish(ctx context.Context, client *commands.Client, f *requestFlags, request commands.Request) error {
	receipt, err := client.Publish(ctx, request)
	if err != nil {
		return err
	}
	if f.asJSON {
		return printJSON(a.stdout, struct {
			CommandID volume.CommandID `json:"command_id"`
			Sequence  uint64           `json:"sequence"`
			Duplicate bool             `json:"duplicate"`
		}{receipt.CommandID, receipt.Sequence, receipt.Duplicate})
	}
	_, err = fmt.Fprintf(a.stdout, "command %s stored at sequence %d\n", receipt.CommandID, receipt.Sequence)
	return err
}

func (a *app) await(ctx context.Context, client *commands.Client, f *requestFlags, request commands.Request) error {
	if !f.asJSON {
		request.Progress = func(event commands.ProgressEvent) {
			if event.Event != volume.EventRejected { // no transition: the error tells it
				showTransition(a.stdout, event.Transition)
			}
		}
	}
	reply, err := client.Do(ctx, request)
	if reply.Outcome == "" {
		return err
	}
	if f.asJSON {
		if err := printJSON(a.stdout, reply); err != nil {
			return err
		}
	}
	if err != nil {
		return &outcomeError{reply}
	}
	if !f.asJSON {
		showReply(a.stdout, reply)
	}
	return nil
}

// pairs returns the map as ` a=b c=d`, sorted, each with a blank before it, fit for a terminal.
func pairs(values map[string]string) string {
	var text strings.Builder
	for _, key := range slices.Sorted(maps.Keys(values)) {
		text.WriteString(" " + key + "=" + plain(values[key]))
	}
	return text.String()
}
