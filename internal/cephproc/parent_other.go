//go:build !linux

package cephproc

import "syscall"

// dieWithParent does nothing: only Linux has the means.
func dieWithParent(*syscall.SysProcAttr) {}
