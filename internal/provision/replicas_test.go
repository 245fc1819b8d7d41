package provision_test

import (
	"context"
	"errors"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/jetvol/jetvol/events"
	"github.com/jetvol/jetvol/internal/natstest"
	"github.com/jetvol/jetvol/internal/provision"
	"github.com/jetvol/jetvol/volume"
)

// TestApply_Replicas_ZeroKeeps: what exists with three replicas keeps them if nobody says how many.
func TestApply_Replicas_ZeroKeeps(t *testing.T) {
	js := natstest.StartCluster(t, 3).JetStream(t)
	if report := apply(t, js, provision.Options{Replicas: 3}); len(report.Created) != len(allStreams) {
		t.Fatalf("got %+v, want all created", report)
	}
	for _, options := range []provision.Options{{}, {Replicas: 3}, {Update: true}} {
		if report := apply(t, js, options); len(report.Existing) != len(allStreams) || len(report.Differences) != 0 {
			t.Errorf("%+v: got %+v, want no difference", options, report)
		}
	}
	report := apply(t, js, provision.Options{Replicas: 1})
	if len(report.Differences) != len(allStreams) || report.Fatal() != nil {
		t.Errorf("got %+v, want one of each, none of them fatal", report)
	}
	if got := configOf(t, js, events.StreamName).Replicas; got != 3 {
		t.Errorf("got %d replicas, want 3", got)
	}
}

// A worker may be started together with the cluster.
func TestApply_ClusterNotYetThere_Waits(t *testing.T) {
	cluster := natstest.StartCluster(t, 3)
	js := cluster.Server(0).JetStream(t)
	cluster.Stop(t, 1)
	cluster.Stop(t, 2)
	waiting, ended := make(chan error, 1), make(chan error, 1)
	options := provision.Options{Replicas: 3, Patience: testTimeout, Waiting: func(reason error) {
		select {
		case waiting <- reason:
		default:
		}
	}}
	var report provision.Report
	ctx, cancel := context.WithTimeout(t.Context(), 2*testTimeout)
	defer cancel()
	go func() {
		var err error
		report, err = provision.Apply(ctx, js, options)
		ended <- err
	}()
	if reason := <-waiting; reason == nil {
		t.Error("waits without a reason")
	}
	cluster.Restart(t, 1)
	cluster.Restart(t, 2)
	if err := <-ended; err != nil {
		t.Fatal(err)
	}
	if made := slices.Concat(report.Created, report.Existing); len(made) != len(allStreams) || len(report.Differences) != 0 {
		t.Errorf("got %+v, want all streams", report)
	}
	for _, stream := range allStreams {
		if got := configOf(t, cluster.JetStream(t), stream).Replicas; got != 3 {
			t.Errorf("stream %s: got %d replicas, want 3", stream, got)
		}
	}
}

// TestApply_NoQuorum_UnavailableAfterPatience: waiting ends, and the error says what for.
func TestApply_NoQuorum_UnavailableAfterPatience(t *testing.T) {
	cluster := natstest.StartCluster(t, 3)
	js := cluster.Server(0).JetStream(t)
	cluster.Stop(t, 1)
	cluster.Stop(t, 2)
	_, err := provision.Apply(testContext(t), js, provision.Options{Replicas: 3, Patience: time.Millisecond})
	if !errors.Is(err, volume.Unavailable) || !strings.Contains(err.Error(), "no leader") || !strings.Contains(err.Error(), allStreams[0]) {
		t.Errorf("got %v, want that stream %s waits for a leader: unavailable", err, allStreams[0])
	}
}

// TestApply_TooManyReplicas_UnavailableWithTheServersReason: five do not fit three servers.
func TestApply_TooManyReplicas_UnavailableWithTheServersReason(t *testing.T) {
	js := natstest.StartCluster(t, 3).JetStream(t)
	_, err := provision.Apply(testContext(t), js, provision.Options{Replicas: 5, Patience: time.Millisecond})
	if !errors.Is(err, volume.Unavailable) || !strings.Contains(err.Error(), "no suitable peers") {
		t.Errorf("got %v, want no suitable peers: unavailable", err)
	}
}
