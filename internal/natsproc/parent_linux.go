package natsproc

import "syscall"

// dieWithParent has the kernel kill the process when its parent is gone. A paused one
// would not notice the end of its standard input.
func dieWithParent(attributes *syscall.SysProcAttr) { attributes.Pdeathsig = syscall.SIGKILL }
