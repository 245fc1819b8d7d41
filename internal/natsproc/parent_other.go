//go:build !linux

package natsproc

import "syscall"

// dieWithParent does nothing: only Linux has the means. A paused server outlives its
// parent here until it is resumed.
func dieWithParent(*syscall.SysProcAttr) {}
