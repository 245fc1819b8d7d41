package kv_test

import (
	"context"
	"errors"
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

// provisionPause is the wait before a stream is made again that has found no servers.
const provisionPause = 50 * time.Millisecond

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
	ctx := testContext(t)
	for _, config := range []jetstream.StreamConfig{kv.VolumesConfig(replicas), kv.OutcomesConfig(replicas, 0)} {
		for {
			_, err := js.CreateStream(ctx, config)
			if err == nil {
				break
			}
			if !lacksPeers(err) {
				t.Fatal(err)
			}
			select {
			case <-time.After(provisionPause):
			case <-ctx.Done():
				t.Fatal(err)
			}
		}
	}
}

// lacksPeers reports whether a cluster has lost sight of servers for a moment, as on a machine
// that is busy (JSClusterNoPeersErrF).
func lacksPeers(err error) bool {
	const noPeers = 10005
	api, ok := errors.AsType[*jetstream.APIError](err)
	return ok && api.ErrorCode == noPeers
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
