package cephtest

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"sync"
	"syscall"
	"time"

	"github.com/jetvol/jetvol/internal/cephproc"
)

// Environment variables.
const (
	// DirVariable names the directory of a cluster for several test binaries.
	DirVariable = "JETVOL_CEPH_DIR"
	// keeperVariable makes a process the keeper of a cluster, which its value names.
	keeperVariable = "JETVOL_CEPHTEST_KEEPER"
)

// Bounds of what a cluster may take, on a machine that runs other tests.
const (
	upTimeout   = 2 * time.Minute
	downTimeout = time.Minute
)

// shared is the cluster of this test binary.
var shared struct {
	mu      sync.Mutex
	main    bool // Main runs
	tried   bool
	cluster *cephproc.Cluster
	keeper  *keeper // nil if the cluster is not ours to end
	err     error
}

// Tests are a [testing.M], or what is wrapped around one.
type Tests interface{ Run() int }

// Main runs the tests and then ends the shared cluster, if there is one. It returns the
// exit code for TestMain. The cluster ends, too, if the test binary is killed.
func Main(m Tests) int {
	if dir, found := os.LookupEnv(keeperVariable); found {
		return keep(dir, os.Stdin, os.Stderr)
	}
	shared.mu.Lock()
	shared.main = true
	shared.mu.Unlock()
	code := m.Run()
	shared.mu.Lock()
	defer shared.mu.Unlock()
	if shared.keeper == nil {
		return code
	}
	if err := shared.keeper.end(); err != nil {
		fmt.Fprintln(os.Stderr, "cephtest:", err)
		return max(code, 1)
	}
	return code
}

// share returns the shared cluster, which it starts if it was not tried yet.
func share(ctx context.Context) (*cephproc.Cluster, error) {
	shared.mu.Lock()
	defer shared.mu.Unlock()
	if !shared.tried {
		shared.cluster, shared.keeper, shared.err = startShared(ctx)
		shared.tried = true
	}
	return shared.cluster, shared.err
}

// startShared needs shared.mu.
func startShared(ctx context.Context) (*cephproc.Cluster, *keeper, error) {
	if dir := os.Getenv(DirVariable); dir != "" {
		cluster, err := cephproc.Up(ctx, dir)
		return cluster, nil, err
	}
	if !shared.main {
		return nil, nil, errors.New("who uses cephtest.Start calls cephtest.Main in its TestMain, or sets " + DirVariable)
	}
	return startKept(ctx)
}

// startKept starts a cluster in a temporary directory, with a process that removes it
// when this one has ended, however it did.
func startKept(ctx context.Context) (*cephproc.Cluster, *keeper, error) {
	dir, err := os.MkdirTemp("", "jetvol-ceph-")
	if err != nil {
		return nil, nil, err
	}
	k, err := startKeeper(dir)
	if err != nil {
		return nil, nil, errors.Join(err, os.Remove(dir))
	}
	cluster, err := cephproc.Up(ctx, dir)
	if err != nil {
		return nil, nil, errors.Join(err, k.end())
	}
	return cluster, k, nil
}

// keeper is this test binary, executed once more to remove a cluster.
type keeper struct {
	command *exec.Cmd
	hold    io.Closer // the keeper acts when this is closed, by us or by our end
}

func startKeeper(dir string) (*keeper, error) {
	program, err := os.Executable()
	if err != nil {
		return nil, err
	}
	command := exec.Command(program) //nolint:noctx // it outlives every context of a test
	command.Env = append(os.Environ(), keeperVariable+"="+dir)
	command.Stderr = os.Stderr
	command.SysProcAttr = &syscall.SysProcAttr{Setpgid: true} // a Ctrl-C is not for it
	hold, err := command.StdinPipe()
	if err != nil {
		return nil, err
	}
	if err := command.Start(); err != nil {
		return nil, err
	}
	return &keeper{command: command, hold: hold}, nil
}

// end has the cluster removed and returns when it was.
func (k *keeper) end() error {
	if err := errors.Join(k.hold.Close(), k.command.Wait()); err != nil {
		return fmt.Errorf("remove the test cluster: %w", err)
	}
	return nil
}

// keep removes the cluster in dir when stdin ends, and returns an exit code.
func keep(dir string, stdin io.Reader, stderr io.Writer) int {
	_, _ = io.Copy(io.Discard, stdin) // whatever ends it, nobody holds the other end
	ctx, cancel := context.WithTimeout(context.Background(), downTimeout)
	defer cancel()
	if err := cephproc.Down(ctx, dir); err != nil {
		fmt.Fprintln(stderr, "cephtest:", err)
		return 1
	}
	return 0
}
