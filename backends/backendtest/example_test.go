package backendtest_test

import (
	"testing"

	"github.com/jetvol/jetvol/backends"
	"github.com/jetvol/jetvol/backends/backendtest"
	"github.com/jetvol/jetvol/backends/null"
	"github.com/jetvol/jetvol/volume"
)

// memory is a harness whose handles share one driver in memory.
type memory struct{ driver *null.Driver }

func (m memory) Open(testing.TB) backends.Driver { return m.driver }
func (m memory) MaxSize() volume.Bytes           { return volume.MaxSize }

func ExampleRun() {
	// In a driver's own package this function is called TestConformance.
	_ = func(t *testing.T) {
		backendtest.Run(t, memory{null.New(null.Options{})})
	}
}
