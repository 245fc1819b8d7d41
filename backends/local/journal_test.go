package local

import (
	"errors"
	"os"
	"path/filepath"
	"reflect"
	"strings"
	"testing"

	"github.com/jetvol/jetvol/backends"
	"github.com/jetvol/jetvol/volume"
)

const journalLine = `{"time":"2026-01-02T03:04:05Z","change":"create","key":"default.db-01","id":"default.db-01.1","size_bytes":1048576}` + "\n"

func TestReadJournal(t *testing.T) {
	for _, c := range []struct {
		name    string
		content string
		entries int
		err     string
	}{
		{"Empty", "", 0, ""},
		{"Two", journalLine + journalLine, 2, ""},
		{"LastLineTorn", journalLine + journalLine[:30], 1, ""},
		{"LastLineWithoutItsEnd", journalLine + strings.TrimSpace(journalLine), 1, ""},
		{"MiddleLineTorn", journalLine + journalLine[:30] + "\n" + journalLine, 0, "line 2"},
		{"TornBeforeAnother", journalLine + journalLine[:30] + journalLine, 2, ""},
		{"TwoTornBeforeAnother", journalLine[:30] + journalLine[:50] + journalLine, 1, ""},
		{"WithoutItsEndBeforeAnother", strings.TrimSpace(journalLine) + journalLine, 2, ""},
		{"OneLetterBeforeAnother", journalLine[:1] + journalLine, 1, ""},
		{"DamagedBeforeAnother", `{"time":now}` + journalLine, 0, "line 1"},
		{"TextAfter", strings.TrimSpace(journalLine) + "x\n", 0, "line 1"},
		{"EmptyLine", journalLine + "\n", 0, "line 2"},
	} {
		t.Run(c.name, func(t *testing.T) {
			path := filepath.Join(t.TempDir(), "journal")
			must(t, os.WriteFile(path, []byte(c.content), 0o600))
			entries, err := ReadJournal(path)
			if len(entries) != c.entries {
				t.Errorf("entries: got %d, want %d", len(entries), c.entries)
			}
			if (err == nil) != (c.err == "") || err != nil && !strings.Contains(err.Error(), c.err) {
				t.Errorf("error: got %v, want %q", err, c.err)
			}
		})
	}
	if _, err := ReadJournal(filepath.Join(t.TempDir(), "none")); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("missing journal: got %v, want %v", err, os.ErrNotExist)
	}
}

func TestOpen_JournalTorn_AppendsAndReaderSkipsIt(t *testing.T) {
	for name, torn := range map[string]string{
		"AfterALine":    journalLine + journalLine[:30],
		"FirstLine":     journalLine[:30],
		"LongJournal":   strings.Repeat(journalLine, 100) + journalLine[:30],
		"NothingIsTorn": journalLine,
	} {
		t.Run(name, func(t *testing.T) {
			parent := t.TempDir()
			opts := Options{Dir: filepath.Join(parent, "volumes"), Journal: filepath.Join(parent, "journal")}
			must(t, os.WriteFile(opts.Journal, []byte(torn), 0o600))
			before, err := ReadJournal(opts.Journal)
			must(t, err)
			d := openTest(t, opts)
			ref := backends.Ref{Key: testKey, ID: volume.NewID(testKey, 7)}
			must(t, d.Create(t.Context(), ref, volume.MiB))
			after, err := ReadJournal(opts.Journal)
			must(t, err)
			if len(after) != len(before)+1 || after[len(after)-1].ID != ref.ID {
				t.Errorf("journal: got %d entries, want %d and then one of %s", len(after), len(before), ref.ID)
			}
		})
	}
}

func TestDriver_JournalFails_IsToldAndWorkIsDone(t *testing.T) {
	const full = "/dev/full"
	d := openTest(t, Options{Dir: filepath.Join(t.TempDir(), "volumes")})
	f, err := os.OpenFile(full, os.O_WRONLY, 0)
	if err != nil {
		t.Skipf("missing: %s: %v", full, err)
	}
	d.journal = &journal{file: f}
	ref := backends.Ref{Key: testKey, ID: volume.NewID(testKey, 1)}
	if err := d.Create(t.Context(), ref, volume.MiB); !errors.Is(err, volume.ResourceExhausted) {
		t.Errorf("create: got %v, want %v", err, volume.ResourceExhausted)
	}
	must(t, d.Create(t.Context(), ref, volume.MiB))
}

func FuzzDecodeJournal(f *testing.F) {
	f.Add([]byte(journalLine))
	f.Add([]byte(journalLine + journalLine[:30]))
	f.Add([]byte("\n\n{"))
	f.Fuzz(func(t *testing.T, data []byte) {
		entries, err := decodeJournal(data)
		if err != nil {
			return
		}
		// What follows the last line's end is never an entry.
		again, err := decodeJournal(append(data, `{"torn`...))
		if lines := strings.Count(string(data), "\n"); err == nil && len(entries) < lines {
			t.Errorf("entries: got %d, want at least one for each of %d lines", len(entries), lines)
		}
		must(t, err)
		if !reflect.DeepEqual(entries, again) {
			t.Errorf("entries with a torn line after them: got %+v, want %+v", again, entries)
		}
	})
}
