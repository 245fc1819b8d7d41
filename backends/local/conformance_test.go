package local_test

import (
	"bytes"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"sync"
	"testing"

	"github.com/jetvol/jetvol/backends"
	"github.com/jetvol/jetvol/backends/backendtest"
	"github.com/jetvol/jetvol/backends/local"
	"github.com/jetvol/jetvol/volume"
)

// store is a directory with a journal: the harness of the conformance suite.
type store struct {
	dir     string
	journal string
}

var (
	_ backendtest.EffectCounter = store{}
	_ backendtest.Content       = store{}
	_ backendtest.Foreigner     = store{}
	_ backendtest.Crasher       = store{}
)

func newStore(t testing.TB) store {
	t.Helper()
	parent := t.TempDir()
	return store{dir: filepath.Join(parent, "volumes"), journal: filepath.Join(parent, "journal.jsonl")}
}

func (s store) Open(t testing.TB) backends.Driver { return s.open(t) }

// MaxSize is less than the 16 TiB that a file on ext4 can have.
func (s store) MaxSize() volume.Bytes { return 8 * volume.TiB }

func (s store) open(t testing.TB) *local.Driver {
	t.Helper()
	d, err := local.Open(local.Options{Dir: s.dir, Journal: s.journal})
	if err != nil {
		t.Fatalf("open: got %v, want no error", err)
	}
	return d
}

func (s store) entries(t testing.TB) []local.JournalEntry {
	t.Helper()
	entries, err := local.ReadJournal(s.journal)
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		t.Fatalf("read journal: got %v, want no error", err)
	}
	return entries
}

func (s store) Effects(t testing.TB, id volume.ID) map[volume.Verb]int {
	t.Helper()
	effects := make(map[volume.Verb]int)
	for _, entry := range s.entries(t) {
		if entry.ID == id {
			effects[verbOf(entry.Change)]++
		}
	}
	return effects
}

func (s store) image(key volume.Key) string { return filepath.Join(s.dir, key.String()+".img") }

func (s store) ReadContent(t testing.TB, ref backends.Ref, data []byte, offset int64) {
	t.Helper()
	f, err := os.Open(s.image(ref.Key))
	must(t, err)
	_, err = f.ReadAt(data, offset)
	must(t, errors.Join(err, f.Close()))
}

func (s store) WriteContent(t testing.TB, ref backends.Ref, data []byte, offset int64) {
	t.Helper()
	f, err := os.OpenFile(s.image(ref.Key), os.O_WRONLY, 0)
	must(t, err)
	_, err = f.WriteAt(data, offset)
	must(t, errors.Join(err, f.Close()))
}

// Foreign makes a symbolic link to a file elsewhere. Any regular file with the name of an
// image is the driver's own.
func (s store) Foreign(t testing.TB, key volume.Key) (differs func() error) {
	t.Helper()
	elsewhere := filepath.Join(t.TempDir(), "elsewhere")
	want := []byte("not a volume")
	must(t, os.WriteFile(elsewhere, want, 0o600))
	must(t, os.Symlink(elsewhere, s.image(key)))
	t.Cleanup(func() { must(t, os.Remove(s.image(key))) })
	return func() error {
		target, err := os.Readlink(s.image(key))
		got, readErr := os.ReadFile(elsewhere)
		if err != nil || target != elsewhere || !bytes.Equal(got, want) {
			return fmt.Errorf("link to %q (%w), content %q (%w)", target, err, got, readErr)
		}
		return nil
	}
}

func (s store) CallProcess(t testing.TB) *exec.Cmd { return local.CallProcess(t, s.dir, s.journal) }

func verbOf(change local.Change) volume.Verb {
	if change == local.ChangeEvict {
		return volume.VerbNodeGone
	}
	return volume.Verb(change)
}

// files returns the names in the store's directory, without the driver's own.
func (s store) files(t testing.TB) []string {
	t.Helper()
	entries, err := os.ReadDir(s.dir)
	if err != nil {
		t.Fatalf("read directory: got %v, want no error", err)
	}
	names := make([]string, 0, len(entries))
	for _, entry := range entries {
		if entry.Name() != local.FencesDir {
			names = append(names, entry.Name())
		}
	}
	return names
}

func TestConformance(t *testing.T) {
	s := newStore(t)
	backendtest.Run(t, s)
	if files := s.files(t); len(files) != 0 {
		t.Errorf("files left by the suite: got %q, want none", files)
	}
}

// The fault of block-storage-api that this stands against: two instances on one store
// accepted two attaches of one volume.
func TestDriver_ManyHandlesAttachAtOnce_OneWins(t *testing.T) {
	const handles, rounds = 8, 20
	s := newStore(t)
	drivers := make([]*local.Driver, handles)
	for i := range drivers {
		drivers[i] = s.open(t)
		t.Cleanup(func() { _ = drivers[i].Close() })
	}
	for round := range rounds {
		ref := refOf("db-01", uint64(round+1))
		must(t, drivers[0].Create(t.Context(), ref, volume.MiB))
		errs := make([]error, handles)
		var running sync.WaitGroup
		for i, d := range drivers {
			running.Go(func() { _, errs[i] = d.Attach(t.Context(), ref, nodes[i], volume.ReadWrite) })
		}
		running.Wait()
		holder := soleWinner(t, errs)
		must(t, drivers[0].Detach(t.Context(), ref, holder))
		must(t, drivers[0].Delete(t.Context(), ref))
		if got := s.Effects(t, ref.ID)[volume.VerbAttach]; got != 1 {
			t.Errorf("attach effects: got %d, want 1", got)
		}
	}
}

var nodes = []volume.Node{"n0", "n1", "n2", "n3", "n4", "n5", "n6", "n7"}

// soleWinner returns the node whose attach succeeded; the others must be told busy or
// that it is held.
func soleWinner(t *testing.T, errs []error) volume.Node {
	t.Helper()
	var winners []volume.Node
	for i, err := range errs {
		switch {
		case err == nil:
			winners = append(winners, nodes[i])
		case !errors.Is(err, volume.Busy) && !errors.Is(err, volume.FailedPrecondition):
			t.Errorf("attach by a loser: got %v, want %v or %v", err, volume.Busy, volume.FailedPrecondition)
		}
	}
	if len(winners) != 1 {
		t.Fatalf("winners: got %v, want 1", winners)
	}
	return winners[0]
}

func refOf(name volume.Name, generation uint64) backends.Ref {
	key := volume.Key{Project: "default", Name: name}
	return backends.Ref{Key: key, ID: volume.NewID(key, generation)}
}

func must(t testing.TB, err error) {
	t.Helper()
	if err != nil {
		t.Fatalf("got error %v, want none", err)
	}
}
