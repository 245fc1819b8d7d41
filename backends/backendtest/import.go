package backendtest

import (
	"bytes"
	"context"

	"github.com/jetvol/jetvol/backends"
	"github.com/jetvol/jetvol/volume"
)

var importCases = []testCase{
	{"Release_Volume_IsGoneAndImportBringsItBack", func(s *subject) {
		importer, ref := s.importer(), s.created("a", large)
		name := s.released(importer, ref)
		s.lacks(ref.Key)
		s.ok(importer.Release(s.ctx, ref, name), "release repeated")
		s.lacks(ref.Key)
		s.imported(importer, stranger(ref), name, large)
		s.has(stranger(ref), large, nil)
	}},
	{"Release_Content_ComesWithIt", func(s *subject) {
		content, importer := s.content(), s.importer()
		ref, other := s.created("a", large), s.volume("b")
		want, got := pattern(7, int(small)), make([]byte, small)
		content.WriteContent(s, ref, want, int64(small))
		name := s.released(importer, ref)
		s.imported(importer, other, name, large)
		if content.ReadContent(s, other, got, int64(small)); !bytes.Equal(got, want) {
			s.Errorf("content after a release and an import: got other data than was written")
		}
	}},
	{"Release_ThenCreate_IsAnotherVolume", func(s *subject) {
		importer, ref, other := s.importer(), s.created("a", large), s.volume("b")
		name := s.released(importer, ref)
		s.ok(s.driver.Create(s.ctx, stranger(ref), small), "create under the name that is free")
		s.has(stranger(ref), small, nil)
		s.ok(s.driver.Delete(s.ctx, stranger(ref)), "delete")
		s.imported(importer, other, name, large)
		s.has(other, large, nil)
	}},
	{"Release_ThenDelete_KeepsWhatWasReleased", func(s *subject) {
		importer, ref, other := s.importer(), s.created("a", large), s.volume("b")
		name := s.released(importer, ref)
		s.ok(s.driver.Delete(s.ctx, ref), "delete of what was released")
		s.imported(importer, other, name, large)
	}},
	{"Release_NeitherThere_IsNotFound", func(s *subject) {
		ref := s.volume("a")
		s.refused(s.importer().Release(s.ctx, ref, s.image(ref)), "release of a missing volume", volume.NotFound)
	}},
	{"Release_Stranger_IsLeftAlone", func(s *subject) {
		importer, ref := s.importer(), s.created("a", small)
		err := importer.Release(s.ctx, stranger(ref), s.image(ref))
		s.refused(err, "release of another life", append(strangerClasses, volume.NotFound)...)
		s.has(ref, small, nil)
	}},
	{"Release_NameTaken_IsRefused", func(s *subject) {
		importer, ref, other := s.importer(), s.created("a", small), s.created("b", large)
		name := s.released(importer, ref)
		s.refused(importer.Release(s.ctx, other, name), "release under a name that is taken", volume.FailedPrecondition)
		s.has(other, large, nil)
		s.imported(importer, ref, name, small)
	}},
	{"Release_WhileAttached_IsBlocked", func(s *subject) {
		importer, ref := s.importer(), s.created("a", small)
		attachment, err := s.driver.Attach(s.ctx, ref, nodeB, volume.ReadWrite)
		s.ok(err, "attach")
		s.blocked(importer.Release(s.ctx, ref, s.image(ref)), "release while attached", nodeBlocker(nodeB))
		s.has(ref, small, &attachment)
	}},
	{"Release_WithSnapshot_IsBlocked", func(s *subject) {
		importer, ref := s.importer(), s.snapshotted(monday)
		by := backends.Blocker{Kind: backends.BlockedBySnapshot, Name: string(monday)}
		s.blocked(importer.Release(s.ctx, ref, s.image(ref)), "release with a snapshot", by)
		s.has(ref, small, nil)
	}},
	{"Release_OfOneOfTwo_IsNotListed", func(s *subject) {
		lister, importer := s.lister(), s.importer()
		ref, other := s.created("a", small), s.created("b", small)
		s.ok(importer.Release(s.ctx, ref, s.image(ref)), "release")
		told := make(map[volume.Key]bool)
		s.ok(lister.List(s.ctx, func(o backends.Object) bool { told[o.Key] = true; return true }), "list")
		if told[ref.Key] || !told[other.Key] {
			s.Errorf("list: got the released one %v and the other %v, want the other only", told[ref.Key], told[other.Key])
		}
	}},
	{"Import_Repeated_ReturnsTheSame", func(s *subject) {
		importer, ref := s.importer(), s.created("a", large)
		name := s.released(importer, ref)
		s.imported(importer, ref, name, large)
		s.imported(importer, ref, name, large)
		attachment, err := s.driver.Attach(s.ctx, ref, nodeA, volume.ReadWrite)
		s.ok(err, "attach of what was imported")
		s.imported(importer, ref, name, large)
		s.has(ref, large, &attachment)
	}},
	{"Import_NothingThere_IsNotFound", func(s *subject) {
		importer, ref := s.importer(), s.volume("a")
		_, err := importer.Import(s.ctx, ref, s.image(ref))
		s.refused(err, "import of nothing", volume.NotFound)
		s.lacks(ref.Key)
	}},
	{"Import_KeyOfStranger_IsAlreadyExists", func(s *subject) {
		importer, ref, other := s.importer(), s.created("a", large), s.created("b", small)
		name := s.released(importer, ref)
		_, err := importer.Import(s.ctx, stranger(other), name)
		s.refused(err, "import over another life", volume.AlreadyExists)
		s.has(other, small, nil)
		s.imported(importer, ref, name, large)
	}},
	{"Import_OlderEpoch_IsRefused", func(s *subject) {
		importer, fencer, ref := s.importer(), s.fencer(), s.created("a", small)
		name := s.image(ref)
		s.ok(fencer.Fence(s.ctx, in(owner, ref)), "fence")
		s.fenced(importer.Release(s.ctx, in(stale, ref), name), "release in an older epoch", owner)
		s.has(ref, small, nil)
		s.ok(importer.Release(s.ctx, in(owner, ref), name), "release in the epoch of the fence")
		_, err := importer.Import(s.ctx, in(stale, ref), name)
		s.fenced(err, "import in an older epoch", owner)
		s.lacks(ref.Key)
		s.imported(importer, in(owner, ref), name, small)
	}},
	{"Importable_Foreign_TellsTheSizeAndChangesNothing", func(s *subject) {
		importer, ref := s.importer(), s.created("a", large)
		name := s.released(importer, ref)
		for range 2 {
			s.importable(importer, ref, name, large)
			s.lacks(ref.Key)
		}
		s.imported(importer, ref, name, large)
		s.importable(importer, ref, name, large)
		s.has(ref, large, nil)
	}},
	{"Importable_NothingThere_IsNotFound", func(s *subject) {
		ref := s.volume("a")
		_, err := s.importer().Importable(s.ctx, ref, s.image(ref))
		s.refused(err, "look at nothing", volume.NotFound)
	}},
	{"Importable_KeyOfStranger_IsAlreadyExists", func(s *subject) {
		importer, ref, other := s.importer(), s.created("a", large), s.created("b", small)
		name := s.released(importer, ref)
		_, err := importer.Importable(s.ctx, stranger(other), name)
		s.refused(err, "look with another life in the place", volume.AlreadyExists)
		s.has(other, small, nil)
		s.imported(importer, ref, name, large)
	}},
}

