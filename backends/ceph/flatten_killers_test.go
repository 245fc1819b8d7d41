//go:build ceph && !ceph_preview

package ceph

import (
	"testing"

	"github.com/jetvol/jetvol/backends"
)

// Without ceph_preview the driver tells no progress by which to kill it.
var flattenKillers = map[string]func(*testing.T, Config, backends.Ref){"rbd": killRBD}
