//go:build ceph

package cephtest_test

import (
	"bufio"
	"context"
	"fmt"
	"os"
	"os/exec"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/jetvol/jetvol/internal/cephproc"
	"github.com/jetvol/jetvol/internal/cephtest"
)

func TestMain(m *testing.M) { os.Exit(cephtest.Main(m)) }

func TestStart_Twice_SameClusterOtherNamespace(t *testing.T) {
	first, second := cephtest.Start(t), cephtest.Start(t)
	if first.Dir() != second.Dir() {
		t.Errorf("got clusters in %s and %s, want one", first.Dir(), second.Dir())
	}
	mine, yours := first.Namespace(t), second.Namespace(t)
	first.RBD(t, "create", "--size", "1M", cephtest.Pool+"/"+mine+"/image")
	if got := first.RBD(t, "ls", cephtest.Pool+"/"+yours); got != "" {
		t.Errorf("got images %q in the other namespace", got)
	}
}

func TestUsers_Rights(t *testing.T) {
	c := cephtest.Start(t)
	namespace := cephtest.Pool + "/" + c.Namespace(t)
	if err := tryList(t, c, cephtest.Volumes, namespace); err != nil {
		t.Errorf("user %s: %v", cephtest.Volumes, err)
	}
	if err := tryList(t, c, cephtest.NoCaps, namespace); err == nil {
		t.Errorf("user %s may list images", cephtest.NoCaps)
	}
}

func tryList(t *testing.T, c *cephtest.Cluster, user, pool string) error {
	t.Helper()
	// Who may not even see the maps is not refused by the mon, but left to wait for them.
	ctx, cancel := context.WithTimeout(t.Context(), 5*time.Second)
	defer cancel()
	_, err := c.Cluster.RBD(ctx, "--id", user, "ls", pool)
	return err
}

func TestNewPool_Quota_FullAndLifted(t *testing.T) {
	c := cephtest.Start(t)
	pool := c.NewPool(t)
	if err := tryList(t, c, pool, pool); err != nil {
		t.Errorf("user %s in its own pool: %v", pool, err)
	}
	if err := tryList(t, c, pool, cephtest.Pool); err == nil {
		t.Errorf("user %s may list the images of pool %s", pool, cephtest.Pool)
	}
	c.RBD(t, "create", "--size", "16M", pool+"/image")
	c.RBD(t, "bench", "--io-type", "write", "--io-total", "8M", "--io-size", "4M", pool+"/image")
	c.SetQuota(t, pool, 1<<20)
	c.AwaitFull(t, pool, true)
	c.SetQuota(t, pool, 0)
	c.AwaitFull(t, pool, false)
}

func TestBlocklist_AddedClient_IsListed(t *testing.T) {
	c := cephtest.Start(t)
	const client = "127.0.0.1:0/3948123"
	c.Ceph(t, "osd", "blocklist", "add", client, "60")
	if got := c.Blocklist(t); !slices.Contains(got, client) {
		t.Errorf("got blocklist %v, want %s in it", got, client)
	}
}

func TestStartOwn_OSDFrozen_AnswersAfterResume(t *testing.T) {
	c := cephtest.StartOwn(t)
	c.Freeze(t, cephtest.OSD)
	ctx, cancel := context.WithTimeout(t.Context(), time.Second)
	defer cancel()
	if err := c.Answers(ctx); err == nil {
		t.Error("the pool answers while its OSD is frozen")
	}
	c.Resume(t, cephtest.OSD)
	c.AwaitAnswer(t)
	c.Kill(t, cephtest.Mon)
	c.Restart(t, cephtest.Mon)
	c.Stop(t, cephtest.OSD)
	c.Restart(t, cephtest.OSD)
	c.AwaitAnswer(t)
}

// A shared cluster that a test breaks would fail others, so the test itself must fail.
func TestStart_Broken_FailsTheTest(t *testing.T) {
	c := cephtest.Start(t)
	faults := map[string]func(testing.TB, cephproc.Daemon){
		"freeze": c.Freeze, "kill": c.Kill, "stop": c.Stop, "restart": c.Restart,
	}
	for name, fault := range faults {
		judged := &judge{TB: t}
		ended := make(chan struct{})
		go func() {
			defer close(ended)
			defer func() { _ = recover() }()
			fault(judged, cephtest.OSD)
		}()
		<-ended
		if !judged.failed {
			t.Errorf("%s of a shared cluster does not fail the test", name)
		}
	}
	c.AwaitAnswer(t)
}

// judge is a test that notes that it failed.
type judge struct {
	testing.TB
	failed bool
}

func (j *judge) Fatal(args ...any) {
	j.failed = true
	panic(fmt.Sprint(args...))
}

// readyPrefix is what TestHelper prints before the directory of its cluster.
const readyPrefix = "cluster in "

// TestHelper is a test binary's tests in TestMain_TestBinaryKilled_ClusterEnds.
func TestHelper(t *testing.T) {
	if os.Getenv("JETVOL_CEPHTEST_HELPER") == "" {
		return
	}
	fmt.Fprintln(os.Stderr, readyPrefix+cephtest.Start(t).Dir())
	<-t.Context().Done() // it is killed here
}

func TestMain_TestBinaryKilled_ClusterEnds(t *testing.T) {
	command := exec.Command(os.Args[0], "-test.run", "^TestHelper$", "-test.timeout", "2m")
	command.Env = append(os.Environ(), "JETVOL_CEPHTEST_HELPER=1", cephtest.DirVariable+"=")
	stderr, err := command.StderrPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := command.Start(); err != nil {
		t.Fatal(err)
	}
	lines := bufio.NewScanner(stderr)
	dir := ""
	for dir == "" && lines.Scan() {
		dir, _ = strings.CutPrefix(lines.Text(), readyPrefix)
	}
	if err := command.Process.Kill(); err != nil || dir == "" {
		t.Fatalf("kill test binary with cluster in %q: %v", dir, err)
	}
	// The keeper has the other end of the pipe: it closes when all is removed.
	for lines.Scan() {
		t.Log(lines.Text())
	}
	_ = command.Wait() // killed
	if _, err := os.Stat(dir); !os.IsNotExist(err) {
		t.Errorf("directory of the cluster: got %v, want it gone", err)
	}
}
