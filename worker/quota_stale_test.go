package worker_test

import (
	"bytes"
	"net"
	"strings"
	"sync"
	"testing"

	"github.com/nats-io/nats.go"

	"github.com/jetvol/jetvol/events"
	"github.com/jetvol/jetvol/quotas"
	"github.com/jetvol/jetvol/volume"
	"github.com/jetvol/jetvol/worker"
)

// The API by which a worker reads what leaders have, and that to which a [detour] leads.
const (
	readsLeader  = "$JS.API.STREAM.MSG.GET."
	detouredRead = "$JS.OLD.STREAM.MSG.GET."
)

// detour dials connections whose reads of leaders go to detouredRead.
type detour struct{}

func (detour) Dial(network, address string) (net.Conn, error) {
	conn, err := net.DialTimeout(network, address, limit)
	return detoured{Conn: conn}, err
}

type detoured struct{ net.Conn }

func (c detoured) Write(b []byte) (int, error) {
	return c.Conn.Write(bytes.ReplaceAll(b, []byte(readsLeader), []byte(detouredRead)))
}

// deposed is a server that leads no more and does not know it: it answers the first read of
// each stream by what it had (seen with NATS 2.15.2). All others go to the server that leads.
type deposed struct {
	conn *nats.Conn
	mu   sync.Mutex
	had  map[string][]byte // answers by stream; guarded by mu
}

// depose takes the answers of a server that leads no more from what is stored of the volume now.
func (s *system) depose(name string) *deposed {
	s.t.Helper()
	d := &deposed{conn: s.nc, had: map[string][]byte{}}
	for stream, subject := range map[string]string{
		"KV_volumes": "$KV.volumes." + key(name).String(), events.StreamName: "volume.event." + key(name).String() + ".*",
	} {
		answer, err := s.nc.Request(readsLeader+stream, []byte(`{"last_by_subj":"`+subject+`"}`), limit)
		s.must(err)
		d.had[stream] = answer.Data
	}
	return d
}

func (d *deposed) answer(m *nats.Msg) {
	stream := strings.TrimPrefix(m.Subject, detouredRead)
	d.mu.Lock()
	old := d.had[stream]
	delete(d.had, stream)
	d.mu.Unlock()
	if old != nil {
		_ = m.Respond(old) // who asks finds out
		return
	}
	_ = d.conn.PublishMsg(&nats.Msg{Subject: readsLeader + stream, Reply: m.Reply, Data: m.Data})
}

// asked reports whether it was read by, and so deceives nobody any more.
func (d *deposed) asked() bool {
	d.mu.Lock()
	defer d.mu.Unlock()
	return len(d.had) == 0
}

// A server that leads no more shows a create under way that has ended, and was settled. It is
// not counted once more.
func TestQuota_RecordReadFromADeposedServer_IsNotCountedTwice(t *testing.T) {
	s := prepare(t, func(c *worker.Config) { c.DrainTimeout = limit })
	s.setQuota(quotas.Limits{})
	stop := s.startAnother(s.config)
	entered, release := s.gate("create", "v")
	request := createOf("v")
	request.ID = "c1"
	s.publish(request)
	s.awaitCall(entered)
	old := s.depose("v")
	close(release)
	s.awaitEvent("v", ofEvent(volume.EventReady))
	s.awaitNoCommands()
	s.must(stop())
	s.backend.hook(nil, nil)
	s.wantUsed(vols(1))

	_, err := s.nc.Subscribe(detouredRead+"*", old.answer)
	s.must(err)
	s.must(s.nc.Flush())
	second := s.config
	second.ID = "worker-2"
	stop = s.startOn(s.server.Connect(t, nats.SetCustomDialer(detour{})), second)
	t.Cleanup(func() { s.must(stop()) })
	s.await("the command to be taken again", func() bool { return !s.publish(request).Duplicate })
	s.awaitNoCommands()
	if !old.asked() {
		t.Fatal("the worker has not read record and event")
	}
	s.wantUsed(vols(1))
}
