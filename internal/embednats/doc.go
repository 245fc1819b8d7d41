// Package embednats runs a NATS server with JetStream on disk inside this process.
//
// It is what `jetvol up` and the tests use. A real TCP port is opened as well, so that
// the nats CLI and other services reach the server like any other. There is no
// authentication unless [Options.Users] names users: keep it on a loopback address if the
// network is not trusted.
//
// Several servers, each with a [Cluster], make a cluster that replicates streams. Jetvol
// itself runs a cluster of its own only in tests, on one host.
//
// One directory belongs to one process at a time. A lock on a file in it refuses the
// second; the kernel releases the lock when the process ends, however it ends.
package embednats
