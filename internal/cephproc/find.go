package cephproc

import (
	"bytes"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"syscall"
)

// process is one of the system's, with a handle that means the same one for good.
type process struct {
	*os.Process
	frozen bool
}

// find returns the processes of this cluster that run the daemon's program. They are
// recognised by their command lines, so that neither a crash half-way nor a number that
// the system gave to another process can mislead.
func (c *Cluster) find(daemon Daemon) ([]process, error) {
	entries, err := os.ReadDir("/proc")
	if err != nil {
		return nil, err
	}
	var found []process
	for _, entry := range entries {
		pid, err := strconv.Atoi(entry.Name())
		if err != nil || !c.runs(pid, daemon) {
			continue
		}
		handle, err := os.FindProcess(pid)
		// The handle may mean a later process of the same number, so look again.
		if err != nil || !c.runs(pid, daemon) {
			continue
		}
		if state := stateOf(pid); state != gone && state != zombie {
			found = append(found, process{Process: handle, frozen: allStopped(pid)})
		}
	}
	return found, nil
}

// runs reports whether the process runs the daemon's program on this configuration.
func (c *Cluster) runs(pid int, daemon Daemon) bool {
	line, err := os.ReadFile(procPath(pid, "cmdline"))
	if err != nil {
		return false
	}
	var args []string
	for arg := range bytes.SplitSeq(line, []byte{0}) {
		args = append(args, string(arg))
	}
	return filepath.Base(args[0]) == daemon.program() && slices.Contains(args[1:], c.Conf())
}

// States of a process in /proc/PID/stat.
const (
	gone    = 0
	zombie  = 'Z'
	stopped = 'T'
)

// stateOf returns the state of the process, which is that of its first thread.
func stateOf(pid int) byte { return readState(procPath(pid, "stat")) }

// readState returns the state that the file tells. The program's name before it may
// contain anything.
func readState(stat string) byte {
	line, err := os.ReadFile(stat)
	after := bytes.LastIndexByte(line, ')') + len(") ")
	if err != nil || after >= len(line) {
		return gone
	}
	return line[after]
}

// allStopped reports whether every thread stands still; they do not stop all at once.
func allStopped(pid int) bool {
	threads, err := filepath.Glob(procPath(pid, "task/*/stat"))
	running := func(stat string) bool { return readState(stat) != stopped }
	return err == nil && len(threads) > 0 && !slices.ContainsFunc(threads, running)
}

// ended reports whether nothing of the process is left but its exit code: while one of its
// threads ends, its files may still be locked, although it has no command line any more.
func ended(pid int) bool {
	switch stateOf(pid) {
	case gone:
		return true
	case zombie:
		threads, err := os.ReadDir(procPath(pid, "task"))
		return err != nil || len(threads) <= 1
	}
	return false
}

func procPath(pid int, name string) string { return fmt.Sprintf("/proc/%d/%s", pid, name) }

// send sends the signals. A process that has ended already is no error.
func (p process) send(signals ...syscall.Signal) error {
	for _, signal := range signals {
		if err := p.Signal(signal); err != nil && !errors.Is(err, os.ErrProcessDone) {
			return err
		}
	}
	return nil
}
