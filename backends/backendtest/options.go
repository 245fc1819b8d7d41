package backendtest

import (
	"os/exec"
	"testing"

	"github.com/jetvol/jetvol/backends"
	"github.com/jetvol/jetvol/volume"
)

// EffectCounter is a [Harness] that can tell how often something was really done to an
// object. With it the suite also finds what is done twice to the same end.
type EffectCounter interface {
	// Effects counts the changes of the object with the given ID, by the verb.
	Effects(t testing.TB, id volume.ID) map[volume.Verb]int
}

// Content is a [Harness] that can reach the data of an object, as a node would. With it
// the suite proves by data what the calls for snapshots and clones say of themselves.
type Content interface {
	// ReadContent fills data with the object's content from offset on.
	ReadContent(t testing.TB, ref backends.Ref, data []byte, offset int64)

	// WriteContent overwrites the object's content from offset on. When it returns, the
	// data is in the store and no client has the object open.
	WriteContent(t testing.TB, ref backends.Ref, data []byte, offset int64)
}

// Foreigner is a [Harness] that can make what jetvol did not make.
type Foreigner interface {
	// Foreign puts something in the place where the driver would keep the volume, without
	// the driver. It returns a function that says how it differs from what was put there,
	// and removes it at the end of the test.
	Foreign(t testing.TB, key volume.Key) (differs func() error)
}

// Watcher is a [Harness] that can open an object like a client that nobody told of.
type Watcher interface {
	// Watch opens the object. The returned function closes it, and may be called again.
	Watch(t testing.TB, ref backends.Ref) (closeObject func())
}

// Crasher is a [Harness] whose calls can be made in a process of their own, which the
// suite kills with SIGKILL at chosen and at random moments. Of those the environment
// variable JETVOL_BACKENDTEST_KILLS says how many there are in each call, one without it.
type Crasher interface {
	// CallProcess returns a command that is not started. Its process uses the harness's
	// store and does nothing but [ServeCall]; the suite adds to the command's environment.
	CallProcess(t testing.TB) *exec.Cmd
}

// Reaper is a [Crasher] that can make its store forget the clients that are dead, where the
// store may fail to see that by itself. The suite asks for it when the repeat of a killed
// call has been Busy for a quarter of a minute, and logs that it did.
type Reaper interface {
	Reap(t testing.TB)
}

// content returns the harness's option or skips the case.
func (s *subject) content() Content {
	s.Helper()
	content, given := s.harness.(Content)
	if !given {
		s.skip("the harness is no backendtest.Content")
	}
	return content
}
