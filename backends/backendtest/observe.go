package backendtest

import (
	"context"
	"errors"
	"reflect"

	"github.com/jetvol/jetvol/backends"
	"github.com/jetvol/jetvol/volume"
)

var observeCases = []testCase{
	{"Get_Missing_IsNotFound", func(s *subject) {
		s.lacks(s.volume("a").Key)
	}},
	{"List_ThreeVolumes_AgreesWithGet", func(s *subject) {
		s.lister()
		attached, attachment := s.attached()
		free, gone := s.created("b", large), s.created("c", small)
		s.ok(s.driver.Delete(s.ctx, gone), "delete")
		listed := s.list()
		wantListed(s, listed, backends.Object{Ref: attached, Size: small, Attachments: volume.Attachments{attachment}})
		wantListed(s, listed, backends.Object{Ref: free, Size: large})
		if objects := listed[gone.Key]; len(objects) != 0 {
			s.Errorf("list: got a deleted volume %+v, want none", objects)
		}
	}},
	{"List_YieldSaysStop_Stops", func(s *subject) {
		lister := s.lister()
		s.created("a", small)
		s.created("b", small)
		told := 0
		err := lister.List(s.ctx, func(backends.Object) bool { told++; return false })
		s.ok(err, "list stopped by yield")
		if told != 1 {
			s.Errorf("objects told after yield said stop: got %d, want 1", told)
		}
	}},
	{"Health_Asked_NamesDriverAndVersion", func(s *subject) {
		health, err := s.driver.Health(s.ctx)
		s.ok(err, "health")
		if health.Driver == "" || health.Version == "" {
			s.Errorf("health: got %+v, want a driver and a version", health)
		}
	}},
	{"Capabilities_Claimed_AreHad", func(s *subject) {
		ref := s.created("a", small)
		claimed := backends.CapabilitiesOf(s.driver)
		if claimed.Resize {
			s.supported(s.resizer().Resize(s.ctx, ref, large), "resize")
		}
		if claimed.Fence {
			s.supported(s.fencer().Fence(s.ctx, in(owner, ref)), "fence")
		}
		if claimed.Evict {
			_, err := s.evictor().Evict(s.ctx, in(owner, ref), nodeA)
			s.supported(err, "evict")
		}
		if claimed.List {
			s.supported(s.lister().List(s.ctx, func(backends.Object) bool { return true }), "list")
		}
	}},
}

// supported wants an ability that is claimed by its interface not to be denied when used.
func (s *subject) supported(err error, ability string) {
	s.Helper()
	if errors.Is(err, volume.Unsupported) {
		s.Errorf("%s: got %v, want the driver not to implement what it cannot do", ability, err)
	}
}

// list returns what List tells, by key.
func (s *subject) list() map[volume.Key][]backends.Object {
	s.Helper()
	listed := make(map[volume.Key][]backends.Object)
	err := s.lister().List(s.ctx, func(o backends.Object) bool {
		listed[o.Key] = append(listed[o.Key], o)
		return true
	})
	s.ok(err, "list")
	return listed
}

func wantListed(s *subject, listed map[volume.Key][]backends.Object, want backends.Object) {
	s.Helper()
	got := listed[want.Key]
	if len(got) != 1 || !reflect.DeepEqual(got[0], want) {
		s.Errorf("list of %s: got %+v, want once %s", want.Key, got, describe(want))
	}
	s.heldBy(want.Ref, want.Size, want.Attachments)
}

// life is every change of a volume, in order.
var life = []struct {
	verb volume.Verb
	call func(ctx context.Context, d backends.Driver, ref backends.Ref) error
}{
	{volume.VerbCreate, func(ctx context.Context, d backends.Driver, ref backends.Ref) error {
		return d.Create(ctx, ref, small)
	}},
	{volume.VerbResize, func(ctx context.Context, d backends.Driver, ref backends.Ref) error {
		if resizer, able := d.(backends.Resizer); able {
			return resizer.Resize(ctx, ref, large)
		}
		return nil
	}},
	{volume.VerbAttach, func(ctx context.Context, d backends.Driver, ref backends.Ref) error {
		_, err := d.Attach(ctx, ref, nodeA, volume.ReadWrite)
		return err
	}},
	{volume.VerbDetach, func(ctx context.Context, d backends.Driver, ref backends.Ref) error {
		return d.Detach(ctx, ref, nodeA)
	}},
	{volume.VerbDelete, func(ctx context.Context, d backends.Driver, ref backends.Ref) error {
		return d.Delete(ctx, ref)
	}},
}
