// Package telemetry is how a jetvol process shows itself from outside: its log, its
// metrics and its health.
package telemetry

import (
	"io"
	"os"
	"time"

	"github.com/mattn/go-isatty"
	"github.com/rs/zerolog"
)

// Levels returns the names of the log levels, from the most talkative on.
func Levels() []string {
	return []string{"trace", "debug", "info", "warn", "error"}
}

// NewLogger returns a logger that writes to w: for people if w is a terminal, and else
// one JSON object per line. The level is one of [Levels]; any other name means "info".
func NewLogger(w io.Writer, level string) zerolog.Logger {
	least, err := zerolog.ParseLevel(level)
	if err != nil || least == zerolog.NoLevel {
		least = zerolog.InfoLevel
	}
	if isTerminal(w) {
		w = zerolog.ConsoleWriter{Out: w, TimeFormat: time.TimeOnly, NoColor: os.Getenv("NO_COLOR") != ""}
	}
	return zerolog.New(w).Level(least).With().Timestamp().Logger()
}

func isTerminal(w io.Writer) bool {
	file, ok := w.(*os.File)
	return ok && isatty.IsTerminal(file.Fd())
}
