package natstest_test

import (
	"errors"
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

func TestStart_Options_UsersAndDomain(t *testing.T) {
	server := natstest.Start(t, natstest.WithDomain("hub"),
		natstest.WithUsers(natstest.User{Name: "one", Password: "secret", PublishDeny: []string{"closed.>"}}))
	if conn, err := nats.Connect(server.URL()); err == nil {
		conn.Close()
		t.Error("connected without a password")
	}
	refused := make(chan error, 1)
	conn := server.Connect(t, nats.UserInfo("one", "secret"),
		nats.ErrorHandler(func(_ *nats.Conn, _ *nats.Subscription, err error) { refused <- err }))
	js, err := jetstream.NewWithDomain(conn, "hub")
	if err != nil {
		t.Fatal(err)
	}
	if info, err := js.AccountInfo(t.Context()); err != nil || info.Domain != "hub" {
		t.Errorf("got %+v, %v, want domain hub", info, err)
	}
	if err := conn.Publish("closed.one", nil); err != nil {
		t.Fatal(err)
	}
	if err := <-refused; !errors.Is(err, nats.ErrPermissionViolation) {
		t.Errorf("got %v, want a permission violation", err)
	}
}

func TestCluster_LeaderStopped_AnotherLeadsAndNothingIsLost(t *testing.T) {
	cluster := natstest.StartCluster(t, 3)
	js := cluster.JetStream(t)
	_, err := js.CreateStream(t.Context(), jetstream.StreamConfig{Name: "KEPT", Subjects: []string{"kept"}, Replicas: 3})
	if err != nil {
		t.Fatal(err)
	}
	if _, err := js.Publish(t.Context(), "kept", nil); err != nil {
		t.Fatal(err)
	}
	stopped := cluster.StopLeader(t, "KEPT")
	if next := cluster.LeaderOf(t, "KEPT"); next == stopped {
		t.Errorf("server %d leads although it is stopped", next)
	}
	cluster.Restart(t, stopped)
	cluster.AwaitCurrent(t)
	kept, err := cluster.Server(stopped).JetStream(t).Stream(t.Context(), "KEPT")
	if err != nil || kept.CachedInfo().State.Msgs != 1 {
		t.Errorf("got %+v, %v, want the message", kept, err)
	}
}
