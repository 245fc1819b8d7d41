package kv_test

import (
	"context"
	"testing"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"
	"go.uber.org/goleak"

	"github.com/jetvol/jetvol/internal/natstest"
	"github.com/jetvol/jetvol/kv"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// testTimeout bounds every wait of a test; none should come near it.
const testTimeout = 20 * time.Second

func jetStream(t testing.TB, nc *nats.Conn) jetstream.JetStream {
	t.Helper()
	js, err := jetstream.New(nc)
	if err != nil {
		t.Fatal(err)
	}
	return js
}

// startStore returns a server's JetStream that has both buckets.
func startStore(t testing.TB) jetstream.JetStream {
	t.Helper()
	js := natstest.Start(t).JetStream(t)
	provision(t, js, 1)
	return js
}

func provision(t testing.TB, js jetstream.JetStream, replicas int) {
	t.Helper()
	for _, config := range []jetstream.StreamConfig{kv.VolumesConfig(replicas), kv.OutcomesConfig(replicas, 0)} {
		if _, err := js.CreateStream(testContext(t), config); err != nil {
			t.Fatal(err)
		}
	}
}

func testContext(t testing.TB) context.Context {
	t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), testTimeout)
	t.Cleanup(cancel)
	return ctx
}

// item is a small record for tests of the bucket itself.
type item struct {
	SchemaVersion int    `json:"schema_version"`
	Status        string `json:"status"`
}

func openItems(js jetstream.JetStream) *kv.Bucket[item] { return kv.Open[item](js, kv.VolumesBucket) }

func mustCreate(t testing.TB, b *kv.Bucket[item], key, status string) uint64 {
	t.Helper()
	revision, err := b.Create(testContext(t), key, item{1, status})
	if err != nil {
		t.Fatal(err)
	}
	return revision
}
