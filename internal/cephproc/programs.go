package cephproc

import (
	"bytes"
	"context"
	"fmt"
	"os"
	"os/exec"
	"runtime"
	"strings"
	"syscall"
	"time"
)

// Packages are the Debian packages with the programs that a cluster is made of.
const Packages = "ceph-mon ceph-mgr ceph-osd ceph-common"

// waitDelay is how long a program's output may stay open after its end.
const waitDelay = time.Second

// programs are all that this package runs.
var programs = []string{"ceph-mon", "ceph-mgr", "ceph-osd", "ceph-authtool", "monmaptool", "rbd", "rados", "ceph"}

// MissingError says that programs of Ceph are not installed.
type MissingError struct{ Programs []string }

// Error names the programs and the packages that have them.
func (e *MissingError) Error() string {
	return fmt.Sprintf("ceph is not installed: no %s found: install the Debian packages %s",
		strings.Join(e.Programs, ", "), Packages)
}

func findPrograms() error {
	var missing []string
	for _, name := range programs {
		if _, err := exec.LookPath(name); err != nil {
			missing = append(missing, name)
		}
	}
	if len(missing) > 0 {
		return &MissingError{Programs: missing}
	}
	return nil
}

// Environment returns this process's environment without the variables by which a
// person's own settings for Ceph would get into a program's.
func Environment() []string {
	var kept []string
	for _, variable := range os.Environ() {
		name, _, _ := strings.Cut(variable, "=")
		switch name {
		case "CEPH_CONF", "CEPH_ARGS", "CEPH_KEYRING":
		default:
			kept = append(kept, variable)
		}
	}
	return kept
}

// run runs a program to its end and returns what it printed. An error has what it said on
// standard error.
func (c *Cluster) run(ctx context.Context, name string, args ...string) ([]byte, error) {
	var stderr bytes.Buffer
	command := exec.CommandContext(ctx, name, args...)
	command.Env = Environment()
	command.Stderr = &stderr
	command.WaitDelay = waitDelay
	// A Ctrl-C is for the caller, which then decides. If it is killed, a tool that still
	// waits for its mon must not stay behind.
	command.SysProcAttr = &syscall.SysProcAttr{Setpgid: true}
	dieWithParent(command.SysProcAttr)
	// The kernel lets a child die with the thread that started it, so this one lives as long.
	runtime.LockOSThread()
	defer runtime.UnlockOSThread()
	output, err := command.Output()
	switch {
	case err == nil:
		return output, nil
	case ctx.Err() != nil:
		err = context.Cause(ctx)
	}
	return output, fmt.Errorf("%s %s: %w: %s", name, strings.Join(args, " "), err, bytes.TrimSpace(stderr.Bytes()))
}
