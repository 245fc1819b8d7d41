package main

import (
	"context"
	"errors"
	"fmt"
	"iter"
	"strings"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"

	"github.com/jetvol/jetvol/commands"
	"github.com/jetvol/jetvol/events"
	"github.com/jetvol/jetvol/kv"
	"github.com/jetvol/jetvol/volume"
)

// demoTimeout bounds the whole demo, which takes well below a second.
const demoTimeout = 2 * time.Minute

// demoActor is who asks, in the demo's events.
const demoActor = "jetvol demo"

// demoStep is one command of the demo and the transitions that must follow from it.
type demoStep struct {
	verb volume.Verb
	args volume.Args
	did  string
	want []demoTransition
}

type demoTransition struct {
	event    volume.Event
	from, to volume.State
}

// demoLife is a volume's whole life.
var demoLife = []demoStep{
	{volume.VerbCreate, volume.Args{Size: 64 * volume.MiB}, "created", []demoTransition{
		{volume.EventCreate, volume.StatePending, volume.StateCreating},
		{volume.EventReady, volume.StateCreating, volume.StateAvailable},
	}},
	{volume.VerbAttach, volume.Args{Node: "node-1"}, "attached", []demoTransition{
		{volume.EventAttach, volume.StateAvailable, volume.StateAttaching},
		{volume.EventAttached, volume.StateAttaching, volume.StateAttached},
	}},
	{volume.VerbDetach, volume.Args{}, "detached", []demoTransition{
		{volume.EventDetach, volume.StateAttached, volume.StateDetaching},
		{volume.EventDetached, volume.StateDetaching, volume.StateAvailable},
	}},
	{volume.VerbResize, volume.Args{Size: 128 * volume.MiB}, "resized", []demoTransition{
		{volume.EventExtend, volume.StateAvailable, volume.StateExtending},
		{volume.EventExtended, volume.StateExtending, volume.StateAvailable},
	}},
	{volume.VerbDelete, volume.Args{}, "deleted", []demoTransition{
		{volume.EventDelete, volume.StateAvailable, volume.StateDeleting},
		{volume.EventDeleted, volume.StateDeleting, volume.StateDeleted},
	}},
}

// demo takes a new volume through its life, shows every event as it is stored, and
// compares all of them with what must come.
func (a *app) demo(ctx context.Context, conn *nats.Conn, url string) error {
	ctx, cancel := context.WithTimeout(ctx, demoTimeout)
	defer cancel()
	js, err := jetstream.New(conn)
	if err != nil {
		return fmt.Errorf("demo: %w", err)
	}
	client, err := a.commandClient(ctx, conn)
	if err != nil {
		return fmt.Errorf("demo: %w", err)
	}
	defer func() { _ = client.Close() }() // fails only if the connection is gone
	key, err := unusedKey(ctx, js)
	if err != nil {
		return fmt.Errorf("demo: %w", err)
	}
	if err := a.live(ctx, js, client, key, at(a.program, url)); err != nil {
		return fmt.Errorf("demo: %s: %w", key, err)
	}
	return nil
}

func (a *app) live(ctx context.Context, js jetstream.JetStream, client *commands.Client, key volume.Key, program string) error {
	next, stop := iter.Pull2(events.Read(ctx, js, events.Filter{Project: key.Project, Volume: key.Name, Follow: true}))
	defer stop()
	run := &demoRun{next: next, show: func(t volume.Transition) { showTransition(a.stdout, t) }}
	var did []string
	for _, step := range demoLife {
		request := commands.Request{Key: key, Verb: step.verb, Args: step.args, Actor: demoActor}
		fmt.Fprintf(a.stdout, "\n$ %s\n", commandLine(program, request))
		receipt, err := client.Publish(ctx, request)
		if err != nil {
			return err
		}
		if err := run.follow(ctx, step, receipt.CommandID); err != nil {
			return err
		}
		did = append(did, step.did)
	}
	// The record is the other witness: it must end where the events do.
	entry, err := kv.NewVolumes(js).ByKey(ctx, key)
	if err != nil {
		return err
	}
	if r := entry.Value; r.State != volume.StateDeleted || r.Generation != run.generation {
		return unexpected("record %s at generation %d after %d events", r.State, r.Generation, run.generation)
	}
	fmt.Fprintf(a.stdout, "\ndemo: %s %s: %d commands, %d events, all as expected\n",
		key.Name, strings.Join(did, ", "), len(demoLife), run.generation)
	return nil
}

// demoRun compares events with what must come.
type demoRun struct {
	next       func() (events.Stored, error, bool)
	show       func(volume.Transition)
	generation uint64 // of the last event
}

// follow shows the events of one command up to its last. It returns an error for the
// first that is not the one that had to come.
func (d *demoRun) follow(ctx context.Context, step demoStep, id volume.CommandID) error {
	for i, want := range step.want {
		event, err, open := d.next()
		if !open {
			return fmt.Errorf("events ended: %w", context.Cause(ctx))
		}
		if err != nil {
			return err
		}
		t := event.Data
		d.show(t)
		d.generation++
		got := demoTransition{t.Event, t.From, t.To}
		final := i == len(step.want)-1
		if got != want || t.Generation != d.generation || t.CommandID != id || t.Final != final {
			return unexpected("%s: got %s, %s → %s at generation %d%s, want %s, %s → %s at generation %d",
				step.verb, got.event, got.from, got.to, t.Generation, troubleText(t), want.event, want.from, want.to, d.generation)
		}
	}
	return nil
}

func unexpected(format string, args ...any) error {
	return volume.Errorf(volume.ErrInternal, format, args...)
}

// unusedKey returns the first demo-<n> of which there has never been an event.
func unusedKey(ctx context.Context, js jetstream.JetStream) (volume.Key, error) {
	for n := 1; ; n++ {
		key := volume.Key{Project: defaultProject, Name: volume.Name(fmt.Sprintf("demo-%d", n))}
		used, err := hasEvent(ctx, js, key)
		if err != nil || !used {
			return key, err
		}
	}
}

func hasEvent(ctx context.Context, js jetstream.JetStream, key volume.Key) (bool, error) {
	for _, err := range events.Read(ctx, js, events.Filter{Project: key.Project, Volume: key.Name, Last: true}) {
		if errors.Is(err, volume.ErrInvalidPayload) {
			return true, nil
		}
		return err == nil, err
	}
	return false, nil
}

// commandLine returns how people ask for a step of the demo.
func commandLine(program string, request commands.Request) string {
	line := program + " volume " + string(request.Verb) + " " + string(request.Key.Name)
	if request.Args.Size > 0 {
		line += " --size " + request.Args.Size.String()
	}
	if request.Args.Node != "" {
		line += " --node " + string(request.Args.Node)
	}
	return line
}
