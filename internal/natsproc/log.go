package natsproc

import (
	"io"
	"sync"
)

// lockedWriter is for several processes that write to one log.
type lockedWriter struct {
	mu sync.Mutex // guards to
	to io.Writer
}

// lineWriter returns a writer to log that may be used by several processes, or nil, which
// discards, for nil.
func lineWriter(log io.Writer) io.Writer {
	if log == nil {
		return nil
	}
	return &lockedWriter{to: log}
}

// Write passes on what a process wrote.
func (w *lockedWriter) Write(data []byte) (int, error) {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.to.Write(data)
}
