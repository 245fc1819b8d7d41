package acceptance

import (
	"testing"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"

	"github.com/jetvol/jetvol/commands"
)

// poll waits until f reports true, at most for patience.
func poll(t *testing.T, what string, f func() bool) {
	t.Helper()
	late := time.After(patience)
	pause := time.NewTicker(20 * time.Millisecond)
	defer pause.Stop()
	for !f() {
		select {
		case <-pause.C:
		case <-late:
			t.Fatalf("%s: not after %s", what, patience)
		}
	}
}

// awaitCommands returns when no command waits or is being carried out.
func awaitCommands(t *testing.T, js jetstream.JetStream) {
	t.Helper()
	poll(t, "end of all commands", func() bool {
		stream, err := js.Stream(t.Context(), commands.StreamName)
		return err == nil && stream.CachedInfo().State.Msgs == 0
	})
}

// drain throws away what the subscription holds.
func drain(events *nats.Subscription) {
	for {
		if _, err := events.NextMsg(time.Millisecond); err != nil {
			return
		}
	}
}
