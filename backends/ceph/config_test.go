package ceph_test

import (
	"errors"
	"slices"
	"testing"
	"time"

	"github.com/jetvol/jetvol/backends/ceph"
	"github.com/jetvol/jetvol/volume"
)

func TestConfig_Validate(t *testing.T) {
	right := map[string]ceph.Config{
		"pool alone": {Pool: "volumes"},
		"everything": {
			Conf: "/etc/ceph/ceph.conf", Keyring: "/etc/ceph/k", User: "volumes", Pool: "volumes", DataPool: "ec", Namespace: "ns",
			Features: []string{"journaling"}, OpTimeout: time.Second, MonTimeout: time.Minute, MountTimeout: time.Hour,
			Blocklist: time.Hour, Concurrency: 1,
		},
	}
	for name, cfg := range right {
		if err := cfg.Validate(); err != nil {
			t.Errorf("%s: got %v, want it valid", name, err)
		}
	}
	wrong := map[string]ceph.Config{
		"nothing":               {},
		"pool with a slash":     {Pool: "a/b"},
		"pool with an at":       {Pool: "a@b"},
		"conf with a space":     {Pool: "a", Conf: "/etc/my ceph.conf"},
		"keyring with a colon":  {Pool: "a", Keyring: "/etc/a:b"},
		"user with its prefix":  {Pool: "a", User: "client.admin"},
		"namespace with a NUL":  {Pool: "a", Namespace: "a\x00b"},
		"unknown feature":       {Pool: "a", Features: []string{"speed"}},
		"half a second":         {Pool: "a", OpTimeout: 500 * time.Millisecond},
		"a second and a half":   {Pool: "a", MonTimeout: 1500 * time.Millisecond},
		"negative timeout":      {Pool: "a", MountTimeout: -time.Second},
		"negative blocklist":    {Pool: "a", Blocklist: -time.Second},
		"a fence that ends":     {Pool: "a", Blocklist: time.Minute},
		"negative concurrency":  {Pool: "a", Concurrency: -1},
		"data pool with a line": {Pool: "a", DataPool: "a\nb"},
	}
	for name, cfg := range wrong {
		if err := cfg.Validate(); !errors.Is(err, volume.InvalidArgument) {
			t.Errorf("%s: got %v, want class %s", name, err, volume.InvalidArgument)
		}
		if _, err := ceph.Open(t.Context(), cfg); !errors.Is(err, volume.InvalidArgument) {
			t.Errorf("open with %s: got %v, want class %s", name, err, volume.InvalidArgument)
		}
	}
}

func TestConfig_WithDefaults_BoundsEverything(t *testing.T) {
	cfg := ceph.Config{Pool: "volumes", Features: []string{"journaling", "layering"}}.WithDefaults()
	if cfg.OpTimeout <= 0 || cfg.MonTimeout <= 0 || cfg.MountTimeout <= 0 || cfg.Blocklist <= 0 || cfg.Concurrency <= 0 {
		t.Errorf("defaults: got %+v, want no limit to be missing", cfg)
	}
	want := []string{"deep-flatten", "exclusive-lock", "fast-diff", "journaling", "layering", "object-map"}
	if !slices.Equal(cfg.Features, want) {
		t.Errorf("features: got %v, want %v", cfg.Features, want)
	}
	if err := cfg.Validate(); err != nil {
		t.Errorf("defaults: got %v, want them valid", err)
	}
}
