// Package natsproc runs NATS servers as processes of their own, one or a cluster of
// three, that can be killed, stopped and started again on the same directory and ports.
// It is for programs and tests that prove what survives that.
//
// A server is the calling program itself, executed once more. Such a program calls [Main]
// before anything else, or when it gets the arguments of [Options.Args]:
//
//	func main() {
//		if code, served := natsproc.Main(); served {
//			os.Exit(code)
//		}
//		...
//	}
//
// A server ends by itself when the process that started it is gone, however that ended.
package natsproc
