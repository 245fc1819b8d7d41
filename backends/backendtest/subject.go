package backendtest

import (
	"context"
	"crypto/rand"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"reflect"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/jetvol/jetvol/backends"
	"github.com/jetvol/jetvol/volume"
)

const (
	project = volume.Project("backendtest")

	small = volume.MiB
	large = 4 * volume.MiB

	nodeA = volume.Node("node-a.example")
	nodeB = volume.Node("node-b.example")

	// promptly is how soon a call must return after its context ended. It is generous:
	// it is to find calls that wait for ever.
	promptly = 5 * time.Second
)

// subject is the driver under test within one case.
type subject struct {
	*testing.T
	harness Harness
	driver  backends.Driver
	ctx     context.Context
	run     string // no other run of a case has this
}

func newSubject(t *testing.T, h Harness) *subject {
	s := &subject{T: t, harness: h, ctx: t.Context(), run: rand.Text()}
	s.driver = s.open()
	return s
}

// open returns a handle that the end of the case closes.
func (s *subject) open() backends.Driver {
	s.Helper()
	d := s.harness.Open(s)
	s.Cleanup(func() {
		if err := d.Close(); err != nil {
			s.Errorf("close: got %v, want no error", err)
		}
	})
	return d
}

// reopen goes on with a handle that has seen nothing of the case.
func (s *subject) reopen() { s.Helper(); s.driver = s.open() }

// volume returns a ref that no other case uses, nor this one in another run: it may be
// fenced for ever. The end of the case removes it.
func (s *subject) volume(name string) backends.Ref {
	sum := sha256.Sum256([]byte(s.Name() + s.run))
	return s.volumeOf(volume.Key{Project: project, Name: volume.Name(name + "-" + hex.EncodeToString(sum[:6]))})
}

func (s *subject) volumeOf(key volume.Key) backends.Ref {
	s.Cleanup(func() { s.remove(key) })
	return backends.Ref{Key: key, ID: volume.NewID(key, 1)}
}

// stranger is ref's key in another life.
func stranger(ref backends.Ref) backends.Ref {
	return backends.Ref{Key: ref.Key, ID: volume.NewID(ref.Key, 2)}
}

// created is a ref whose object exists.
func (s *subject) created(name string, size volume.Bytes) backends.Ref {
	s.Helper()
	ref := s.volume(name)
	s.ok(s.driver.Create(s.ctx, ref, size), "create")
	return ref
}

// attached is a ref whose object node A holds for writing.
func (s *subject) attached() (backends.Ref, volume.Attachment) {
	s.Helper()
	ref := s.created("a", small)
	attachment, err := s.driver.Attach(s.ctx, ref, nodeA, volume.ReadWrite)
	s.ok(err, "attach")
	return ref, attachment
}

// remove leaves nothing of the key behind. What goes wrong here went wrong before.
func (s *subject) remove(key volume.Key) {
	ctx := context.WithoutCancel(s.ctx)
	d := s.harness.Open(s)
	defer func() { _ = d.Close() }()
	found, err := d.Get(ctx, key)
	if err != nil {
		found.Ref = backends.Ref{Key: key, ID: volume.NewID(key, 1)}
	}
	found.Epoch = pastAnyFence
	for _, holder := range found.Attachments {
		_ = d.Detach(ctx, found.Ref, holder.Node)
	}
	_ = d.Delete(ctx, found.Ref)
}

// ok ends the case if a call that must succeed did not.
func (s *subject) ok(err error, what string) {
	s.Helper()
	if err != nil {
		s.Fatalf("%s: got error %v, want success", what, err)
	}
}

// refused wants an error of one of the classes.
func (s *subject) refused(err error, what string, classes ...volume.Class) {
	s.Helper()
	if err == nil {
		s.Errorf("%s: got success, want an error of class %v", what, classes)
		return
	}
	if !slices.ContainsFunc(classes, func(c volume.Class) bool { return errors.Is(err, c) }) {
		s.Errorf("%s: got %v (class %s), want class %v", what, err, volume.ClassOf(err), classes)
	}
}

// names wants the holder's name in the error, for whoever has to free the volume.
func (s *subject) names(err error, holder volume.Node) {
	s.Helper()
	if err != nil && !strings.Contains(err.Error(), string(holder)) {
		s.Errorf("error text: got %q, want the holder %s in it", err, holder)
	}
}

// has wants the object to be as told, held by one node, or by none if a is nil.
func (s *subject) has(ref backends.Ref, size volume.Bytes, a *volume.Attachment) {
	s.Helper()
	var holders volume.Attachments
	if a != nil {
		holders = volume.Attachments{*a}
	}
	s.heldBy(ref, size, holders)
}

// heldBy wants the object to be as told, with exactly these holders in this order.
func (s *subject) heldBy(ref backends.Ref, size volume.Bytes, holders volume.Attachments) {
	s.Helper()
	got, err := s.driver.Get(s.ctx, ref.Key)
	if err != nil {
		s.Errorf("get %s: got error %v, want it there", ref.Key, err)
		return
	}
	ref.Epoch = 0 // of the caller, not of the object
	if want := (backends.Object{Ref: ref, Size: size, Attachments: holders}); !reflect.DeepEqual(got, want) {
		s.Errorf("get %s: got %s, want %s", ref.Key, describe(got), describe(want))
	}
}

// lacks wants nothing under the key.
func (s *subject) lacks(key volume.Key) {
	s.Helper()
	_, err := s.driver.Get(s.ctx, key)
	s.refused(err, "get of a missing volume", volume.NotFound)
}

func describe(o backends.Object) string {
	return fmt.Sprintf("{id %s, size %s, held by %d nodes: %+v}", o.ID, o.Size, len(o.Attachments), []volume.Attachment(o.Attachments))
}

// resizer returns the driver's ability or skips the case.
func (s *subject) resizer() backends.Resizer {
	s.Helper()
	r, able := s.driver.(backends.Resizer)
	if !able {
		s.Skip("the driver is no backends.Resizer")
	}
	return r
}

// lister returns the driver's ability or skips the case.
func (s *subject) lister() backends.Lister {
	s.Helper()
	l, able := s.driver.(backends.Lister)
	if !able {
		s.Skip("the driver is no backends.Lister")
	}
	return l
}

// effects wants the change to have been done so often, if the harness can tell.
func (s *subject) effects(ref backends.Ref, verb volume.Verb, want int) {
	s.Helper()
	counter, able := s.harness.(EffectCounter)
	if !able {
		return
	}
	if got := counter.Effects(s, ref.ID)[verb]; got != want {
		s.Errorf("effects of %s: got %d, want %d", verb, got, want)
	}
}
