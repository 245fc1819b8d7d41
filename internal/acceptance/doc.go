// Package acceptance holds the tests that see jetvol as its users do: the real binary,
// the real nats CLI, and what the documents say. There is no code in it but tests.
//
// # Documents that run
//
// Every block of subjects.md and README.md that is marked `console` is a shell session.
// The tests run it against a fresh server and compare what it prints. Those of
// docs/operations.md are run too, by section, each in the situation that it is about:
//
//	$ command       is run; the lines below are what it prints, errors included
//	> more          continues the command
//	$ command &     is started as if in another terminal; it must subscribe to something,
//	                and the session goes on when the server has taken the subscription
//	$ wait          waits until that command ends; below stands all that it printed
//	$ kill %1       ends that command once it has printed the lines below
//
// In what is printed `…` stands for any text within a line, and alone on a line for any
// number of lines. Blank lines and spaces at the end of a line do not count. The address
// nats://127.0.0.1:4222 stands for the server of the test. Blocks with another mark, such
// as `text`, are only shown.
//
// # Tools
//
// JETVOL_BIN names the jetvol binary, which is built if it is not set. With the build tag
// ceph it is JETVOL_CEPH_BIN, and there are tests on a Ceph cluster, named TestCeph_…. JETVOL_NATS_CLI
// names the nats CLI, bin/nats of this repository by default. Without it the tests
// fail: a document that was not tried is not known to be right.
package acceptance
