//go:build ceph

package ceph

import (
	"context"
	"runtime"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"time"

	"github.com/ceph/go-ceph/rados"
	"github.com/ceph/go-ceph/rbd"

	"github.com/jetvol/jetvol/backends"
	"github.com/jetvol/jetvol/volume"
)

// conn is one connection to the cluster with the pool opened. It is used between acquire
// and release of its connections only: librados crashes the process when a connection is
// used after its end.
type conn struct {
	cluster  *rados.Conn
	io       *rados.IOContext
	pool     int64 // the pool's number: another pool may come under the same name
	fences   *registration
	monitors string   // mon_host of the conf
	addrs    []string // our own addresses, as watchers and lock owners are told: 127.0.0.1:0/123

	shutOutFor time.Duration // how long clients stay on the blocklist

	users   int  // guarded by connections.mu
	retired bool // guarded by connections.mu; to be ended when users is 0
}

// connections hold the connection that calls use, and replace it. A connection is made by
// the first call that needs one: what is wrong with the cluster is told by each call until
// it is mended, and by none after that.
type connections struct {
	cfg Config

	mu      sync.Mutex
	current *conn    // guarded by mu; nil for none
	attempt *attempt // guarded by mu; nil for none
	closed  bool     // guarded by mu
}

// attempt is one to connect that all calls share.
type attempt struct {
	done chan struct{} // closed when err and connections.current are set
	err  error
}

// acquire returns a connection, having made one if there is none. It returns Unavailable
// if the cluster does not answer, FailedPrecondition for a wrong conf, key or pool, and
// ctx's error if that ends first.
func (cs *connections) acquire(ctx context.Context) (*conn, error) {
	for {
		c, running := cs.take()
		if c != nil {
			return c, nil
		}
		if running == nil {
			return nil, backends.Errorf(volume.FailedPrecondition, "driver is closed")
		}
		select {
		case <-running.done:
		case <-ctx.Done():
			return nil, ctx.Err()
		}
		if running.err != nil {
			return nil, running.err
		}
	}
}

// take returns the current connection or the attempt that will make one, neither if
// closed.
func (cs *connections) take() (*conn, *attempt) {
	cs.mu.Lock()
	defer cs.mu.Unlock()
	switch {
	case cs.closed:
		return nil, nil
	case cs.current != nil:
		cs.current.users++
		return cs.current, nil
	case cs.attempt == nil:
		cs.attempt = &attempt{done: make(chan struct{})}
		go cs.dial(cs.attempt)
	}
	return nil, cs.attempt
}

// dial runs in a goroutine of its own, because nothing can end rados_connect before its
// timeout, and callers may not want to wait so long.
func (cs *connections) dial(a *attempt) {
	c, err := dial(cs.cfg)
	if err != nil {
		// go-ceph has rados_shutdown for connections that came about only. It ends the
		// others, with four threads each, when the garbage collector finds them, which
		// does not know how large they are.
		runtime.GC()
	}
	cs.mu.Lock()
	defer cs.mu.Unlock()
	cs.current, cs.attempt, a.err = c, nil, err
	close(a.done)
}

// release ends the use of a connection that acquire returned.
func (cs *connections) release(c *conn) {
	cs.mu.Lock()
	c.users--
	last := c.retired && c.users == 0
	cs.mu.Unlock()
	if last {
		c.shutdown()
	}
}

// retire makes the next call connect anew. The connection ends when its last call has
// returned; repeated, retire does nothing.
func (cs *connections) retire(c *conn) {
	cs.mu.Lock()
	last := !c.retired && c.users == 0
	c.retired = true
	if cs.current == c {
		cs.current = nil
	}
	cs.mu.Unlock()
	if last {
		c.shutdown()
	}
}

// close ends the connection. It waits for one that is being made, no longer than that has
// timeouts.
func (cs *connections) close() {
	cs.mu.Lock()
	cs.closed = true
	running := cs.attempt
	cs.mu.Unlock()
	if running != nil {
		<-running.done
	}
	cs.mu.Lock()
	c := cs.current
	cs.mu.Unlock()
	if c != nil {
		cs.retire(c)
	}
}

// dial connects and opens the pool: rados_create, rados_conf_read_file, rados_connect,
// rados_ioctx_create.
func dial(cfg Config) (*conn, error) {
	cluster, err := rados.NewConnWithUser(cfg.User)
	if err != nil {
		return nil, misconfigured(err, "user client.%s", cfg.User)
	}
	c := &conn{cluster: cluster, shutOutFor: cfg.Blocklist}
	if err := c.open(cfg); err != nil {
		c.shutdown()
		return nil, err
	}
	return c, nil
}

