package cephproc

import "syscall"

// dieWithParent has the kernel kill the process when its parent is gone.
func dieWithParent(attributes *syscall.SysProcAttr) { attributes.Pdeathsig = syscall.SIGKILL }
