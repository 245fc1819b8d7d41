//go:build ceph

package ceph

import (
	"bufio"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"os"
	"os/exec"
	"strings"
	"testing"
	"time"

	"github.com/jetvol/jetvol/backends"
	"github.com/jetvol/jetvol/internal/cephtest"
	"github.com/jetvol/jetvol/volume"
)

// victimVariable makes a process the victim of a crash test, with its value for a Config.
const victimVariable = "JETVOL_CEPH_VICTIM"

const (
	victimVolumes = 16 // created and deleted side by side
	victimRounds  = 7  // so that a hundred calls are interrupted
	victimLines   = 20 // at most, before it is killed
)

func victimRef(i int) backends.Ref { return refOf(volume.Name(fmt.Sprintf("v%d", i))) }

// liveUntilKilled creates and deletes volumes and writes a line after each call. It returns
// an exit code if one fails for another reason than that a victim before it still has a
// watch.
func liveUntilKilled(config string, out io.Writer) int {
	var cfg Config
	if err := json.Unmarshal([]byte(config), &cfg); err != nil {
		fmt.Fprintln(out, "config:", err)
		return 1
	}
	d, err := Open(context.Background(), cfg)
	if err != nil {
		fmt.Fprintln(out, "open:", err)
		return 1
	}
	failed := make(chan error)
	for i := range victimVolumes {
		go func() {
			for {
				for _, err := range []error{d.Create(context.Background(), victimRef(i), small), d.Delete(context.Background(), victimRef(i))} {
					if err != nil && !errors.Is(err, volume.Busy) {
						failed <- err
						return
					}
					fmt.Fprintln(out, "done")
				}
			}
		}()
	}
	fmt.Fprintln(out, "failed:", <-failed)
	return 1
}

func TestCrash_KilledInCreatesAndDeletes_LeavesNothing(t *testing.T) {
	t.Parallel()
	cluster, cfg := cephtest.Start(t), inNamespace(t)
	config, err := json.Marshal(cfg)
	ok(t, err, "config of the victim")
	for range victimRounds {
		killVictim(t, string(config))
	}
	d := open(t, cfg)
	defer tellTrash(t, cluster, cfg)
	for i := range victimVolumes {
		// Busy until the watch of a killed victim has ended, which takes some seconds.
		soon(t, "delete what the victims left", func() error { return d.Delete(t.Context(), victimRef(i)) })
	}
	wantNothing(t, cluster, cfg, d)
}

// tellTrash logs what keeps the images in the trash, if the test has failed.
func tellTrash(t *testing.T, cluster *cephtest.Cluster, cfg Config) {
	t.Helper()
	if !t.Failed() {
		return
	}
	t.Logf("own process: %d, blocklist: %q", os.Getpid(), cluster.Blocklist(t))
	where := []string{"--pool", cfg.Pool, "--namespace", cfg.Namespace}
	list := cluster.RBD(t, append([]string{"trash", "list", "--all"}, where...)...)
	for line := range strings.Lines(list) {
		id := strings.Fields(line)[0]
		t.Logf("in the trash: %swatchers: %s", line,
			cluster.Rados(t, append(where, "listwatchers", headerObject+id)...))
	}
}

// killVictim runs a victim and kills it after some of its calls, in the middle of others.
func killVictim(t *testing.T, config string) {
	t.Helper()
	program, err := os.Executable()
	ok(t, err, "own path")
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	command := exec.CommandContext(ctx, program)
	command.Env = append(os.Environ(), victimVariable+"="+config)
	stdout, err := command.StdoutPipe()
	ok(t, err, "output of the victim")
	ok(t, command.Start(), "start the victim")
	lines := bufio.NewScanner(stdout)
	for range 1 + rand.IntN(victimLines) {
		if !lines.Scan() || lines.Text() != "done" {
			t.Errorf("victim: got %q, want it to go on: %v", lines.Text(), lines.Err())
			break
		}
	}
	cancel() // kill -9
	_ = command.Wait()
}
