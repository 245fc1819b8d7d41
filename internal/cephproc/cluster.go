package cephproc

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"regexp"
	"time"
)

// Pool is the pool that every cluster has, ready for RBD images.
const Pool = "volumes"

// Users of every cluster, without the prefix "client.".
const (
	Admin   = "admin"   // may do everything
	Volumes = "volumes" // profile rbd on [Pool]
	NoCaps  = "nocaps"  // can log in and may do nothing
)

// Files in a cluster's directory.
const (
	confName  = "ceph.conf"
	markName  = ".jetvol-ceph" // the first file made and the last one removed
	readyName = ".ready"       // made when the cluster has answered for the first time
)

// answerTimeout bounds the wait for the pool to answer after the daemons have started.
const answerTimeout = time.Minute

// ErrForeign says that a directory has files in it and is no cluster of this package.
// Nothing in it was changed.
var ErrForeign = errors.New("neither empty nor a test cluster")

// ErrNoCluster says that a directory holds no cluster.
var ErrNoCluster = errors.New("no test cluster")

// plainPath matches the paths that mean themselves in a ceph.conf.
var plainPath = regexp.MustCompile(`^[A-Za-z0-9/._+@=,-]+$`)

// Cluster is a cluster in a directory, running or not. Its methods may be called
// concurrently, by this process and by others: those that start or remove daemons wait
// for each other.
type Cluster struct{ dir string }

// Up makes a cluster in dir, which is made if it is missing and must be empty otherwise.
// In a directory with a cluster it starts what is not running, and makes the cluster anew
// if an earlier Up was cut short. It returns when the cluster answers, after about two
// seconds.
//
// It returns a [MissingError] if Ceph is not installed, [ErrForeign] if dir is something
// else's, and otherwise an error that names the log. It may be repeated after each.
func Up(ctx context.Context, dir string) (*Cluster, error) {
	if err := findPrograms(); err != nil {
		return nil, err
	}
	c, err := at(dir)
	if err != nil {
		return nil, err
	}
	for {
		if err := os.MkdirAll(c.dir, 0o750); err != nil {
			return nil, err
		}
		err := c.locked(ctx, c.up)
		switch {
		case err == nil:
			return c, nil
		case !errors.Is(err, ErrNoCluster): // which says that Down got in between
			return nil, fmt.Errorf("start ceph cluster in %s: %w", c.dir, err)
		}
	}
}

// Open returns the cluster in dir, or [ErrNoCluster].
func Open(dir string) (*Cluster, error) {
	c, err := at(dir)
	if err != nil {
		return nil, err
	}
	if !c.has(markName) {
		return nil, fmt.Errorf("%s: %w", c.dir, ErrNoCluster)
	}
	return c, nil
}

func at(dir string) (*Cluster, error) {
	dir, err := filepath.Abs(dir)
	if err != nil {
		return nil, err
	}
	if !plainPath.MatchString(dir) {
		return nil, fmt.Errorf("directory %q: ceph.conf cannot name it: use letters, digits and /._+@=,-", dir)
	}
	return &Cluster{dir: dir}, nil
}

// Dir returns the cluster's directory.
func (c *Cluster) Dir() string { return c.dir }

// Conf returns the path of the configuration file, which is all that a client needs.
func (c *Cluster) Conf() string { return c.path(confName) }

// Keyring returns the path of a user's keyring.
func (c *Cluster) Keyring(user string) string { return c.path(keyringName(user)) }

// path returns the path of a file in the cluster's directory.
func (c *Cluster) path(elements ...string) string {
	return filepath.Join(append([]string{c.dir}, elements...)...)
}

func (c *Cluster) has(name string) bool {
	_, err := os.Stat(c.path(name))
	return err == nil
}

// up needs the lock.
func (c *Cluster) up(ctx context.Context) error {
	if c.has(markName) && !c.has(readyName) {
		if err := c.remove(ctx); err != nil {
			return fmt.Errorf("remove what is half made: %w", err)
		}
	}
	if !c.has(markName) {
		return c.create(ctx, freePorts)
	}
	for _, daemon := range Daemons() {
		if err := c.start(ctx, daemon); err != nil {
			return err
		}
	}
	return c.Answers(ctx)
}

// Answers returns nil when [Pool] answers, which it waits for, and an error if it does not
// within a minute or until ctx ends.
func (c *Cluster) Answers(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, answerTimeout)
	defer cancel()
	if _, err := c.run(ctx, "rbd", "--conf", c.Conf(), "ls", "--pool", Pool); err != nil {
		return fmt.Errorf("the pool does not answer, see %s: %w", c.path("log"), err)
	}
	return nil
}

// Down ends the daemons of the cluster in dir and removes its files, and dir if nothing
// else is in it. To remove what is not there does nothing.
func Down(ctx context.Context, dir string) error {
	c, err := at(dir)
	if err != nil {
		return err
	}
	err = c.locked(ctx, func(ctx context.Context) error {
		if err := c.remove(ctx); err != nil {
			return err
		}
		// Fails if a file of someone else lies in it, which is then the reason to stay.
		_ = os.Remove(c.dir)
		return nil
	})
	if err != nil && !errors.Is(err, ErrNoCluster) {
		return fmt.Errorf("remove ceph cluster in %s: %w", c.dir, err)
	}
	return nil
}

// remove needs the lock. The mark goes last: until then a repeat finds the rest.
func (c *Cluster) remove(ctx context.Context) error {
	if !c.has(markName) {
		return nil
	}
	// The data is thrown away, so nobody has to end in order.
	for _, daemon := range Daemons() {
		if err := c.Kill(ctx, daemon); err != nil {
			return err
		}
	}
	keyrings, err := filepath.Glob(c.path(keyringName("*")))
	if err != nil {
		return err
	}
	for _, name := range []string{readyName, "mon", "mgr", "osd", "run", "log", "seed", confName} {
		if err := os.RemoveAll(c.path(name)); err != nil {
			return err
		}
	}
	for _, keyring := range keyrings {
		if err := os.Remove(keyring); err != nil {
			return err
		}
	}
	return os.Remove(c.path(markName))
}
