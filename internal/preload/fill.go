package preload

import (
	"context"
	"fmt"
	"time"

	"github.com/nats-io/nats.go/jetstream"

	"github.com/jetvol/jetvol/volume"
)

// Project is that of all volumes of [Fill].
const Project volume.Project = "preload"

// tellEvery is after how many volumes Fill tells how far it is.
const tellEvery = 10_000

// Key returns the key of the volume with that number, counted from 0.
func Key(i int) volume.Key {
	return volume.Key{Project: Project, Name: volume.Name(fmt.Sprintf("v-%08d", i))}
}

// Fill stores volumes of 1 GiB that are available, with the keys 0 to n-1. Nobody else may
// write to the streams meanwhile. Tell, if set, is told now and then how many there are.
// It returns the errors of [NewWriter] and [Writer.Event].
func Fill(ctx context.Context, js jetstream.JetStream, n int, tell func(stored int)) error {
	w, err := NewWriter(ctx, js)
	if err != nil {
		return err
	}
	owner := volume.Owner{Worker: "preload", Instance: "preload", Epoch: 1, Since: time.Now().UTC().Round(0)}
	for i := range n {
		v, err := Created(volume.Command{
			ID: volume.CommandID(fmt.Sprintf("preload-%08d", i)), Key: Key(i), Verb: volume.VerbCreate, Actor: "preload",
			Args: volume.Args{Size: volume.GiB, Backend: "null"},
		}, owner)
		if err != nil {
			return fmt.Errorf("make volume %s: %w", Key(i), err)
		}
		if err := w.Volume(ctx, v); err != nil {
			return err
		}
		if tell != nil && (i+1)%tellEvery == 0 {
			tell(i + 1)
		}
	}
	return w.Flush(ctx)
}
