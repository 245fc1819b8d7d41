//go:build ceph

package ceph

import (
	"fmt"
	"os"
	"testing"

	"github.com/jetvol/jetvol/internal/cephtest"
)

// childVariable makes this test binary a child process; its value is the kind of child,
// and the arguments follow in os.Args.
const childVariable = "JETVOL_CEPH_CHILD"

var children = map[string]func(args []string) error{
	"idle": idleChild, "inside": insideChild, "verb": verbChild,
}

func TestMain(m *testing.M) {
	child, isChild := children[os.Getenv(childVariable)]
	if !isChild {
		os.Exit(cephtest.Main(m))
	}
	if err := child(os.Args[1:]); err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
}

func must(t testing.TB, err error) {
	t.Helper()
	if err != nil {
		t.Fatalf("got error %v, want none", err)
	}
}

// newStore is a namespace for this test.
func newStore(t testing.TB) Config {
	t.Helper()
	cluster := cephtest.Start(t)
	return Config{Conf: cluster.Conf(), User: cephtest.Volumes, Pool: cephtest.Pool, Namespace: cluster.Namespace(t)}
}

// openTest returns a driver with a connection.
func openTest(t testing.TB, cfg Config) *driver {
	t.Helper()
	opened, err := Open(t.Context(), cfg)
	must(t, err)
	t.Cleanup(func() { must(t, opened.Close()) })
	d := opened.(*driver)
	must(t, d.use(t.Context(), func(*conn) error { return nil }))
	return d
}
