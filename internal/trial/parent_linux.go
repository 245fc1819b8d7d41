package trial

import "syscall"

// dieWithParent has the kernel kill the process when the thread that started it is gone.
func dieWithParent(attributes *syscall.SysProcAttr) { attributes.Pdeathsig = syscall.SIGKILL }
