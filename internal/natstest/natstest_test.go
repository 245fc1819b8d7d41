package natstest_test

import (
	"testing"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"

	"github.com/jetvol/jetvol/internal/natstest"
)

func TestServer_Restart_KeepsStreamsPortAndClients(t *testing.T) {
	server := natstest.Start(t)
	reconnected := make(chan struct{}, 1)
	conn := server.Connect(t, nats.ReconnectHandler(func(*nats.Conn) { reconnected <- struct{}{} }))
	js, err := jetstream.New(conn)
	if err != nil {
		t.Fatal(err)
	}
	stream := jetstream.StreamConfig{Name: "KEPT", Subjects: []string{"kept.>"}, Storage: jetstream.FileStorage}
	if _, err := js.CreateStream(t.Context(), stream); err != nil {
		t.Fatal(err)
	}
	if _, err := js.Publish(t.Context(), "kept.one", []byte("before")); err != nil {
		t.Fatal(err)
	}
	url := server.URL()

	server.Restart(t)

	if server.URL() != url {
		t.Errorf("url after restart: got %s, want %s", server.URL(), url)
	}
	<-reconnected
	kept, err := js.Stream(t.Context(), "KEPT")
	if err != nil {
		t.Fatal(err)
	}
	msg, err := kept.GetMsg(t.Context(), 1)
	if err != nil || string(msg.Data) != "before" {
		t.Errorf("message after restart: got %v, %v, want the one stored before", msg, err)
	}
}

func TestStart_Twice_ServersAreIndependent(t *testing.T) {
	first, second := natstest.Start(t), natstest.Start(t)
	if first.URL() == second.URL() {
		t.Fatalf("both servers at %s", first.URL())
	}
	if _, err := first.JetStream(t).CreateStream(t.Context(), jetstream.StreamConfig{Name: "ONE"}); err != nil {
		t.Fatal(err)
	}
	if _, err := second.JetStream(t).Stream(t.Context(), "ONE"); err == nil {
		t.Error("a stream of one server is known to the other")
	}
}

func TestServer_Stop_MayBeRepeated(t *testing.T) {
	server := natstest.Start(t)
	server.Stop(t)
	server.Stop(t)
	if conn, err := nats.Connect(server.URL()); err == nil {
		conn.Close()
		t.Error("a stopped server still accepts connections")
	}
}
