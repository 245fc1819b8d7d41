package kv_test

import (
	"errors"
	"reflect"
	"strings"
	"testing"
	"time"

	"github.com/nats-io/nats.go/jetstream"

	"github.com/jetvol/jetvol/internal/natstest"
	"github.com/jetvol/jetvol/kv"
)

// A comparison of the wanted configuration with the stream's must show no difference
// apart from the server's own metadata.
func TestConfig_ServerChangesNothing(t *testing.T) {
	tests := map[string]jetstream.StreamConfig{
		"volumes":         kv.VolumesConfig(1),
		"outcomes":        kv.OutcomesConfig(1, 0),
		"snapshots":       kv.SnapshotsConfig(1),
		"checkpoints":     kv.CheckpointsConfig(1),
		"drift":           kv.DriftConfig(1),
		"quotas":          kv.QuotasConfig(1),
		"short retention": kv.OutcomesConfig(0, time.Minute),
	}
	for name, want := range tests {
		t.Run(name, func(t *testing.T) {
			js := natstest.Start(t).JetStream(t)
			stream, err := js.CreateStream(testContext(t), want)
			if err != nil {
				t.Fatal(err)
			}
			got := stream.CachedInfo().Config
			for key := range got.Metadata {
				if strings.HasPrefix(key, "_nats.") {
					delete(got.Metadata, key)
				}
			}
			got.Metadata = nilIfEmpty(got.Metadata)
			if !reflect.DeepEqual(got, want) {
				t.Errorf("got %+v, want %+v", got, want)
			}
		})
	}
}

func nilIfEmpty(m map[string]string) map[string]string {
	if len(m) == 0 {
		return nil
	}
	return m
}

// The bucket is one that nats.go would have made itself, but for the description.
func TestConfig_SameAsKeyValue(t *testing.T) {
	js := natstest.Start(t).JetStream(t)
	ctx := testContext(t)
	tests := []struct {
		ours   jetstream.StreamConfig
		theirs jetstream.KeyValueConfig
	}{
		{kv.VolumesConfig(1), jetstream.KeyValueConfig{Bucket: "volumes", LimitMarkerTTL: kv.MarkerTTL}},
		{kv.OutcomesConfig(1, 0), jetstream.KeyValueConfig{Bucket: "outcomes", TTL: kv.DefaultOutcomeRetention}},
	}
	for _, tt := range tests {
		if _, err := js.CreateKeyValue(ctx, tt.theirs); err != nil {
			t.Fatal(err)
		}
		stream, err := js.Stream(ctx, tt.ours.Name)
		if err != nil {
			t.Fatal(err)
		}
		got := stream.CachedInfo().Config
		got.Metadata, got.Description = nil, tt.ours.Description
		if !reflect.DeepEqual(got, tt.ours) {
			t.Errorf("nats.go makes %+v, ours is %+v", got, tt.ours)
		}
	}
}

func TestInterop_KeyValueOfNatsGo(t *testing.T) {
	js := startStore(t)
	b := openItems(js)
	ctx := testContext(t)
	plain, err := js.KeyValue(ctx, kv.VolumesBucket)
	if err != nil {
		t.Fatal(err)
	}
	revision := mustCreate(t, b, "default.db-01", "ours")
	entry, err := plain.Get(ctx, "default.db-01")
	if err != nil || entry.Revision() != revision || !strings.Contains(string(entry.Value()), `"ours"`) {
		t.Fatalf("nats.go reads %v, %v, want our record at %d", entry, err, revision)
	}
	revision, err = plain.Update(ctx, "default.db-01", []byte(`{"status":"theirs"}`), revision)
	if err != nil {
		t.Fatal(err)
	}
	wantStatus(t, b, "default.db-01", "theirs")
	if err := b.Delete(ctx, "default.db-01", revision); err != nil {
		t.Fatal(err)
	}
	if _, err := plain.Get(ctx, "default.db-01"); !errors.Is(err, jetstream.ErrKeyNotFound) {
		t.Fatalf("nats.go reads %v after our delete, want %v", err, jetstream.ErrKeyNotFound)
	}
	for _, remove := range []func() error{
		func() error { return plain.Delete(ctx, "default.db-01") },
		func() error { return plain.Purge(ctx, "default.db-01") },
	} {
		mustCreate(t, b, "default.db-01", "again")
		if err := remove(); err != nil {
			t.Fatal(err)
		}
		wantStatus(t, b, "default.db-01", "")
	}
}
