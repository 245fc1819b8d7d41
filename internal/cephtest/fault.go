package cephtest

import (
	"context"
	"testing"

	"github.com/jetvol/jetvol/internal/cephproc"
)

// Freeze stops a daemon with SIGSTOP until [Cluster.Resume]: it keeps its connections and
// says nothing, from the return on.
func (c *Cluster) Freeze(t testing.TB, daemon cephproc.Daemon) {
	t.Helper()
	c.breaking(t, func(ctx context.Context) error { return c.Cluster.Freeze(ctx, daemon) })
}

// Resume lets a frozen daemon go on.
func (c *Cluster) Resume(t testing.TB, daemon cephproc.Daemon) {
	t.Helper()
	c.breaking(t, func(context.Context) error { return c.Cluster.Resume(daemon) })
}

// Kill ends a daemon with SIGKILL, Stop in order. [Cluster.Restart] brings it back.
func (c *Cluster) Kill(t testing.TB, daemon cephproc.Daemon) {
	t.Helper()
	c.breaking(t, func(ctx context.Context) error { return c.Cluster.Kill(ctx, daemon) })
}

// Stop ends a daemon in order.
func (c *Cluster) Stop(t testing.TB, daemon cephproc.Daemon) {
	t.Helper()
	c.breaking(t, func(ctx context.Context) error { return c.Cluster.Stop(ctx, daemon) })
}

// Restart starts a daemon that was killed or stopped. It does not wait until the cluster
// answers; see [Cluster.AwaitAnswer].
func (c *Cluster) Restart(t testing.TB, daemon cephproc.Daemon) {
	t.Helper()
	c.breaking(t, func(ctx context.Context) error { return c.Start(ctx, daemon) })
}

// AwaitAnswer returns when [Pool] answers.
func (c *Cluster) AwaitAnswer(t testing.TB) {
	t.Helper()
	c.do(t, c.Answers)
}

// breaking fails the test if the cluster is not its own: other tests rely on it.
func (c *Cluster) breaking(t testing.TB, f func(context.Context) error) {
	t.Helper()
	if !c.own {
		t.Fatal("only a cluster of cephtest.StartOwn may be broken")
	}
	c.do(t, f)
}
