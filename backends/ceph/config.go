package ceph

import (
	"slices"
	"strings"
	"time"

	"github.com/jetvol/jetvol/volume"
)

// Defaults of [Config].
const (
	DefaultConf = "/etc/ceph/ceph.conf"
	DefaultUser = "admin"

	// DefaultTimeout is less than backends.DefaultTimeout, so that a call against a
	// cluster that does not answer ends itself, and is not abandoned: librbd gives up
	// at the first operation that fails. It is more than what an OSD that restarts or a
	// monitor election takes on a healthy cluster.
	DefaultTimeout = 10 * time.Second

	// DefaultBlocklist is how long a node that was evicted stays shut out, unless it
	// restarts its clients: then they have new addresses and are welcome. It is as long
	// as a person may need to find a machine that hangs and to end what runs there.
	DefaultBlocklist = 24 * time.Hour

	// DefaultConcurrency is that of backends.Options.
	DefaultConcurrency = 32
)

// MinTimeout is the shortest timeout that librados tells in whole seconds.
const MinTimeout = time.Second

// MinBlocklist is what Ceph itself takes for a client whose lock was broken. A node that
// hangs for longer than it was shut out still sends what it had under way.
const MinBlocklist = time.Hour

// Config says how to reach a pool. Only Pool must be set.
type Config struct {
	// Conf is the ceph.conf, which names the monitors: all of them are used. It is read
	// anew for each connection. Nodes are told to use the same path.
	Conf string
	// Keyring is the file with the key of User; empty is where Conf says it is.
	Keyring string
	// User is the Ceph user without "client."; it needs `profile rbd` on mon, mgr and OSD.
	User string

	// Pool holds the images, DataPool (an erasure-coded pool, say) their data if set.
	Pool     string
	DataPool string
	// Namespace is the RBD namespace within the pools; empty is the default one.
	Namespace string

	// Features are RBD features that new images have besides those they always have:
	// layering, exclusive-lock, object-map, fast-diff and deep-flatten.
	Features []string

	// OpTimeout bounds each operation on an OSD, MonTimeout each on a monitor, and
	// MountTimeout the connecting, each in whole seconds of at least one. Nothing of
	// librados is unbounded: a call that hung for ever would keep its volume for ever.
	OpTimeout    time.Duration
	MonTimeout   time.Duration
	MountTimeout time.Duration

	// Blocklist is how long an evicted client stays on the cluster's blocklist, at least
	// [MinBlocklist].
	Blocklist time.Duration

	// Concurrency is the greatest number of calls into librados and librbd at once.
	Concurrency int
}

// optionalFeatures can be asked for. The others are always there or not for people to set.
var optionalFeatures = []string{"journaling"}

// Validate returns an InvalidArgument that names the first field which is wrong. Zero
// values are right, except for Pool.
func (c Config) Validate() error {
	names := []struct{ field, value string }{
		{"user", c.User},
		{"pool", c.Pool},
		{"data pool", c.DataPool},
		{"namespace", c.Namespace},
		{"conf", c.Conf},
		{"keyring", c.Keyring},
	}
	for _, name := range names {
		// These get into a `rbd:` line, whose parts are separated by ':' and '@', and
		// librados itself takes C strings.
		if strings.ContainsAny(name.value, ":@\\\"' \t\r\n\x00") {
			return invalid("%s %q: want none of : @ \\, quotes and white space", name.field, name.value)
		}
	}
	for _, name := range names[:4] {
		if strings.Contains(name.value, "/") {
			return invalid("%s %q: want no /", name.field, name.value)
		}
	}
	if c.Pool == "" {
		return invalid("no pool given")
	}
	if strings.HasPrefix(c.User, "client.") {
		return invalid("user %q: want it without client.", c.User)
	}
	for _, feature := range c.Features {
		if !slices.Contains(optionalFeatures, feature) && !slices.Contains(alwaysFeatures, feature) {
			return invalid("feature %q: want one of %v", feature, optionalFeatures)
		}
	}
	return c.validateNumbers()
}

func (c Config) validateNumbers() error {
	times := []struct {
		field string
		value time.Duration
	}{{"op timeout", c.OpTimeout}, {"mon timeout", c.MonTimeout}, {"mount timeout", c.MountTimeout}, {"blocklist", c.Blocklist}}
	for _, limit := range times {
		if limit.value != 0 && limit.value < MinTimeout || limit.value%time.Second != 0 {
			return invalid("%s %s: want whole seconds", limit.field, limit.value)
		}
	}
	if c.Blocklist != 0 && c.Blocklist < MinBlocklist {
		return invalid("blocklist %s: want at least %s", c.Blocklist, MinBlocklist)
	}
	if c.Concurrency < 0 {
		return invalid("concurrency %d: want more than 0", c.Concurrency)
	}
	return nil
}

// alwaysFeatures make removing an image take as long as it has data instead of as long as
// it is large, and keep two careless writers from mixing their blocks.
var alwaysFeatures = []string{"layering", "exclusive-lock", "object-map", "fast-diff", "deep-flatten"}

// WithDefaults returns c with its zero values replaced by the defaults.
func (c Config) WithDefaults() Config {
	setDefault(&c.Conf, DefaultConf)
	setDefault(&c.User, DefaultUser)
	setDefault(&c.OpTimeout, DefaultTimeout)
	setDefault(&c.MonTimeout, DefaultTimeout)
	setDefault(&c.MountTimeout, DefaultTimeout)
	setDefault(&c.Blocklist, DefaultBlocklist)
	setDefault(&c.Concurrency, DefaultConcurrency)
	features := slices.Concat(alwaysFeatures, c.Features)
	slices.Sort(features)
	c.Features = slices.Compact(features)
	return c
}

func setDefault[T comparable](value *T, byDefault T) {
	var zero T
	if *value == zero {
		*value = byDefault
	}
}

func invalid(format string, args ...any) error {
	return volume.Errorf(volume.ErrInvalidArgument, "ceph: "+format, args...)
}
