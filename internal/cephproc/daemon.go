package cephproc

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"os"
	"os/exec"
	"slices"
	"strings"
	"syscall"
	"time"
)

// Daemon is one of the processes of a cluster.
type Daemon string

// The daemons.
const (
	Mon Daemon = "mon" // knows the cluster's maps and its users
	Mgr Daemon = "mgr" // gathers statistics, without which no quota works
	OSD Daemon = "osd" // stores the data
)

// monID is the mon's name in its map.
const monID = "a"

// Daemons returns all daemons in the order in which they are started.
func Daemons() []Daemon { return []Daemon{Mon, Mgr, OSD} }

// Bounds of what daemons may take.
const (
	startTimeout = time.Minute
	stopTimeout  = 15 * time.Second // an OSD waits 5 s for a mon that does not answer
	pollPause    = 10 * time.Millisecond
)

// errNotRunning is the cause of a signal that could not be sent.
var errNotRunning = errors.New("not running")

// ParseDaemon returns the daemon of that name, or an error with the known names.
func ParseDaemon(name string) (Daemon, error) {
	var names []string
	for _, daemon := range Daemons() {
		if string(daemon) == name {
			return daemon, nil
		}
		names = append(names, string(daemon))
	}
	return "", fmt.Errorf("daemon %q: want one of %s", name, strings.Join(names, ", "))
}

func (d Daemon) program() string { return "ceph-" + string(d) }

// id is the daemon's name among those of its kind.
func (d Daemon) id() string {
	switch d {
	case Mgr:
		return "x"
	case OSD:
		return "0"
	default:
		return monID
	}
}

// Start starts a daemon and lets a frozen one go on. It returns when the daemon has
// initialised; a mon may not have a quorum and an OSD not be in the map yet. To start a
// running one does nothing.
func (c *Cluster) Start(ctx context.Context, daemon Daemon) error {
	return c.locked(ctx, func(ctx context.Context) error { return c.start(ctx, daemon) })
}

// start needs the lock.
func (c *Cluster) start(ctx context.Context, daemon Daemon) error {
	running, err := c.find(daemon)
	if err != nil {
		return err
	}
	if len(running) > 0 {
		return c.signal(daemon, syscall.SIGCONT)
	}
	return c.daemonCommand(ctx, daemon)
}

// daemonCommand runs a daemon's program with the arguments, and returns when it has ended
// or, as it does without them, put itself into the background.
func (c *Cluster) daemonCommand(ctx context.Context, daemon Daemon, args ...string) error {
	log, err := os.OpenFile(c.outputPath(daemon), os.O_CREATE|os.O_APPEND|os.O_WRONLY, 0o600)
	if err != nil {
		return err
	}
	defer func() { _ = log.Close() }() // nothing of ours was written
	ctx, cancel := context.WithTimeout(ctx, startTimeout)
	defer cancel()
	command := exec.CommandContext(ctx, daemon.program(), append([]string{"-i", daemon.id(), "-c", c.Conf()}, args...)...)
	command.Env = Environment()
	command.Stdout, command.Stderr = log, log // files: nobody waits for the daemon to close them
	command.SysProcAttr = &syscall.SysProcAttr{Setpgid: true}
	if err := command.Run(); err != nil {
		if ctx.Err() != nil {
			err = context.Cause(ctx)
		}
		return fmt.Errorf("%s, see %s: %w", strings.Join(command.Args, " "), c.outputPath(daemon), err)
	}
	return nil
}

// outputPath is the file with what the daemon's program prints, beside its log.
func (c *Cluster) outputPath(daemon Daemon) string { return c.path("log", string(daemon)+".out") }

// Stop ends a daemon in order, also a frozen one, and returns when it is gone. It kills
// one that takes longer than 15 s. To stop what is not running does nothing.
func (c *Cluster) Stop(ctx context.Context, daemon Daemon) error {
	return c.locked(ctx, func(ctx context.Context) error {
		patience, cancel := context.WithTimeout(ctx, stopTimeout)
		defer cancel()
		err := c.end(patience, daemon, syscall.SIGTERM, syscall.SIGCONT)
		if ctx.Err() == nil && errors.Is(err, context.DeadlineExceeded) {
			return c.Kill(ctx, daemon)
		}
		return err
	})
}