func (c *conn) open(cfg Config) error {
	if err := c.cluster.ReadConfigFile(cfg.Conf); err != nil {
		return misconfigured(err, "conf %s", cfg.Conf)
	}
	for _, option := range options(cfg) {
		if err := c.cluster.SetConfigOption(option.name, option.value); err != nil {
			return misconfigured(err, "option %s", option.name)
		}
	}
	if err := c.cluster.Connect(); err != nil {
		return misconfigured(err, "connect to the cluster of %s as client.%s", cfg.Conf, cfg.User)
	}
	addrs, err := c.cluster.GetAddrs()
	if err != nil {
		return misconfigured(err, "own address")
	}
	c.addrs = parseAddrs(addrs)
	if c.monitors, err = c.cluster.GetConfigOption("mon_host"); err != nil {
		return misconfigured(err, "monitors")
	}
	if err := c.openPool(cfg); err != nil {
		return err
	}
	if c.fences, err = register(c.cluster, c.io, c.addrs[0]); err != nil {
		return misconfigured(err, "pool %s", cfg.Pool)
	}
	return nil
}

func (c *conn) openPool(cfg Config) (err error) {
	if c.io, err = c.cluster.OpenIOContext(cfg.Pool); err != nil {
		return c.unopened(err, cfg)
	}
	c.pool = c.io.GetPoolID()
	// Without this flag librados holds back the writes to a full pool until there is
	// space again, for us until the timeout, and also the deletes that would make space.
	// With it a full pool is an error at once, ENOSPC or EDQUOT.
	if err := c.io.SetPoolFullTry(); err != nil {
		return misconfigured(err, "pool %s", cfg.Pool)
	}
	if cfg.Namespace != "" {
		if err := c.openNamespace(cfg); err != nil {
			return err
		}
	}
	return c.makeTrash(cfg)
}

// unopened is the error for a pool that could not be opened. A user who may not read the
// map of the OSDs waits for it until the timeout; asking tells the difference.
func (c *conn) unopened(err error, cfg Config) error {
	if is(err, syscall.ETIMEDOUT) {
		if denied := c.ask("osd stat", new(any)); is(denied, syscall.EACCES, syscall.EPERM) {
			err = denied
		}
	}
	return misconfigured(err, "pool %s", cfg.Pool)
}

func (c *conn) openNamespace(cfg Config) error {
	exists, err := rbd.NamespaceExists(c.io, cfg.Namespace)
	if err != nil {
		return misconfigured(err, "namespace %s of pool %s", cfg.Namespace, cfg.Pool)
	}
	if !exists {
		return backends.Errorf(volume.FailedPrecondition, "namespace %s of pool %s: does not exist", cfg.Namespace, cfg.Pool)
	}
	c.io.SetNamespace(cfg.Namespace)
	return nil
}

// makeTrash makes the object through which librbd removes images. A full pool takes no new
// object, but does take changes of one: with it, images can be removed from a full pool.
func (c *conn) makeTrash(cfg Config) error {
	err := c.io.Create(trashObject, rados.CreateIdempotent)
	if err == nil || is(err, syscall.ENOSPC, syscall.EDQUOT) {
		return nil
	}
	return misconfigured(err, "write to pool %s", cfg.Pool)
}

// option is a setting of librados.
type option struct{ name, value string }

// options never name monitors: those of the conf are used, all of them.
func options(cfg Config) []option {
	all := []option{
		{"rados_osd_op_timeout", seconds(cfg.OpTimeout)},
		{"rados_mon_op_timeout", seconds(cfg.MonTimeout)},
		{"client_mount_timeout", seconds(cfg.MountTimeout)},
		{"rbd_blocklist_expire_seconds", seconds(cfg.Blocklist)},
	}
	if cfg.Keyring != "" {
		all = append(all, option{"keyring", cfg.Keyring})
	}
	return all
}

func seconds(d time.Duration) string { return strconv.Itoa(int(d / time.Second)) }

// shutdown ends a connection that nobody uses: rados_ioctx_destroy, rados_shutdown.
func (c *conn) shutdown() {
	if c.fences != nil {
		c.fences.close()
	}
	if c.io != nil {
		c.io.Destroy()
		c.io = nil
	}
	c.cluster.Shutdown()
}

// parseAddrs reads what rados_getaddrs returns, "127.0.0.1:0/123", "[fd00::1]:0/123" or
// "[v2:127.0.0.1:0/123,v1:127.0.0.1:0/123]".
func parseAddrs(text string) []string {
	if list, many := strings.CutSuffix(text, "]"); many { // one ends with a number
		text = strings.TrimPrefix(list, "[")
	}
	var addrs []string
	for addr := range strings.SplitSeq(text, ",") {
		addrs = append(addrs, bareAddr(addr))
	}
	return addrs
}

// bareAddr is an address without the version of its protocol.
func bareAddr(addr string) string {
	for _, version := range []string{"v1:", "v2:", "any:"} {
		addr = strings.TrimPrefix(addr, version)
	}
	return addr
}
