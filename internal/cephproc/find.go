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
			found = append(found, process{Process: handle, frozen: state == stopped})
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

// stateOf returns the process's state. The program's name before it may contain anything.
func stateOf(pid int) byte {
	line, err := os.ReadFile(procPath(pid, "stat"))
	after := bytes.LastIndexByte(line, ')') + len(") ")
	if err != nil || after >= len(line) {
		return gone
	}
	return line[after]
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
