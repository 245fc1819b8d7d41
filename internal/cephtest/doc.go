// Package cephtest gives tests a real Ceph cluster. There is no mock of Ceph in jetvol:
// what a test sees is what Ceph does. Tests that need it have the build tag ceph, so that
// `go test ./...` works everywhere, and fail without Ceph: they are never skipped.
//
// [Start] returns a cluster that the tests of one binary share, started by the first of
// them; the package's TestMain calls [Main], which ends it:
//
//	func TestMain(m *testing.M) { os.Exit(cephtest.Main(m)) }
//
// If the environment variable JETVOL_CEPH_DIR names a directory, the shared cluster is the
// one there, brought up if needed and left running: `make test-ceph` does so for all
// packages. Tests that share a cluster work in a [Cluster.Namespace] or a [Cluster.Pool]
// of their own. A test that freezes or kills daemons calls [StartOwn].
package cephtest
