package embednats

import (
	"context"
	"fmt"
	"net/url"
	"time"

	"github.com/nats-io/nats-server/v2/server"
	"github.com/nats-io/nats.go/jetstream"

	"github.com/jetvol/jetvol/volume"
)

// Cluster says with which other servers one replicates streams. JetStream finds the other
// members by their names and keeps count of them in the directory, so that a server that
// comes back on the same directory with the same name is the same member.
type Cluster struct {
	// Name is the same for all servers of the cluster.
	Name string
	// Listen is HOST:PORT where the other servers reach this one. The port is not 0: the
	// others have to know it.
	Listen string
	// Routes are the Listen addresses of all servers of the cluster, its own included.
	Routes []string
}

// validate returns [volume.ErrInvalidArgument] for what would keep the server from ever
// meeting the others. A nil cluster is valid.
func (c *Cluster) validate() error {
	if c == nil {
		return nil
	}
	_, port, err := parseListen(c.Listen)
	switch {
	case err != nil:
		return fmt.Errorf("cluster: %w", err)
	case c.Name == "":
		return volume.Errorf(volume.ErrInvalidArgument, "cluster: want a name")
	case c.Listen == "" || port == 0:
		return volume.Errorf(volume.ErrInvalidArgument, "cluster: listen address %q: want a port that the others know", c.Listen)
	case len(c.Routes) == 0:
		return volume.Errorf(volume.ErrInvalidArgument, "cluster: want the routes to all servers")
	}
	return nil
}

// apply sets the server's options for a valid cluster, and none for nil.
func (c *Cluster) apply(options *server.Options) error {
	if c == nil {
		return nil
	}
	host, port, err := parseListen(c.Listen)
	if err != nil {
		return err
	}
	options.Cluster = server.ClusterOpts{Name: c.Name, Host: host, Port: port}
	for _, route := range c.Routes {
		if _, _, err := parseListen(route); err != nil {
			return fmt.Errorf("cluster: route: %w", err)
		}
		options.Routes = append(options.Routes, &url.URL{Scheme: "nats", Host: route})
	}
	return nil
}

// probeStream exists only while [AwaitReplicas] looks.
const probeStream = "JETVOL_PROBE"

// probeTimeout bounds one question and probePause stands between two: a cluster without a
// leader does not answer, and one that has not met all its members refuses at once.
const (
	probeTimeout = time.Second
	probePause   = 50 * time.Millisecond
)

// AwaitReplicas returns when the cluster has a leader that can place so many replicas. It
// finds out by making a stream and deleting it. It returns the last refusal with the
// cause of ctx's end if that comes first.
func AwaitReplicas(ctx context.Context, js jetstream.JetStream, replicas int) error {
	probe := jetstream.StreamConfig{
		Name: probeStream, Subjects: []string{probeStream}, Storage: jetstream.MemoryStorage, Replicas: replicas,
	}
	for {
		err := try(ctx, func(ctx context.Context) error {
			if _, err := js.CreateStream(ctx, probe); err != nil {
				return err
			}
			return js.DeleteStream(ctx, probeStream)
		})
		if err == nil {
			return nil
		}
		if pause(ctx) != nil {
			return fmt.Errorf("await %d replicas: %w: %w", replicas, err, context.Cause(ctx))
		}
	}
}

// LeaderOf returns the name of the server that leads the stream, or an empty one while
// there is none. It returns the error of nats.go if nobody answers, as while the cluster
// itself has no leader.
func LeaderOf(ctx context.Context, js jetstream.JetStream, stream string) (string, error) {
	found, err := js.Stream(ctx, stream)
	if err != nil {
		return "", fmt.Errorf("leader of stream %s: %w", stream, err)
	}
	return leader(found.CachedInfo().Cluster), nil
}

// ConsumerLeaderOf does the same for a consumer of the stream.
func ConsumerLeaderOf(ctx context.Context, js jetstream.JetStream, stream, consumer string) (string, error) {
	found, err := js.Consumer(ctx, stream, consumer)
	if err != nil {
		return "", fmt.Errorf("leader of consumer %s of stream %s: %w", consumer, stream, err)
	}
	return leader(found.CachedInfo().Cluster), nil
}

func leader(info *jetstream.ClusterInfo) string {
	if info == nil {
		return ""
	}
	return info.Leader
}

// AwaitCurrent returns when every stream has a leader and each of its replicas holds what
// the leader does: from then on one server may go without any loss of what was stored. It
// returns ctx's cause if that ends first, with what was missing last.
func AwaitCurrent(ctx context.Context, js jetstream.JetStream) error {
	for {
		err := try(ctx, func(ctx context.Context) error { return current(ctx, js) })
		if err == nil {
			return nil
		}
		if pause(ctx) != nil {
			return fmt.Errorf("await replicas: %w: %w", err, context.Cause(ctx))
		}
	}
}

func current(ctx context.Context, js jetstream.JetStream) error {
	streams := js.ListStreams(ctx)
	for info := range streams.Info() {
		if info.Cluster == nil {
			continue
		}
		if info.Cluster.Leader == "" {
			return volume.Errorf(volume.ErrInternal, "stream %s: no leader", info.Config.Name)
		}
		for _, replica := range info.Cluster.Replicas {
			if !replica.Current || replica.Offline {
				return volume.Errorf(volume.ErrInternal, "stream %s: replica %s is behind", info.Config.Name, replica.Name)
			}
		}
	}
	return streams.Err()
}

func try(ctx context.Context, ask func(context.Context) error) error {
	attempt, cancel := context.WithTimeout(ctx, probeTimeout)
	defer cancel()
	return ask(attempt)
}

// pause returns after probePause, or the context's error if that ends first.
func pause(ctx context.Context) error {
	timer := time.NewTimer(probePause)
	defer timer.Stop()
	select {
	case <-timer.C:
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}
