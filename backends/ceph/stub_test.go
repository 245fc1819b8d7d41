//go:build !ceph

package ceph_test

import (
	"errors"
	"strings"
	"testing"

	"github.com/jetvol/jetvol/backends/ceph"
	"github.com/jetvol/jetvol/volume"
)

func TestOpen_BuiltWithoutCeph_SaysSo(t *testing.T) {
	_, err := ceph.Open(t.Context(), ceph.Config{Pool: "volumes"})
	if !errors.Is(err, volume.Unsupported) || !strings.Contains(err.Error(), "make build-ceph") {
		t.Errorf("open: got %v, want class %s and what to build", err, volume.Unsupported)
	}
	if ceph.Built {
		t.Error("built: got true, want false")
	}
}
