package natsproc

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"os/signal"
	"syscall"
	"time"

	"github.com/rs/zerolog"

	"github.com/jetvol/jetvol/internal/embednats"
)

// settingsVariable is the environment variable that makes a process a server. Its value
// is the [settings] as JSON.
const settingsVariable = "JETVOL_NATSPROC"

// readyPrefix begins the line on standard output that says that clients can connect; the
// server's URL follows.
const readyPrefix = "natsproc ready: "

// Exit codes of a server's process.
const (
	exitStopped = 0
	exitFailed  = 1
	// exitAddressInUse is told apart: another port may help.
	exitAddressInUse = 3
)

// shutdownTimeout bounds how long a server may flush its streams at SIGTERM.
const shutdownTimeout = 20 * time.Second

// settings are what a server's process is told.
type settings struct {
	Name       string             `json:"name"`
	Dir        string             `json:"dir"`
	Listen     string             `json:"listen"`
	SyncAlways bool               `json:"sync_always"`
	Cluster    *embednats.Cluster `json:"cluster,omitempty"`
}

// Main runs a server if this process was started to be one, and returns the exit code at
// its end. In any other process it returns at once, with served false.
//
// The server ends at SIGTERM, and when its standard input does. Warnings and errors go to
// standard error, one JSON object a line.
func Main() (code int, served bool) {
	text, started := os.LookupEnv(settingsVariable)
	if !started {
		return 0, false
	}
	ctx, stop := signal.NotifyContext(context.Background(), syscall.SIGTERM, syscall.SIGINT)
	defer stop()
	err := serve(ctx, text, os.Stdin, os.Stdout, os.Stderr)
	switch {
	case err == nil:
		return exitStopped, true
	case errors.Is(err, embednats.ErrAddressInUse):
		code = exitAddressInUse
	default:
		code = exitFailed
	}
	fmt.Fprintln(os.Stderr, "natsproc:", err)
	return code, true
}

// serve runs the server until ctx or stdin ends, whichever comes first.
func serve(ctx context.Context, text string, stdin io.Reader, stdout, stderr io.Writer) error {
	var s settings
	if err := json.Unmarshal([]byte(text), &s); err != nil {
		return fmt.Errorf("%s: %w", settingsVariable, err)
	}
	ctx, orphaned := context.WithCancel(ctx)
	defer orphaned()
	go func() {
		_, _ = io.Copy(io.Discard, stdin) // whatever ends it, nobody holds the other end
		orphaned()
	}()
	server, err := embednats.Start(embednats.Options{
		Dir:        s.Dir,
		Listen:     s.Listen,
		ServerName: s.Name,
		SyncAlways: s.SyncAlways,
		Cluster:    s.Cluster,
		Logger:     zerolog.New(stderr).Level(zerolog.WarnLevel).With().Timestamp().Str("server", s.Name).Logger(),
	})
	if err != nil {
		return err
	}
	fmt.Fprintln(stdout, readyPrefix+server.URL())
	<-ctx.Done()
	end, cancel := context.WithTimeout(context.WithoutCancel(ctx), shutdownTimeout)
	defer cancel()
	return server.Shutdown(end)
}
