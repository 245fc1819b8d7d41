package main

import (
	"context"
	"errors"
	"fmt"
	"slices"

	"github.com/nats-io/nats.go"
	"github.com/spf13/cobra"

	"github.com/jetvol/jetvol/events"
	"github.com/jetvol/jetvol/volume"
)

const eventsLong = `Shows the events of volumes in the order of the stream. Each line begins with the
event's sequence: to resume, give --from the sequence after the last one that was seen.

With --json each line is the stored CloudEvent, with the stream's sequence added as
the extension attribute "sequence" of the CloudEvents specification.`

const eventsExample = `  jetvol events --volume db-01
  jetvol events --follow --since 10m
  jetvol events --event error --all-projects --json
  jetvol events --volume db-01 --last`

type eventsFlags struct {
	follow, last, allProjects, asJSON bool
	since                             moment
	from                              sequence
	volume                            string
	event                             volume.Event
}

func (a *app) eventsCommand() *cobra.Command {
	f := eventsFlags{since: moment{past: true}}
	command := &cobra.Command{
		Use:     "events",
		Short:   "Show what happened to volumes",
		Long:    eventsLong,
		Example: eventsExample,
		Args:    cobra.NoArgs,
		RunE:    func(c *cobra.Command, _ []string) error { return a.events(c, &f) },
	}
	flags := command.Flags()
	flags.BoolVarP(&f.follow, "follow", "f", false, "go on with new events until Ctrl-C")
	flags.Var(&f.since, "since", "only events stored after this: a time, or how long ago")
	flags.Var(&f.from, "from", "begin at this sequence of the stream")
	flags.BoolVar(&f.last, "last", false, "begin with the latest event that matches")
	flags.StringVar(&f.volume, "volume", "", "only events of the volume with this name")
	names := slices.Concat(volume.Events(), []volume.Event{volume.EventRejected})
	choice(command, &oneOf[volume.Event]{&f.event, names, "EVENT"}, "event", "only events with this name", words(names))
	flags.BoolVarP(&f.allProjects, "all-projects", "A", false, "events of all projects")
	flags.BoolVar(&f.asJSON, "json", false, "print one CloudEvent per line")
	command.MarkFlagsMutuallyExclusive("from", "since", "last")
	return command
}

func (f *eventsFlags) filter(a *app) (events.Filter, error) {
	name := f.volume
	if name == "" {
		name = "any" // for the check of the project
	}
	key, err := a.keyOf(name)
	if err != nil {
		return events.Filter{}, err
	}
	filter := events.Filter{
		Project: key.Project, Event: f.event,
		From: uint64(f.from), Since: f.since.Time, Last: f.last, Follow: f.follow,
	}
	if f.volume != "" {
		filter.Volume = key.Name
	}
	if f.allProjects {
		filter.Project = ""
	}
	return filter, nil
}

func (a *app) events(c *cobra.Command, f *eventsFlags) error {
	filter, err := f.filter(a)
	if err != nil {
		return err
	}
	var patience []nats.Option
	if f.follow {
		patience = append(patience, nats.MaxReconnects(-1))
	}
	conn, js, err := a.openJetStream(c.Flags(), patience...)
	if err != nil {
		return err
	}
	defer conn.Close()
	var unreadable []error
	for event, err := range events.Read(c.Context(), js, filter) {
		switch {
		case errors.Is(err, volume.ErrInvalidPayload): // this one only
			fmt.Fprintln(a.stderr, "unreadable:", err)
			unreadable = append(unreadable, err)
			continue
		case errors.Is(err, context.Canceled):
			return fmt.Errorf("read events: %w", context.Canceled)
		case err != nil:
			return err
		}
		if err := a.showEvent(event, f.asJSON); err != nil {
			return err
		}
	}
	return errors.Join(unreadable...)
}

// sequenceWidth makes sequences sort as text, which the CloudEvents extension wants.
const sequenceWidth = 20

func (a *app) showEvent(event events.Stored, asJSON bool) error {
	if asJSON {
		return printJSON(a.stdout, struct {
			events.Envelope
			Sequence string `json:"sequence"`
		}{event.Envelope, fmt.Sprintf("%0*d", sequenceWidth, event.Sequence)})
	}
	actor := ""
	if event.Data.Actor != "" {
		actor = "  by " + event.Data.Actor
	}
	_, err := fmt.Fprintf(a.stdout, "%d  %s  %s  %s%s%s\n", event.Sequence, stamp(event.Time),
		event.Data.Key, transitionText(event.Data), actor, troubleText(event.Data))
	return err
}
