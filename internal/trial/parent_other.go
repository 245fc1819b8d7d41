//go:build !linux

package trial

import "syscall"

// dieWithParent does nothing: only Linux has the means.
func dieWithParent(*syscall.SysProcAttr) {}
