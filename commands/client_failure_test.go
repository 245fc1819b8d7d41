package commands_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/nats-io/nats.go"

	"github.com/jetvol/jetvol/commands"
	"github.com/jetvol/jetvol/internal/natstest"
	"github.com/jetvol/jetvol/volume"
)

// checkPending checks that err says that the command may still be carried out.
func checkPending(t *testing.T, err error, id volume.CommandID, cause error) {
	t.Helper()
	pending, ok := errors.AsType[*commands.PendingError](err)
	if !ok || pending.CommandID != id || pending.Key != db01 || !errors.Is(err, cause) {
		t.Errorf("got %v, want command %s pending because of %v", err, id, cause)
	}
	if ok && !strings.Contains(err.Error(), string(id)) {
		t.Errorf("%q does not name command %s", err, id)
	}
}

// interceptPublishes stands in for a stream: it hands over each message that is
// published as a command, with what a stream would acknowledge it to.
func interceptPublishes(t *testing.T, nc *nats.Conn) <-chan *nats.Msg {
	t.Helper()
	published := make(chan *nats.Msg, 64)
	if _, err := nc.ChanSubscribe("volume.command.>", published); err != nil {
		t.Fatal(err)
	}
	return published
}

func acknowledge(t *testing.T, msg *nats.Msg, duplicate bool) {
	t.Helper()
	ack := fmt.Sprintf(`{"stream":%q,"seq":7,"duplicate":%v}`, commands.StreamName, duplicate)
	if err := msg.Respond([]byte(ack)); err != nil {
		t.Fatal(err)
	}
}

// result is what Do returned.
type result struct {
	reply commands.Reply
	err   error
}

func doAsync(ctx context.Context, client *commands.Client, request commands.Request) <-chan result {
	done := make(chan result, 1)
	go func() {
		reply, err := client.Do(ctx, request)
		done <- result{reply, err}
	}()
	return done
}

// answerTo sends the answer that the publisher of a message waits for.
func answerTo(t *testing.T, nc *nats.Conn, msg *nats.Msg) {
	t.Helper()
	id := volume.CommandID(msg.Header.Get(commands.HeaderID))
	publishJSON(t, nc, msg.Header.Get(commands.HeaderReply), commands.Reply{CommandID: id, Outcome: volume.Succeeded})
}

func TestClient_Do_NoAcknowledgement_PublishesTheSameIDAgain(t *testing.T) {
	nc := startConnected(t)
	published := interceptPublishes(t, nc)
	client := newClient(t, nc, commands.WithPublishTimeout(20*time.Millisecond))
	done := doAsync(testContext(t), client, createRequest(""))

	first := receive(t, published)
	for range 2 {
		again := receive(t, published)
		if again.Subject != first.Subject || fmt.Sprint(again.Header) != fmt.Sprint(first.Header) || !bytes.Equal(again.Data, first.Data) {
			t.Errorf("got %s %v %s, want %s %v %s", again.Subject, again.Header, again.Data, first.Subject, first.Header, first.Data)
		}
	}
	answerTo(t, nc, first) // it was stored after all
	if got := receive(t, done); got.err != nil || got.reply.CommandID != volume.CommandID(first.Header.Get(commands.HeaderID)) {
		t.Errorf("got %+v", got)
	}
}

func TestClient_Do_AnotherCallersDuplicate_PublishesAgainAfterTheWindow(t *testing.T) {
	nc := startConnected(t)
	published := interceptPublishes(t, nc)
	client := newClient(t, nc, commands.WithResendAfter(testTimeout)) // not what it waits for
	done := doAsync(testContext(t), client, createRequest("order-1"))

	acknowledge(t, receive(t, published), true)
	dropped := time.Now()
	second := receive(t, published)
	if waited := time.Since(dropped); waited < commands.DedupeWindow {
		t.Errorf("published again after %v, within the window of %v", waited, commands.DedupeWindow)
	}
	acknowledge(t, second, false)
	answerTo(t, nc, second)
	if got := receive(t, done); got.err != nil {
		t.Error(got.err)
	}
}

func TestClient_Do_LostAnswer_AskedForAgain(t *testing.T) {
	nc := startService(t)
	startWorker(t, nc, func(d delivery) {
		if d.number > 1 {
			succeed(t, nc)(d)
		}
	})
	client := newClient(t, nc, commands.WithResendAfter(commands.DedupeWindow+50*time.Millisecond))
	reply, err := client.Do(testContext(t), createRequest("order-1"))
	if err != nil || !reply.Repeat {
		t.Errorf("got %+v and %v, want the repeated answer", reply, err)
	}
}

func TestClient_Do_ContextEnds_Pending(t *testing.T) {
	nc := startService(t)
	ctx, cancel := context.WithCancel(testContext(t))
	startWorker(t, nc, func(delivery) { cancel() })
	_, err := newClient(t, nc).Do(ctx, createRequest("order-1"))
	checkPending(t, err, "order-1", context.Canceled)
}

