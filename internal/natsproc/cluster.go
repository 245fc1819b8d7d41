package natsproc

import (
	"context"
	"errors"
	"fmt"
	"path/filepath"
	"strings"

	"github.com/nats-io/nats.go/jetstream"
	"golang.org/x/sync/errgroup"

	"github.com/jetvol/jetvol/internal/embednats"
)

// clusterName is the same for every cluster; ports tell them apart.
const clusterName = "jetvol"

// startTries is how often a cluster is started on other ports because one of the chosen
// ones was taken meanwhile.
const startTries = 3

// Cluster is a fixed number of servers that know each other.
type Cluster struct{ servers []*Process }

// StartCluster starts size servers on free ports. It returns when clients can connect to
// each; [embednats.AwaitReplicas] tells when streams can be made. After an error no
// process is left.
func StartCluster(ctx context.Context, size int, o Options) (*Cluster, error) {
	for try := 1; ; try++ {
		c, err := newCluster(ctx, size, o)
		if err != nil {
			return nil, err
		}
		err = c.Start(ctx)
		if err == nil {
			return c, nil
		}
		err = errors.Join(err, c.Kill())
		if try == startTries || !errors.Is(err, embednats.ErrAddressInUse) {
			return nil, err
		}
	}
}

func newCluster(ctx context.Context, size int, o Options) (*Cluster, error) {
	addresses, err := embednats.FreeAddresses(ctx, 2*size)
	if err != nil {
		return nil, err
	}
	log := lineWriter(o.Log)
	clients, routes := addresses[:size], addresses[size:]
	c := &Cluster{}
	for i := range size {
		name := fmt.Sprintf("n%d", i+1)
		c.servers = append(c.servers, &Process{log: log, args: o.Args, settings: settings{
			Name: name, Dir: filepath.Join(o.Dir, name), Listen: clients[i], SyncAlways: o.SyncAlways,
			Cluster: &embednats.Cluster{Name: clusterName, Listen: routes[i], Routes: routes},
		}})
	}
	return c, nil
}

// Start starts every server that is not running, all at once: one that finds the others
// missing waits a second before it looks for them again.
func (c *Cluster) Start(ctx context.Context) error {
	var starts errgroup.Group
	for _, p := range c.servers {
		starts.Go(func() error { return p.Start(ctx) })
	}
	return starts.Wait()
}

// Size returns the number of servers, running or not.
func (c *Cluster) Size() int { return len(c.servers) }

// Server returns one of the servers, counted from 0.
func (c *Cluster) Server(i int) *Process { return c.servers[i] }

// URLs returns the addresses of all servers.
func (c *Cluster) URLs() []string {
	var urls []string
	for _, p := range c.servers {
		urls = append(urls, p.URL())
	}
	return urls
}

// URL returns all addresses as one text, as nats.Connect and the flag --server take it.
func (c *Cluster) URL() string { return strings.Join(c.URLs(), ",") }

// LeaderOf returns the server that leads the stream, nil while there is none. It returns
// the error of [embednats.LeaderOf].
func (c *Cluster) LeaderOf(ctx context.Context, js jetstream.JetStream, stream string) (*Process, error) {
	name, err := embednats.LeaderOf(ctx, js, stream)
	if err != nil {
		return nil, err
	}
	for _, p := range c.servers {
		if p.Name() == name {
			return p, nil
		}
	}
	return nil, nil //nolint:nilnil // it is no error that there is no leader for a while
}

// Kill kills every server that runs.
func (c *Cluster) Kill() error {
	var errs []error
	for _, p := range c.servers {
		errs = append(errs, p.Kill())
	}
	return errors.Join(errs...)
}

// Stop stops every server that runs, one after the other.
func (c *Cluster) Stop() error {
	var errs []error
	for _, p := range c.servers {
		errs = append(errs, p.Stop())
	}
	return errors.Join(errs...)
}