// Kill ends a daemon with SIGKILL, also a frozen one, and returns when it is gone. To kill
// what is not running does nothing.
func (c *Cluster) Kill(ctx context.Context, daemon Daemon) error {
	return c.end(ctx, daemon, syscall.SIGKILL)
}

// end sends signals to the daemon's processes and returns when none is left. There may be
// several, one after the other, if the daemon is just being started.
func (c *Cluster) end(ctx context.Context, daemon Daemon, signals ...syscall.Signal) error {
	pause := time.NewTicker(pollPause)
	defer pause.Stop()
	asked := map[int]bool{}
	for {
		running, err := c.find(daemon)
		if err != nil {
			return err
		}
		for _, p := range running {
			if asked[p.Pid] {
				continue
			}
			asked[p.Pid] = true
			if err := p.send(signals...); err != nil {
				return fmt.Errorf("end %s, process %d: %w", daemon, p.Pid, err)
			}
		}
		maps.DeleteFunc(asked, func(pid int, _ bool) bool { return ended(pid) })
		if len(running) == 0 && len(asked) == 0 {
			return nil
		}
		select {
		case <-pause.C:
		case <-ctx.Done():
			return fmt.Errorf("end %s: %w", daemon, context.Cause(ctx))
		}
	}
}

// Freeze stops a daemon with SIGSTOP and returns when all of it stands still: it keeps its
// connections and says nothing. It returns an error if the daemon is not running.
func (c *Cluster) Freeze(ctx context.Context, daemon Daemon) error {
	if err := c.signal(daemon, syscall.SIGSTOP); err != nil {
		return err
	}
	pause := time.NewTicker(pollPause)
	defer pause.Stop()
	for {
		running, err := c.find(daemon)
		if err == nil && len(running) == 0 {
			err = errNotRunning
		}
		if err != nil {
			return fmt.Errorf("freeze %s: %w", daemon, err)
		}
		if !slices.ContainsFunc(running, func(p process) bool { return !p.frozen }) {
			return nil
		}
		select {
		case <-pause.C:
		case <-ctx.Done():
			return fmt.Errorf("freeze %s: %w", daemon, context.Cause(ctx))
		}
	}
}

// Resume lets a frozen daemon go on. It returns an error if the daemon is not running.
func (c *Cluster) Resume(daemon Daemon) error { return c.signal(daemon, syscall.SIGCONT) }

func (c *Cluster) signal(daemon Daemon, signal syscall.Signal) error {
	running, err := c.find(daemon)
	if err == nil && len(running) == 0 {
		err = errNotRunning
	}
	for _, p := range running {
		err = errors.Join(err, p.send(signal))
	}
	if err != nil {
		return fmt.Errorf("signal %s to %s: %w", signal, daemon, err)
	}
	return nil
}

// State is what a daemon does.
type State struct {
	Daemon Daemon
	Pid    int // 0 if it is not running
	Frozen bool
}

// String tells the state as a line of text: "osd up pid 4123".
func (s State) String() string {
	switch {
	case s.Pid == 0:
		return string(s.Daemon) + " down"
	case s.Frozen:
		return fmt.Sprintf("%s frozen pid %d", s.Daemon, s.Pid)
	}
	return fmt.Sprintf("%s up pid %d", s.Daemon, s.Pid)
}

// States returns the state of every daemon.
func (c *Cluster) States() ([]State, error) {
	var states []State
	for _, daemon := range Daemons() {
		running, err := c.find(daemon)
		if err != nil {
			return nil, err
		}
		s := State{Daemon: daemon}
		for _, p := range running {
			s.Pid, s.Frozen = p.Pid, p.frozen
		}
		states = append(states, s)
	}
	return states, nil
}
