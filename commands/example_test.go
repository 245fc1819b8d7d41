package commands_test

import (
	"context"
	"errors"
	"fmt"
	"log"
	"time"

	"github.com/nats-io/nats.go"

	"github.com/jetvol/jetvol/commands"
	"github.com/jetvol/jetvol/volume"
)

// A service makes a volume and sees each step of it. It needs a running jetvol, so it is
// compiled, but not run, as a test.
func ExampleClient() {
	nc, err := nats.Connect(nats.DefaultURL)
	if err != nil {
		log.Print(err)
		return
	}
	defer nc.Close()
	client, err := commands.New(nc)
	if err != nil {
		log.Print(err)
		return
	}
	defer func() { _ = client.Close() }()

	ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
	defer cancel()
	reply, err := client.Do(ctx, commands.Request{
		ID:    "order-4711", // chosen by the service, so that asking again is safe
		Key:   volume.Key{Project: "default", Name: "db-01"},
		Verb:  volume.VerbCreate,
		Args:  volume.Args{Size: 10 * volume.GiB},
		Actor: "order service",
		Progress: func(event commands.ProgressEvent) {
			fmt.Println(event.Transition.Generation, event.Event, event.Transition.To)
		},
	})
	pending, unknown := errors.AsType[*commands.PendingError](err)
	switch {
	case err == nil:
		fmt.Println(reply.State, reply.VolumeID)
	case errors.Is(err, volume.ErrVolumeExists):
		fmt.Println("somebody made it before")
	case unknown:
		fmt.Println("ask again with id", pending.CommandID)
	default:
		log.Print(err)
	}
}

func ExampleEncode() {
	body, err := commands.Encode(volume.Command{Verb: volume.VerbCreate, Args: volume.Args{Size: 64 * volume.MiB}})
	fmt.Println(string(body), err)
	_, err = commands.Encode(volume.Command{Verb: volume.VerbDelete, Args: volume.Args{Size: 1}})
	fmt.Println(errors.Is(err, volume.ErrUnknownField))
	// Output:
	// {"size":67108864} <nil>
	// true
}
