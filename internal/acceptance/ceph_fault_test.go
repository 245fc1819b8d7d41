//go:build ceph

package acceptance

import (
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/jetvol/jetvol/commands"
	"github.com/jetvol/jetvol/internal/cephtest"
	"github.com/jetvol/jetvol/volume"
)

// faultTimeout is what a configuration gives to each operation in tests of faults, so that
// all attempts of a command are over well within patience.
const faultTimeout = 2 * time.Second

// frozenFor is how long the OSD says nothing at least.
const frozenFor = 10 * time.Second

// impatient makes the place give up early.
func (p *place) impatient() *place {
	p.OpTimeout, p.MonTimeout, p.MountTimeout = faultTimeout, faultTimeout, faultTimeout
	return p
}

// trial is one server over a place that fails for a while.
type trial struct {
	server *server
	place  *place
	client *commands.Client
}

func newTrial(t *testing.T, p *place) *trial {
	t.Helper()
	s := startServer(t, "--config", p.impatient().file(t))
	return &trial{server: s, place: p, client: s.client(t)}
}

func (f *trial) do(t *testing.T, name volume.Name, verb volume.Verb, args volume.Args) commands.Reply {
	t.Helper()
	began := time.Now()
	reply := do(t, f.client, commands.Request{
		Key: volume.Key{Project: "default", Name: name}, Verb: verb, Args: args, Actor: "test",
	})
	t.Logf("%s %s: %s after %s: %+v", verb, name, reply.Outcome, time.Since(began).Round(time.Millisecond), reply.Failure)
	return reply
}

func (f *trial) create(t *testing.T, name volume.Name) commands.Reply {
	t.Helper()
	return f.do(t, name, volume.VerbCreate, volume.Args{Size: 8 * volume.MiB})
}

// recovers wants the same process to work again: a new volume can be made, one that
// failed can be deleted, and no image is left that no record knows.
func (f *trial) recovers(t *testing.T, failed ...volume.Name) {
	t.Helper()
	wantReply(t, f.create(t, "after"), volume.Succeeded, volume.StateAvailable, "")
	for _, name := range failed {
		if reply := f.do(t, name, volume.VerbReconcile, volume.Args{}); reply.Outcome == volume.Failed {
			t.Errorf("reconcile %s: got %+v", name, reply)
		}
		wantReply(t, f.do(t, name, volume.VerbDelete, volume.Args{}), volume.Succeeded, volume.StateDeleted, "")
	}
	_, js := f.server.connect(t)
	f.place.wantNoOrphans(t, js)
}

func TestCeph_OSDFrozen_UnavailableThenRecovered(t *testing.T) {
	cluster := cephtest.StartOwn(t)
	f := newTrial(t, newPlace(t, cluster))
	wantReply(t, f.create(t, "before"), volume.Succeeded, volume.StateAvailable, "")
	cluster.Freeze(t, cephtest.OSD)
	thawing := time.After(frozenFor)
	wantReply(t, f.create(t, "during"), volume.Failed, volume.StateError, volume.ErrBackendUnavailable)
	wantReply(t, f.do(t, "before", volume.VerbAttach, volume.Args{Node: "node-1"}),
		volume.Failed, volume.StateError, volume.ErrBackendUnavailable)
	<-thawing
	cluster.Resume(t, cephtest.OSD)
	cluster.AwaitAnswer(t)
	f.recovers(t, "during", "before")
}

// Without a mon, who is connected goes on; what the mon must do is refused, never claimed.
func TestCeph_MonKilled_NodeGoneUnavailableThenRecovered(t *testing.T) {
	cluster := cephtest.StartOwn(t)
	f := newTrial(t, newPlace(t, cluster))
	v := &tenant{server: f.server, place: f.place, client: f.client, key: volume.Key{Project: "default", Name: "held"}}
	wantReply(t, f.create(t, "held"), volume.Succeeded, volume.StateAvailable, "")
	holder := startNode(t, v.attach(t, "node-1", volume.ReadWrite))
	holder.does(t, "write -f -P 0x11 0 1M")
	cluster.Kill(t, cephtest.Mon)

	gone := volume.Args{Node: "node-1", Reason: "test"}
	reply := f.do(t, "held", volume.VerbNodeGone, gone)
	wantReply(t, reply, volume.Failed, reply.State, volume.ErrBackendUnavailable)
	f.create(t, "during") // needs no mon, and may need one if a map has to be renewed
	cluster.Restart(t, cephtest.Mon)
	cluster.AwaitAnswer(t)

	wantReply(t, f.do(t, "held", volume.VerbNodeGone, gone), volume.Succeeded, volume.StateAvailable, "")
	holder.refuses(t, "write -f -P 0x22 0 1M")
	f.recovers(t, "held", "during")
}

