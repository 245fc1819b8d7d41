package local

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
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
	ChangeEvict  Change = "evict"

	ChangeSnapshot       Change = "snapshot"
	ChangeDeleteSnapshot Change = "delete_snapshot"
	ChangeRestore        Change = "restore"

	ChangeRelease Change = "release"
	ChangeImport  Change = "import"
)

// JournalEntry is one line of a journal: a change that really happened. A call that
// finds its work done writes none, so a second entry for one step is an effect that
// happened twice; only a restore is done again by a repeat. An entry is written after its change: a process killed between the two
// leaves a change without an entry, never an entry without a change.
type JournalEntry struct {
	Time   time.Time    `json:"time"`
	Change Change       `json:"change"`
	Key    string       `json:"key"` // <project>.<name>
	ID     volume.ID    `json:"id"`
	Size   volume.Bytes `json:"size_bytes"` // after the change; of a delete, before it
	Node   volume.Node  `json:"node,omitempty"`

	Snapshot volume.SnapshotName `json:"snapshot,omitempty"`
	Source   string              `json:"source,omitempty"`  // of a clone: <project>.<name>@<snapshot>
	Foreign  volume.Image        `json:"foreign,omitempty"` // the file that was made of the image, or the image of
}

// ReadJournal returns the entries of a journal in the order of their writing. What a
// killed writer left is skipped: a last line without its end, and the beginning of a line
// to which the next writer appended its own. Anything else that is not an entry is an
// error that names its line.
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
		found, err := decodeLine(line)
		if err != nil {
			return nil, fmt.Errorf("line %d: %w", number, err)
		}
		entries, data = append(entries, found...), rest
	}
}

// entryStart is how every entry begins, and nothing within one does.
const entryStart = `{"time":`

// decodeLine returns the entries of one line: one, which stands after the beginnings of
// others whose writers were killed. A beginning that lacks only the line's end is whole.
func decodeLine(line []byte) ([]JournalEntry, error) {
	var entries []JournalEntry
	for {
		end := len(line)
		if next := bytes.Index(line[min(1, end):], []byte(entryStart)); next >= 0 {
			end = next + 1
		}
		entry, err := decodeEntry(line[:end])
		torn := errors.Is(err, io.ErrUnexpectedEOF) && end < len(line)
		if err != nil && !torn {
			return nil, err
		}
		if !torn {
			entries = append(entries, entry)
		}
		if line = line[end:]; len(line) == 0 {
			return entries, nil
		}
	}
}

// decodeEntry returns io.ErrUnexpectedEOF for the beginning of an entry.
func decodeEntry(data []byte) (JournalEntry, error) {
	var entry JournalEntry
	decoder := json.NewDecoder(bytes.NewReader(data))
	if err := decoder.Decode(&entry); err != nil {
		return JournalEntry{}, err
	}
	if _, err := decoder.Token(); !errors.Is(err, io.EOF) {
		return JournalEntry{}, errors.New("text after the entry")
	}
	return entry, nil
}

// journal appends to a journal file, to which other processes append too. It never cuts
// anything off: what looks like a torn line may be one that another is writing.
type journal struct{ file *os.File }

func openJournal(path string) (*journal, error) {
	f, err := os.OpenFile(path, os.O_WRONLY|os.O_CREATE|os.O_APPEND, fileMode)
	if err != nil {
		return nil, backends.Errorf(faultClass(err), "journal: %w", err)
	}
	return &journal{file: f}, nil
}

func (j *journal) close() error { return j.file.Close() }

// append writes the entry in one call, which on a local file system no other writer's
// line can come into.
func (j *journal) append(entry JournalEntry) error {
	line, err := json.Marshal(entry)
	if err != nil {
		return err
	}
	_, err = j.file.Write(append(line, '\n'))
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
