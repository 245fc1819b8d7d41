package embednats

import (
	"fmt"
	"sync"

	"github.com/nats-io/nats-server/v2/server"
	"github.com/rs/zerolog"
)

// serverLog writes the server's lines as log entries: warnings and errors keep their
// level, all others are debug. It remembers the first fatal one, because that is the
// only way in which the server tells why it did not start.
type serverLog struct {
	zerolog.Logger

	mu    sync.Mutex // guards fatal
	fatal string
}

var _ server.Logger = (*serverLog)(nil)

const logMessage = "nats server"

func line(entry *zerolog.Event, format string, args []any) {
	entry.Str("line", fmt.Sprintf(format, args...)).Msg(logMessage)
}

func (l *serverLog) Noticef(format string, args ...any) { line(l.Debug(), format, args) }
func (l *serverLog) Debugf(format string, args ...any)  { line(l.Debug(), format, args) }
func (l *serverLog) Tracef(format string, args ...any)  { line(l.Trace(), format, args) }
func (l *serverLog) Warnf(format string, args ...any)   { line(l.Warn(), format, args) }
func (l *serverLog) Errorf(format string, args ...any)  { line(l.Error(), format, args) }

// Fatalf does not end the process, as the server's own logger would: it is an error
// that [Start] returns.
func (l *serverLog) Fatalf(format string, args ...any) {
	line(l.Error(), format, args)
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.fatal == "" {
		l.fatal = fmt.Sprintf(format, args...)
	}
}

// cause returns the first fatal line, or the empty text.
func (l *serverLog) cause() string {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.fatal
}