func TestCeph_PoolFull_ExhaustedThenRecovered(t *testing.T) {
	cluster := cephtest.Start(t)
	p := newPlace(t, cluster)
	p.Pool, p.Namespace = cluster.NewPool(t), ""
	p.User, p.Keyring = p.Pool, cluster.Keyring(p.Pool)
	f := newTrial(t, p)
	wantReply(t, f.create(t, "before"), volume.Succeeded, volume.StateAvailable, "")
	cluster.RBD(t, "bench", "--io-type", "write", "--io-total", "8M", "--io-size", "1M", p.Pool+"/jetvol.default.before")
	cluster.SetQuota(t, p.Pool, 1<<20)
	cluster.AwaitFull(t, p.Pool, true)

	wantReply(t, f.create(t, "during"), volume.Failed, volume.StateError, volume.ErrBackendExhausted)
	// Who deletes makes room, so that must work.
	wantReply(t, f.do(t, "before", volume.VerbDelete, volume.Args{}), volume.Succeeded, volume.StateDeleted, "")
	cluster.SetQuota(t, p.Pool, 0)
	cluster.AwaitFull(t, p.Pool, false)
	f.recovers(t, "during")
}

// What an operator got wrong is told as such, and mended without a restart.
func TestCeph_Misconfigured_RefusedThenRecovered(t *testing.T) {
	cluster := cephtest.Start(t)
	wrong := filepath.Join(t.TempDir(), "keyring")
	wrongKey := "[client.volumes]\n\tkey = AQBZZZZlAAAAABAAbm90IHRoZSByaWdodCBrZXk=\n"
	if err := os.WriteFile(wrong, []byte(wrongKey), 0o600); err != nil {
		t.Fatal(err)
	}
	for name, test := range map[string]struct {
		spoil func(t *testing.T, p *place)
		mend  func(t *testing.T, p *place)
	}{
		"wrong key": {
			spoil: func(_ *testing.T, p *place) { p.Keyring = wrong },
			mend: func(t *testing.T, _ *place) {
				right, err := os.ReadFile(cluster.Keyring(cephtest.Volumes))
				if err == nil {
					err = os.WriteFile(wrong, right, 0o600)
				}
				if err != nil {
					t.Fatal(err)
				}
			},
		},
		"pool missing": {
			spoil: func(_ *testing.T, p *place) {
				p.Pool, p.Namespace, p.User, p.Keyring = "made-later", "", cephtest.Admin, cluster.Keyring(cephtest.Admin)
			},
			mend: func(t *testing.T, p *place) {
				if err := cluster.CreatePool(t.Context(), p.Pool); err != nil {
					t.Fatal(err)
				}
				t.Cleanup(func() { cluster.Ceph(t, "osd", "pool", "delete", p.Pool, p.Pool, "--yes-i-really-really-mean-it") })
			},
		},
		"user without rights": {
			spoil: func(_ *testing.T, p *place) { p.User, p.Keyring = cephtest.NoCaps, cluster.Keyring(cephtest.NoCaps) },
			mend: func(t *testing.T, _ *place) {
				cluster.Ceph(t, "auth", "caps", "client."+cephtest.NoCaps, "mon", "profile rbd", "osd", "profile rbd")
				t.Cleanup(func() {
					cluster.Ceph(t, "auth", "caps", "client."+cephtest.NoCaps, "mon", "allow command version")
				})
			},
		},
	} {
		t.Run(name, func(t *testing.T) {
			p := newPlace(t, cluster)
			test.spoil(t, p)
			f := newTrial(t, p)
			wantReply(t, f.create(t, "during"), volume.Failed, volume.StateError, volume.ErrBackendPrecondition)
			test.mend(t, p)
			f.recovers(t, "during")
		})
	}
}
