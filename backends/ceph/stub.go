//go:build !ceph

package ceph

import (
	"context"

	"github.com/jetvol/jetvol/backends"
	"github.com/jetvol/jetvol/volume"
)

// Built says whether this program has the driver.
const Built = false

// Open returns Unsupported: this program was built without the driver. An invalid cfg is
// told first.
func Open(_ context.Context, cfg Config) (backends.Driver, error) {
	if err := cfg.Validate(); err != nil {
		return nil, err
	}
	return nil, backends.Errorf(volume.Unsupported, "built without ceph: use make build-ceph")
}
