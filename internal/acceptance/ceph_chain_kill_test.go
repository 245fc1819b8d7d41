//go:build ceph

package acceptance

import (
	"testing"
	"time"

	"github.com/jetvol/jetvol/internal/cephtest"
	"github.com/jetvol/jetvol/internal/natstest"
)

// cephStormKills is how often the worker is killed in the test on RBD.
const cephStormKills = 12

// The same on RBD, where a clone shares its blocks with what it was made of.
func TestCeph_Chain_WorkerKilled_StoreAndBackendAgree(t *testing.T) {
	dependOnSources(t)
	s := &server{url: natstest.Start(t).URL(), workDir: t.TempDir()}
	p := newPlace(t, cephtest.Start(t))
	newStorm(t, images{p}, s, "--config "+p.file(t)).blow(t, cephStormKills, time.Second)
}
