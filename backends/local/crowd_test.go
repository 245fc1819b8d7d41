package local

import (
	"context"
	"errors"
	"fmt"
	"path/filepath"
	"strconv"
	"sync"
	"testing"

	"github.com/jetvol/jetvol/backends"
	"github.com/jetvol/jetvol/volume"
)

const (
	crowdSize  = 4
	crowdLives = 15
	sharedName = volume.Name("shared")
)

// TestDriver_ManyProcesses_ShareDirectoryAndJournal lets processes work on volumes of
// their own and on one that all want, while others come and go.
func TestDriver_ManyProcesses_ShareDirectoryAndJournal(t *testing.T) {
	parent := t.TempDir()
	opts := Options{Dir: filepath.Join(parent, "volumes"), Journal: filepath.Join(parent, "journal")}
	watcher := openTest(t, opts)
	var running sync.WaitGroup
	for i := range crowdSize {
		running.Go(func() {
			if output, err := childCommand(t, "crowd", opts.Dir, opts.Journal, strconv.Itoa(i)).CombinedOutput(); err != nil {
				t.Errorf("child: got %v, want success; output:\n%s", err, output)
			}
		})
	}
	ended := make(chan struct{})
	go func() { running.Wait(); close(ended) }()
	for over := false; !over; {
		d, err := Open(opts) // removes temporary files, but not those of the living
		must(t, err)
		must(t, d.Close())
		select {
		case <-ended:
			over = true
		default:
		}
	}
	entries, err := ReadJournal(opts.Journal)
	must(t, err)
	var shared, own []JournalEntry
	for _, entry := range entries {
		if entry.Key == "default."+string(sharedName) {
			shared = append(shared, entry)
		} else {
			own = append(own, entry)
		}
	}
	want := make(map[volume.Name]position)
	for i := range crowdSize {
		want[ownName(i)] = position(crowdLives * len(life))
	}
	wantJournal(t, own, want, nil)
	wantLegal(t, shared, listed(t, watcher))
}

func ownName(i int) volume.Name { return volume.Name(fmt.Sprintf("own-%d", i)) }

func crowdChild(args []string) error {
	d, err := Open(Options{Dir: args[0], Journal: args[1]})
	if err != nil {
		return err
	}
	i, err := strconv.Atoi(args[2])
	if err != nil {
		return err
	}
	for p := range position(crowdLives * len(life)) {
		if err := patiently(d, p, p.ref(ownName(i))); err != nil {
			return fmt.Errorf("own volume: %s: %w", p, err)
		}
		// All use the same life of the shared volume, and are often refused.
		err := p.step().call(context.Background(), d, position(0).ref(sharedName))
		switch volume.ClassOf(err) {
		case "", volume.Busy, volume.NotFound, volume.FailedPrecondition:
		default:
			return fmt.Errorf("shared volume: %s: %w", p.step().change, err)
		}
	}
	return nil
}

// patiently repeats a step while it is Busy, as it is when an Open looks for temporary
// files at the same moment.
func patiently(d *Driver, p position, ref backends.Ref) error {
	for {
		if err := p.step().call(context.Background(), d, ref); !errors.Is(err, volume.Busy) {
			return err
		}
	}
}

// wantLegal wants the changes of one volume to be possible in their order, and to end in
// what is there.
func wantLegal(t *testing.T, entries []JournalEntry, objects []backends.Object) {
	t.Helper()
	var exists, held, snapshot bool
	var size volume.Bytes
	for i, entry := range entries {
		legal := false
		switch entry.Change {
		case ChangeCreate:
			legal, exists, size = !exists, true, entry.Size
		case ChangeResize:
			legal, size = exists && entry.Size > size, entry.Size
		case ChangeAttach:
			legal, held = exists && !held, true
		case ChangeDetach, ChangeEvict:
			legal, held = held, false
		case ChangeDelete:
			legal, exists = exists && !held && !snapshot, false
		case ChangeSnapshot:
			legal, snapshot = exists && !snapshot, true
		case ChangeRestore:
			legal, size = snapshot && !held, entry.Size
		case ChangeDeleteSnapshot:
			legal, snapshot = snapshot, false
		}
		if !legal {
			t.Errorf("entry %d: got %s, want a change that the ones before allow", i+1, entry.Change)
		}
	}
	if exists != (len(objects) == 1) || exists && (objects[0].Size != size || held != (len(objects[0].Attachments) > 0)) {
		t.Errorf("objects: got %+v, want what the journal says: exists %t, size %s, held %t", objects, exists, size, held)
	}
	if len(entries) < 2*len(life) {
		t.Errorf("changes of the shared volume: got %d, want more than two lives", len(entries))
	}
}
