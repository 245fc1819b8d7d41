package cephproc

import (
	"bytes"
	"context"
	"os"

	"golang.org/x/sync/errgroup"
)

// // A key is a user of the cluster, a daemon or a client, with what each kind of daemon
// lets it do: mon, profile rbd, mgr, allow *, …
type key struct {
	user string // "client.admin"
	file string // within the directory; the mon copies its own
	caps []string
}

// keys are all users of a new cluster.
func keys() []key {
	return []key{
		{"mon.", "seed/mon", []string{"mon", "allow *"}},
		{"mgr.x", "mgr/keyring", []string{"mon", "allow profile mgr", "osd", "allow *", "mds", "allow *"}},
		{"osd.0", "osd/keyring", []string{"mon", "allow profile osd", "mgr", "allow profile osd", "osd", "allow *"}},
		{"client." + Admin, keyringName(Admin), []string{"mon", "allow *", "osd", "allow *", "mgr", "allow *", "mds", "allow *"}},
		{"client." + Volumes, keyringName(Volumes), poolCaps(Pool)},
		{"client." + NoCaps, keyringName(NoCaps), []string{"mon", "allow command version"}},
	}
}

func keyringName(user string) string { return "ceph.client." + user + ".keyring" }

// poolCaps are what jetvol needs for the images of a pool. The profile lets it blocklist
// clients, too.
func poolCaps(pool string) []string {
	return []string{"mon", "profile rbd", "osd", "profile rbd pool=" + pool, "mgr", "profile rbd pool=" + pool}
}

// makeKeys makes a keyring for each user, and one of them all for the mon to begin with.
func (c *Cluster) makeKeys(ctx context.Context) error {
	all := keys()
	var makers errgroup.Group
	for _, k := range all {
		makers.Go(func() error {
			args := []string{c.path(k.file), "--create-keyring", "--gen-key", "--name", k.user}
			for i := 0; i < len(k.caps); i += 2 {
				args = append(args, "--cap", k.caps[i], k.caps[i+1])
			}
			_, err := c.run(ctx, "ceph-authtool", args...)
			return err
		})
	}
	if err := makers.Wait(); err != nil {
		return err
	}
	var seed bytes.Buffer
	for _, k := range all {
		text, err := os.ReadFile(c.path(k.file))
		if err != nil {
			return err
		}
		seed.Write(text)
	}
	return os.WriteFile(c.path("seed", "keyring"), seed.Bytes(), 0o600)
}
