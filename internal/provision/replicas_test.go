package provision_test

import (
	"context"
	"fmt"
	"net"
	"net/url"
	"testing"
	"time"

	"github.com/nats-io/nats-server/v2/server"
	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"

	"github.com/jetvol/jetvol/events"
	"github.com/jetvol/jetvol/internal/provision"
)

// TestApply_Replicas_ZeroKeeps: what exists with three replicas keeps them if nobody says how many.
func TestApply_Replicas_ZeroKeeps(t *testing.T) {
	js := startCluster(t)
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

// startCluster starts three servers and returns when they place three replicas.
func startCluster(t *testing.T) jetstream.JetStream {
	t.Helper()
	addresses := freeAddresses(t, 3)
	var routes []*url.URL
	for _, address := range addresses {
		routes = append(routes, &url.URL{Scheme: "nats", Host: address.String()})
	}
	var clientURL string
	for i, own := range addresses {
		s, err := server.NewServer(&server.Options{
			ServerName: fmt.Sprint("n", i), Host: "127.0.0.1", Port: server.RANDOM_PORT, NoSigs: true, NoLog: true,
			JetStream: true, StoreDir: t.TempDir(), Routes: routes,
			Cluster: server.ClusterOpts{Name: "test", Host: own.IP.String(), Port: own.Port},
		})
		if err != nil {
			t.Fatal(err)
		}
		s.Start()
		t.Cleanup(func() { s.Shutdown(); s.WaitForShutdown() })
		if !s.ReadyForConnections(testTimeout) {
			t.Fatal("a server of the cluster does not start")
		}
		clientURL = s.ClientURL()
	}
	nc, err := nats.Connect(clientURL)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(nc.Close)
	js, err := jetstream.New(nc)
	if err != nil {
		t.Fatal(err)
	}
	awaitPeers(t, js)
	return js
}

// awaitPeers asks until the cluster has a leader that has met its peers: before, it does
// not answer or refuses.
func awaitPeers(t *testing.T, js jetstream.JetStream) {
	t.Helper()
	const each = time.Second
	for ctx := testContext(t); ctx.Err() == nil; {
		try, cancel := context.WithTimeout(ctx, each)
		_, err := js.CreateStream(try, jetstream.StreamConfig{Name: "PROBE", Subjects: []string{"probe"}, Replicas: 3})
		cancel()
		if err == nil {
			return
		}
	}
	t.Fatal("the cluster does not come up")
}

// freeAddresses returns n addresses that nobody listens on. The servers have to know all
// of them before the first one starts.
func freeAddresses(t *testing.T, n int) []*net.TCPAddr {
	t.Helper()
	var held []net.Listener
	var addresses []*net.TCPAddr
	for range n {
		listener, err := net.ListenTCP("tcp", &net.TCPAddr{IP: net.IPv4(127, 0, 0, 1)})
		if err != nil {
			t.Fatal(err)
		}
		held = append(held, listener) // until all are chosen, so that no two are the same
		addresses = append(addresses, listener.Addr().(*net.TCPAddr))
	}
	for _, listener := range held {
		if err := listener.Close(); err != nil {
			t.Fatal(err)
		}
	}
	return addresses
}
