package cephproc

import (
	"bytes"
	"context"
	_ "embed" // the template
	"errors"
	"fmt"
	"math/rand/v2"
	"net"
	"os"
	"text/template"

	"github.com/google/uuid"
	"golang.org/x/sync/errgroup"
)

// capacity of the OSD in bytes. Its file is sparse.
const capacity = 8 << 30

// The mon's two ports are taken from a range that neither systems give to outgoing
// connections nor jetvol's tests to their NATS servers.
const (
	firstPort = 30000
	lastPort  = 32000
	portTries = 100
)

// watchTimeout is after how many seconds an OSD forgets a client that died, 30 in other
// clusters. It is not in the configuration file, so that a test may set less.
const watchTimeout = "10"

// createTries is how often a cluster is made on other ports because another process took
// one of the chosen ones meanwhile.
const createTries = 3

// portInUse is in what the mon prints if it cannot have its port. Its exit code does not
// tell that.
var portInUse = []byte("Address already in use")

//go:embed ceph.conf.tmpl
var confText string

var confTemplate = template.Must(template.New(confName).Parse(confText))

// identity is what tells one cluster from another.
type identity struct {
	FSID, OSD string // UUIDs
	Address   string // the mon's, as ceph.conf has it
	Dir       string
	Capacity  int64
}

// create makes and starts the cluster in its directory, which must be empty, on the ports
// that choosePorts finds. It needs the lock.
func (c *Cluster) create(ctx context.Context, choosePorts func() (int, error)) error {
	entries, err := os.ReadDir(c.dir)
	if err != nil {
		return err
	}
	if len(entries) > 0 {
		return ErrForeign
	}
	for try := 1; ; try++ {
		port, err := choosePorts()
		if err != nil {
			return err
		}
		err = c.createOn(ctx, port)
		log, _ := os.ReadFile(c.outputPath(Mon)) // no log, no reason to try again
		if err == nil || try == createTries || !bytes.Contains(log, portInUse) {
			return err
		}
		if err := c.remove(ctx); err != nil {
			return err
		}
	}
}

func (c *Cluster) createOn(ctx context.Context, port int) error {
	id := identity{
		FSID: uuid.NewString(), OSD: uuid.NewString(), Dir: c.dir, Capacity: capacity,
		Address: fmt.Sprintf("[v2:127.0.0.1:%d,v1:127.0.0.1:%d]", port, port+1),
	}
	// The mark comes first: whatever follows is then known to be ours.
	if err := os.WriteFile(c.path(markName), nil, 0o600); err != nil {
		return err
	}
	if err := c.layOut(ctx, id); err != nil {
		return err
	}
	if err := c.makeMon(ctx, id); err != nil {
		return err
	}
	var steps errgroup.Group
	steps.Go(func() error { // meanwhile the mon learns of the OSD and of the pool
		return c.daemonCommand(ctx, OSD, "--mkfs", "--osd-uuid", id.OSD, "--no-mon-config")
	})
	steps.Go(func() error { return c.prepare(ctx, id) })
	if err := steps.Wait(); err != nil {
		return err
	}
	if err := c.start(ctx, OSD); err != nil {
		return err
	}
	if err := c.initPool(ctx, Pool); err != nil {
		return err
	}
	return os.WriteFile(c.path(readyName), nil, 0o600)
}

// layOut makes the directories, the configuration and the keyrings.
func (c *Cluster) layOut(ctx context.Context, id identity) error {
	for _, dir := range []string{"mon", "mgr/modules", "osd", "run", "log", "seed"} {
		if err := os.MkdirAll(c.path(dir), 0o750); err != nil {
			return err
		}
	}
	var conf bytes.Buffer
	if err := confTemplate.Execute(&conf, id); err != nil {
		return err
	}
	if err := os.WriteFile(c.Conf(), conf.Bytes(), 0o600); err != nil {
		return err
	}
	return c.makeKeys(ctx)
}

// makeMon makes the mon's store. All users are in it from the first moment, so that none
// has to be made by commands.
func (c *Cluster) makeMon(ctx context.Context, id identity) error {
	monMap := c.path("seed", "monmap")
	if _, err := c.run(ctx, "monmaptool", "--create", "--fsid", id.FSID, "--addv", monID, id.Address, monMap); err != nil {
		return err
	}
	if err := c.daemonCommand(ctx, Mon, "--mkfs", "--monmap", monMap, "--keyring", c.path("seed", "keyring")); err != nil {
		return err
	}
	return os.RemoveAll(c.path("seed"))
}

// prepare starts the daemons that the OSD needs, and announces it and the pool to them.
func (c *Cluster) prepare(ctx context.Context, id identity) error {
	if err := c.start(ctx, Mon); err != nil {
		return err
	}
	if err := c.start(ctx, Mgr); err != nil {
		return err
	}
	var commands errgroup.Group
	for _, command := range [][]string{
		{"osd", "new", id.OSD},
		{"osd", "pool", "create", Pool},
		{"config", "set", string(OSD), "osd_client_watch_timeout", watchTimeout},
		{"health", "mute", "MGR_MODULE_ERROR", "--sticky"}, // there are none on purpose
	} {
		commands.Go(func() error {
			_, err := c.Ceph(ctx, command...)
			return err
		})
	}
	return commands.Wait()
}

// initPool makes a pool ready for images and returns when it answers.
func (c *Cluster) initPool(ctx context.Context, pool string) error {
	ctx, cancel := context.WithTimeout(ctx, answerTimeout)
	defer cancel()
	if _, err := c.run(ctx, "rbd", "--conf", c.Conf(), "pool", "init", pool); err != nil {
		return fmt.Errorf("pool %s does not become active, see %s: %w", pool, c.path("log"), err)
	}
	return nil
}

// freePorts returns a port such that nobody listens on it or on the next one.
func freePorts() (int, error) {
	var errs []error
	for range portTries {
		port := firstPort + 2*rand.IntN((lastPort-firstPort)/2)
		err := errors.Join(checkFree(port), checkFree(port+1))
		if err == nil {
			return port, nil
		}
		errs = append(errs, err)
	}
	return 0, fmt.Errorf("find two free ports: %w", errors.Join(errs...))
}

func checkFree(port int) error {
	listener, err := net.ListenTCP("tcp", &net.TCPAddr{IP: net.IPv4(127, 0, 0, 1), Port: port})
	if err != nil {
		return err
	}
	return listener.Close()
}
