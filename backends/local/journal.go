package local

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"sync"
	"time"

	"github.com/jetvol/jetvol/backends"
	"github.com/jetvol/jetvol/volume"
)

// Change is what happened to an object.
type Change string

// The changes.
const (
	ChangeCreate Change = "create"
	ChangeDelete Change = "delete"
	ChangeResize Change = "resize"
	ChangeAttach Change = "attach"
	ChangeDetach Change = "detach"
)

// JournalEntry is one line of a journal: a change that really happened. A call that
// finds its work done writes none, so a second entry for one step is an effect that
// happened twice. An entry is written after its change: a process killed between the two
// leaves a change without an entry, never an entry without a change.
type JournalEntry struct {
	Time   time.Time    `json:"time"`
	Change Change       `json:"change"`
	Key    string       `json:"key"` // <project>.<name>
	ID     volume.ID    `json:"id"`
	Size   volume.Bytes `json:"size_bytes"` // after the change; of a delete, before it
	Node   volume.Node  `json:"node,omitempty"`
}

// ReadJournal returns the entries of a journal in the order of their writing. A last
// line without its end is left out, as its writer was killed; any other line that is not
// an entry is an error that names it.
func ReadJournal(path string) ([]JournalEntry, error) {
	data, err := os.ReadFile(path)
	if err != nil {
		return nil, fmt.Errorf("read journal: %w", err)
	}
	entries, err := decodeJournal(data)
	if err != nil {
		return nil, fmt.Errorf("read journal %s: %w", path, err)
	}
	return entries, nil
}

func decodeJournal(data []byte) ([]JournalEntry, error) {
	var entries []JournalEntry
	for number := 1; ; number++ {
		line, rest, whole := bytes.Cut(data, []byte{'\n'})
		if !whole {
			return entries, nil
		}
		var entry JournalEntry
		if err := json.Unmarshal(line, &entry); err != nil {
			return nil, fmt.Errorf("line %d: %w", number, err)
		}
		entries, data = append(entries, entry), rest
	}
}

// journal appends to a journal file.
type journal struct {
	mu   sync.Mutex // guards the file's end: a torn line is cut off before the next one
	file *os.File
}

func openJournal(path string) (*journal, error) {
	f, err := os.OpenFile(path, os.O_RDWR|os.O_CREATE|os.O_APPEND, fileMode)
	if err != nil {
		return nil, backends.Errorf(faultClass(err), "journal: %w", err)
	}
	j := &journal{file: f}
	if err := j.cutTornLine(); err != nil {
		_ = f.Close() // the first error is the one to tell
		return nil, backends.Errorf(faultClass(err), "journal: %w", err)
	}
	return j, nil
}

// maxLine is more than the longest entry has, in bytes.
const maxLine = 4 << 10

// cutTornLine removes a last line whose writer was killed, or the next one would be
// appended to it.
func (j *journal) cutTornLine() error {
	info, err := j.file.Stat()
	if err != nil {
		return err
	}
	start := max(0, info.Size()-maxLine)
	tail := make([]byte, info.Size()-start)
	if _, err := j.file.ReadAt(tail, start); err != nil && !errors.Is(err, io.EOF) {
		return err
	}
	if end := bytes.LastIndexByte(tail, '\n') + 1; end < len(tail) {
		return j.file.Truncate(start + int64(end))
	}
	return nil
}

func (j *journal) close() error { return j.file.Close() }

// append writes the entry in one call.
func (j *journal) append(entry JournalEntry) error {
	line, err := json.Marshal(entry)
	if err != nil {
		return err
	}
	j.mu.Lock()
	defer j.mu.Unlock()
	written, err := j.file.Write(append(line, '\n'))
	if err == nil || written == 0 {
		return err
	}
	// A full disk took a part of the line.
	info, statErr := j.file.Stat()
	if statErr != nil {
		return statErr
	}
	if cutErr := j.file.Truncate(info.Size() - int64(written)); cutErr != nil {
		return cutErr
	}
	return err
}

// record journals a change, if there is a journal.
func (d *Driver) record(entry JournalEntry, key volume.Key) error {
	if d.journal == nil {
		return nil
	}
	d.dir.step()
	entry.Time, entry.Key = time.Now().UTC(), key.String()
	if err := d.journal.append(entry); err != nil {
		return backends.Errorf(faultClass(err), "journal: %s done but not recorded: %w", entry.Change, err)
	}
	return nil
}