func TestClient_Do_ContextEndsUnacknowledged_Pending(t *testing.T) {
	nc := startConnected(t)
	published := interceptPublishes(t, nc)
	ctx, cancel := context.WithCancel(testContext(t))
	done := doAsync(ctx, newClient(t, nc), createRequest("order-1"))
	receive(t, published)
	cancel()
	checkPending(t, receive(t, done).err, "order-1", context.Canceled)
}

func TestClient_Close_EndsCalls(t *testing.T) {
	nc := startService(t)
	got := make(chan delivery, 1)
	startWorker(t, nc, func(d delivery) { got <- d })
	client := newClient(t, nc)
	done := doAsync(testContext(t), client, createRequest("order-1"))
	receive(t, got)
	if err := client.Close(); err != nil {
		t.Error(err)
	}
	checkPending(t, receive(t, done).err, "order-1", commands.ErrClientClosed)

	_, err := client.Do(testContext(t), createRequest("order-2"))
	if _, pending := errors.AsType[*commands.PendingError](err); pending || !errors.Is(err, commands.ErrClientClosed) {
		t.Errorf("after close: got %v, want %v and nothing pending", err, commands.ErrClientClosed)
	}
}

func TestClient_NoStream_Unavailable(t *testing.T) {
	client := newClient(t, startConnected(t), commands.WithUnavailableAfter(time.Millisecond))
	_, doErr := client.Do(testContext(t), createRequest(""))
	_, publishErr := client.Publish(testContext(t), createRequest(""))
	for _, err := range []error{doErr, publishErr} {
		if _, pending := errors.AsType[*commands.PendingError](err); pending || !errors.Is(err, volume.Unavailable) || volume.ClassOf(err) != volume.Unavailable {
			t.Errorf("got %v, want %v and nothing pending", err, volume.Unavailable)
		}
	}
}

func TestClient_StreamRefuses_Unavailable(t *testing.T) {
	nc := startConnected(t)
	config := commands.StreamConfig(1)
	config.MaxMsgs = 1
	createStream(t, nc, config)
	client := newClient(t, nc, commands.WithUnavailableAfter(time.Millisecond))
	if _, err := client.Publish(testContext(t), createRequest("")); err != nil {
		t.Fatal(err)
	}
	_, err := client.Publish(testContext(t), createRequest(""))
	if _, pending := errors.AsType[*commands.PendingError](err); pending || !errors.Is(err, volume.Unavailable) {
		t.Errorf("full stream: got %v, want %v and nothing pending", err, volume.Unavailable)
	}
}

func TestClient_Do_StreamComesLater(t *testing.T) {
	nc := startConnected(t)
	published := interceptPublishes(t, nc)
	client := newClient(t, nc, commands.WithPublishTimeout(50*time.Millisecond))
	done := doAsync(testContext(t), client, createRequest(""))
	receive(t, published)
	createStream(t, nc, commands.StreamConfig(1))
	startWorker(t, nc, succeed(t, nc))
	if got := receive(t, done); got.err != nil {
		t.Error(got.err)
	}
}

func TestClient_Do_ConnectionClosed_Unavailable(t *testing.T) {
	nc := startService(t)
	client := newClient(t, nc)
	nc.Close()
	_, err := client.Do(testContext(t), createRequest(""))
	if !errors.Is(err, volume.Unavailable) || !errors.Is(err, nats.ErrConnectionClosed) {
		t.Errorf("got %v, want %v", err, volume.Unavailable)
	}
}

func TestClient_Do_ServerRestart_StillAnswered(t *testing.T) {
	server := natstest.Start(t)
	nc := server.Connect(t)
	createStream(t, nc, commands.StreamConfig(1))
	published := interceptPublishes(t, nc)
	client := newClient(t, nc, commands.WithPublishTimeout(200*time.Millisecond), commands.WithResendAfter(200*time.Millisecond))
	done := doAsync(testContext(t), client, createRequest("order-1"))
	receive(t, published)

	reconnected := nc.StatusChanged(nats.CONNECTED)
	server.Restart(t)
	receive(t, reconnected)
	startWorker(t, nc, succeed(t, nc))
	if got := receive(t, done); got.err != nil || got.reply.CommandID != "order-1" {
		t.Errorf("got %+v", got)
	}
}

func TestClient_Publish_RefusedAfterNoAcknowledgement_Pending(t *testing.T) {
	nc := startConnected(t)
	published := interceptPublishes(t, nc)
	client := newClient(t, nc, commands.WithPublishTimeout(50*time.Millisecond), commands.WithUnavailableAfter(time.Millisecond))
	done := make(chan error, 1)
	go func() {
		_, err := client.Publish(testContext(t), createRequest("order-1"))
		done <- err
	}()
	receive(t, published) // may be stored, for all that the client knows
	for {
		select {
		case msg := <-published:
			if err := msg.Respond([]byte(`{"error":{"code":503,"err_code":10077,"description":"maximum messages exceeded"}}`)); err != nil {
				t.Fatal(err)
			}
		case err := <-done:
			checkPending(t, err, "order-1", volume.Unavailable)
			return
		}
	}
}
