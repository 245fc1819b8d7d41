package config

import (
	"context"
	"fmt"

	"github.com/jetvol/jetvol/backends"
	"github.com/jetvol/jetvol/backends/ceph"
)

// Ceph are the settings of a backend over a pool of a Ceph cluster.
type Ceph struct{ ceph.Config }

// Driver returns [ceph.DriverName].
func (c *Ceph) Driver() string { return ceph.DriverName }

// Open returns a driver that connects at its first call; see [ceph.Open].
func (c *Ceph) Open(ctx context.Context, o Options) (backends.Driver, error) {
	cfg := c.Config
	cfg.Concurrency = o.Concurrency
	return ceph.Open(ctx, cfg)
}

func (c *Ceph) keys(dir string) []key {
	const limit = "whole seconds"
	timeout := ceph.DefaultTimeout.String()
	return []key{
		{name: "pool", value: text(&c.Pool), required: true, about: "pool of the images"},
		{
			name: "data_pool", value: text(&c.DataPool), standard: "`pool`",
			about: "pool of the images' data, such as an erasure-coded one",
		},
		{name: "namespace", value: text(&c.Namespace), standard: "none", about: "RBD namespace within the pool"},
		{
			name: "conf", value: path(&c.Conf, dir), standard: "`" + ceph.DefaultConf + "`",
			about: "the cluster's `ceph.conf`; nodes are told the same path",
		},
		{
			name: "user", value: text(&c.User), standard: "`" + ceph.DefaultUser + "`",
			about: "Ceph user, without `client.`; it needs `profile rbd`",
		},
		{
			name: "keyring", value: path(&c.Keyring, dir), standard: "where `conf` says",
			about: "file with the key of the user; keys themselves never stand in this file",
		},
		{
			name: "features", value: list(&c.Features), standard: "none",
			about: "RBD features of new images besides layering, exclusive-lock, object-map, fast-diff and deep-flatten",
		},
		{
			name: "op_timeout", value: duration(&c.OpTimeout), standard: timeout,
			about: "the longest wait for an operation of an OSD, " + limit,
		},
		{
			name: "mon_timeout", value: duration(&c.MonTimeout), standard: timeout,
			about: "the longest wait for a monitor, " + limit,
		},
		{
			name: "mount_timeout", value: duration(&c.MountTimeout), standard: timeout,
			about: "the longest wait for a connection, " + limit,
		},
		{
			name: "blocklist", value: duration(&c.Blocklist), standard: ceph.DefaultBlocklist.String(),
			about: "how long an evicted client is shut out, " + limit + " and at least " + ceph.MinBlocklist.String(),
		},
	}
}

func (c *Ceph) validate() error { return c.Validate() }

func (c *Ceph) place() string {
	cfg := c.WithDefaults()
	place := fmt.Sprintf("pool %s of %s", cfg.Pool, cfg.Conf)
	if cfg.Namespace != "" {
		place += " in namespace " + cfg.Namespace
	}
	return place
}
