package cephproc

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"os"
	"slices"
	"strconv"
	"strings"
)

// Ceph runs the ceph tool as the user admin and returns what it prints. It waits for a mon
// that does not answer until ctx ends.
func (c *Cluster) Ceph(ctx context.Context, args ...string) ([]byte, error) {
	return c.run(ctx, "ceph", append([]string{"--conf", c.Conf()}, args...)...)
}

// RBD runs the rbd tool as the user admin and returns what it prints.
func (c *Cluster) RBD(ctx context.Context, args ...string) ([]byte, error) {
	return c.run(ctx, "rbd", append([]string{"--conf", c.Conf()}, args...)...)
}

// Rados runs the rados tool as the user admin and returns what it prints.
func (c *Cluster) Rados(ctx context.Context, args ...string) ([]byte, error) {
	return c.run(ctx, "rados", append([]string{"--conf", c.Conf()}, args...)...)
}

// CreatePool makes a pool for RBD images and returns when it answers, and a user of the
// same name who may do there what [Volumes] may in [Pool].
func (c *Cluster) CreatePool(ctx context.Context, name string) error {
	if _, err := c.Ceph(ctx, "osd", "pool", "create", name); err != nil {
		return err
	}
	user := append([]string{"auth", "get-or-create", "client." + name}, poolCaps(name)...)
	keyring, err := c.Ceph(ctx, user...)
	if err != nil {
		return err
	}
	if err := os.WriteFile(c.Keyring(name), keyring, 0o600); err != nil {
		return err
	}
	return c.initPool(ctx, name)
}

// DeletePool removes a pool with all that is in it. Its user stays.
func (c *Cluster) DeletePool(ctx context.Context, name string) error {
	_, err := c.Ceph(ctx, "osd", "pool", "delete", name, name, "--yes-i-really-really-mean-it")
	return err
}

// SetQuota limits the bytes in a pool; 0 lifts the limit. It takes effect within seconds,
// when the mgr has counted.
func (c *Cluster) SetQuota(ctx context.Context, pool string, limit int64) error {
	_, err := c.Ceph(ctx, "osd", "pool", "set-quota", pool, "max_bytes", strconv.FormatInt(limit, 10))
	return err
}

// Full reports whether the quota has taken effect: clients can no longer write.
func (c *Cluster) Full(ctx context.Context, pool string) (bool, error) {
	output, err := c.Ceph(ctx, "osd", "pool", "ls", "detail", "--format", "json")
	if err != nil {
		return false, err
	}
	var pools []struct {
		Name  string `json:"pool_name"`
		Flags string `json:"flags_names"`
	}
	if err := json.Unmarshal(output, &pools); err != nil {
		return false, fmt.Errorf("list of pools: %w", err)
	}
	for _, p := range pools {
		if p.Name == pool {
			return slices.Contains(strings.Split(p.Flags, ","), "full"), nil
		}
	}
	return false, fmt.Errorf("no pool %s", pool)
}

// Blocklist returns the addresses of the clients that are shut out: "127.0.0.1:0/3948123".
func (c *Cluster) Blocklist(ctx context.Context) ([]string, error) {
	output, err := c.Ceph(ctx, "osd", "blocklist", "ls", "--format", "json")
	if err != nil {
		return nil, err
	}
	var entries []struct {
		Address string `json:"addr"`
	}
	// A second list, that of address ranges, may follow.
	if err := json.NewDecoder(bytes.NewReader(output)).Decode(&entries); err != nil {
		return nil, fmt.Errorf("blocklist: %w", err)
	}
	var addresses []string
	for _, entry := range entries {
		addresses = append(addresses, entry.Address)
	}
	return addresses, nil
}
