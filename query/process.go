package query

import (
	"context"
	"fmt"
	"maps"
	"slices"
	"sync"
	"time"

	"github.com/nats-io/nats.go"

	"github.com/jetvol/jetvol/volume"
)

// healthTimeout bounds the wait for a backend that is asked how it is.
const healthTimeout = 3 * time.Second

func (s *Service) capabilities(context.Context) (CapabilitiesReply, error) {
	return CapabilitiesReply{
		Version: s.config.Version, SchemaVersion: volume.SchemaVersion,
		Verbs: volume.Verbs(), Events: volume.Events(), States: volume.States(), Queries: Endpoints(),
		Backends: s.configured(),
	}, nil
}

// configured is what is known of the backends without asking them, by name.
func (s *Service) configured() []Backend {
	found := []Backend{}
	for _, name := range slices.Sorted(maps.Keys(s.config.Backends)) {
		found = append(found, Backend{
			Name: name, Default: name == s.config.DefaultBackend,
			Capabilities: s.config.Backends[name].Capabilities(), Policy: s.config.Policies[name],
		})
	}
	return found
}

func (s *Service) backends(ctx context.Context) (BackendsReply, error) {
	ctx, cancel := context.WithTimeout(ctx, healthTimeout)
	defer cancel()
	reply := BackendsReply{Worker: s.config.Worker, Backends: s.configured()}
	var asked sync.WaitGroup
	for i := range reply.Backends {
		asked.Go(func() { s.examine(ctx, &reply.Backends[i]) })
	}
	asked.Wait()
	return reply, nil
}

// examine asks a backend how it is.
func (s *Service) examine(ctx context.Context, b *Backend) {
	health, err := s.config.Backends[b.Name].Health(ctx)
	b.Driver, b.Version, b.Facts, b.Health = health.Driver, health.Version, health.Facts, OK
	if err != nil {
		b.Health, b.Failure = Failed, volume.NewFailure(volume.BackendError(err))
	}
}

func (s *Service) health(ctx context.Context) (HealthReply, error) {
	reply := HealthReply{
		Status: OK, Worker: s.config.Worker, Version: s.config.Version, Since: s.since, Server: s.conn.ConnectedServerName(),
	}
	if s.conn.Status() != nats.CONNECTED {
		reply.Problems = append(reply.Problems, "not connected")
	}
	examined, err := s.backends(ctx)
	if err != nil {
		return HealthReply{}, err
	}
	for _, b := range examined.Backends {
		if b.Failure != nil {
			reply.Problems = append(reply.Problems, fmt.Sprintf("backend %s: %s", b.Name, b.Failure.Message))
		}
	}
	owned, err := s.local.Partitions(ctx)
	if err != nil {
		reply.Problems = append(reply.Problems, err.Error())
	}
	workers, err := s.local.Workers(ctx)
	if err == nil && owned.Unowned > 0 {
		reply.Problems = append(reply.Problems, fmt.Sprintf("%d partitions without a worker", owned.Unowned))
	}
	reply.Workers, reply.Unowned = len(workers.Workers), owned.Unowned
	if len(reply.Problems) > 0 {
		reply.Status = Degraded
	}
	return reply, nil
}
