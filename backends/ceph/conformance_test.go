//go:build ceph

package ceph_test

import (
	"os"
	"testing"

	"github.com/jetvol/jetvol/backends"
	"github.com/jetvol/jetvol/backends/backendtest"
	"github.com/jetvol/jetvol/backends/ceph"
	"github.com/jetvol/jetvol/volume"
)

type harness struct{ cfg ceph.Config }

func (h *harness) Open(t testing.TB) backends.Driver {
	t.Helper()
	d, err := ceph.Open(t.Context(), h.cfg)
	if err != nil {
		t.Fatalf("open: got %v, want a driver", err)
	}
	return d
}

func (*harness) MaxSize() volume.Bytes { return volume.TiB }

func TestConformance(t *testing.T) {
	backendtest.Run(t, &harness{cfg: ceph.Config{Conf: os.Getenv("CEPHCONF"), User: "volumes", Pool: "volumes"}})
}
