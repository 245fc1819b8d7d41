// Package ceph is the driver that keeps volumes as RBD images in a pool of a Ceph cluster.
//
// The driver calls librados and librbd through go-ceph and is built with the tag ceph
// only (`make build-ceph`). Without it [Open] says so, and the configuration alone is
// here.
package ceph

// DriverName is what the driver's Health calls it.
const DriverName = "ceph"
