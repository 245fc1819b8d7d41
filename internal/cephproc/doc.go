// Package cephproc runs a throw-away Ceph cluster for tests and for people who write
// jetvol: one mon, one mgr and one OSD as plain processes of the caller, on 127.0.0.1,
// with all their files in one directory. It needs no root, container or systemd, only
// the programs of the Debian packages that [MissingError] names.
//
// A cluster is its directory: any process may open it and start or stop daemons. The
// daemons outlive the process that started them, until [Cluster.Down]. They are found by
// their command lines, which name the cluster's configuration file, so no other process
// is ever signalled, also not one that has got the number of a daemon that died.
//
// The files of interest in the directory:
//
//	ceph.conf                      all that a client needs
//	ceph.client.admin.keyring      may do everything
//	ceph.client.volumes.keyring    `profile rbd` on the pool volumes, as jetvol wants it
//	ceph.client.nocaps.keyring     can log in and may do nothing
//	log/                           what the daemons say
//	run/{mon,mgr,osd}.pid          their process numbers, for people
package cephproc
