package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"sync/atomic"
	"time"

	"github.com/jetvol/jetvol/backends/ceph"
	"github.com/jetvol/jetvol/internal/cephproc"
	trials "github.com/jetvol/jetvol/internal/trial"
	"github.com/jetvol/jetvol/volume"
)

// cephDown bounds the end of the cluster.
const cephDown = time.Minute

// cephStore is a cluster of the run's own. Every trial has a namespace, so that a fence
// asks the workers of one trial only.
type cephStore struct {
	cluster *cephproc.Cluster
	rooms   atomic.Int64
	closed  bool
}

func startCeph(ctx context.Context, base string) (*cephStore, error) {
	cluster, err := cephproc.Up(ctx, filepath.Join(base, "ceph"))
	if err != nil {
		return nil, fmt.Errorf("start ceph: %w", err)
	}
	return &cephStore{cluster: cluster}, nil
}

func (s *cephStore) close() error {
	if s.closed {
		return nil
	}
	s.closed = true
	ctx, cancel := context.WithTimeout(context.Background(), cephDown)
	defer cancel()
	return cephproc.Down(ctx, s.cluster.Dir())
}

func (s *cephStore) room(ctx context.Context, dir string) (room, error) {
	namespace, err := trials.NewNamespace(ctx, s.cluster, fmt.Sprintf("trial-%d", s.rooms.Add(1)), dir)
	return &cephRoom{namespace, filepath.Join(dir, "held"), filepath.Join(dir, "jetvol.yaml")}, err
}

// cephRoom is a namespace.
type cephRoom struct {
	*trials.Namespace
	held string // a file that makes the backend busy
	file string // the workers' configuration
}

func (r *cephRoom) driver(ctx context.Context) (tampered, error) {
	driver, err := ceph.Open(ctx, r.Config())
	if err != nil {
		return nil, err
	}
	able, is := driver.(tampered)
	if !is {
		return nil, errors.Join(errors.New("driver cannot resize or take snapshots"), driver.Close())
	}
	return able, nil
}

// decide adds the policy to the one backend of the configuration.
func (r *cephRoom) decide(policy volume.RecordOnly) error {
	text, err := os.ReadFile(r.file)
	if err != nil {
		return err
	}
	return policyFile(r.file, string(text), policy)
}

// heldPlace is a failpoint of package backends.
const heldPlace = "backendHeld"

// failpoints has the one by which a file makes the backend busy: nothing outside of a
// worker makes RBD refuse every kind of change at once, and can be asked nevertheless.
func (r *cephRoom) failpoints() []string {
	return []string{fmt.Sprintf("%s=return(%q)", heldPlace, r.held)}
}

func (r *cephRoom) hold() (release func(), err error) {
	if err := os.WriteFile(r.held, nil, 0o600); err != nil {
		return nil, err
	}
	return func() { _ = os.Remove(r.held) }, nil // it may have been removed before
}