// importer returns the driver's ability or skips the case.
func (s *subject) importer() backends.Importer {
	s.Helper()
	i, able := s.driver.(backends.Importer)
	if !able {
		s.skip("the driver is no backends.Importer")
	}
	return i
}

// image is a foreign name for a ref. The end of the case takes in what has it, which removes it.
func (s *subject) image(ref backends.Ref) volume.Image {
	name, into := volume.ReleasedImage(ref.ID), s.volume("reclaimed")
	s.Cleanup(func() {
		d := s.harness.Open(s)
		defer func() { _ = d.Close() }()
		if importer, able := d.(backends.Importer); able {
			_, _ = importer.Import(context.WithoutCancel(s.ctx), into, name) // there may be nothing
		}
	})
	return name
}

// released lets go of a volume under the name that is returned.
func (s *subject) released(importer backends.Importer, ref backends.Ref) volume.Image {
	s.Helper()
	name := s.image(ref)
	s.ok(importer.Release(s.ctx, ref, name), "release")
	return name
}

// importable wants a look at what could be imported to tell its size, and a name.
func (s *subject) importable(importer backends.Importer, ref backends.Ref, name volume.Image, size volume.Bytes) {
	s.Helper()
	got, err := importer.Importable(s.ctx, ref, name)
	s.ok(err, "look at what can be imported")
	if got.Size != size || got.Becomes == "" {
		s.Errorf("look at what can be imported: got %+v, want size %s and a name", got, size)
	}
}

// imported wants an import to succeed with a volume of the size.
func (s *subject) imported(importer backends.Importer, ref backends.Ref, name volume.Image, size volume.Bytes) {
	s.Helper()
	got, err := importer.Import(s.ctx, ref, name)
	s.ok(err, "import")
	if got != size {
		s.Errorf("import: got size %s, want %s", got, size)
	}
}
