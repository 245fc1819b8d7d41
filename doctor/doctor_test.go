package doctor_test

import (
	"context"
	"errors"
	"fmt"
	"net"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/nats-io/nats.go"

	"github.com/jetvol/jetvol/doctor"
	"github.com/jetvol/jetvol/internal/natstest"
	"github.com/jetvol/jetvol/internal/provision"
	"github.com/jetvol/jetvol/volume"
)

// A healthy system gives no warning. A single test server must give: that it lets in
// anybody (info), that it is alone (info), and that its sync interval and the backends
// cannot be seen (unknown).
func TestExamine_Healthy_NothingToDo(t *testing.T) {
	c := start(t)
	c.work("w1")
	report := c.examine(doctor.Options{})
	if report.Errors+report.Warnings != 0 {
		t.Errorf("got %s, want no error and no warning:\n%s", report, report.text())
	}
	var others []string
	for _, f := range report.Findings {
		if f.Severity != doctor.OK {
			others = append(others, f.Code)
		}
	}
	slices.Sort(others)
	if want := []string{"backends.unknown", "permissions.open_here", "replicas.one_server", "sync.unknown"}; !slices.Equal(others, want) {
		t.Errorf("got %q, want %q", others, want)
	}
	report.want("connectivity.server", "nats-server 2.")
	report.want("account.room", fmt.Sprintf("%d streams", len(provision.Configs(provision.Options{}))))
	report.want("streams.as_wanted", "stream VOLUME_EVENTS")
	report.want("streams.as_wanted", "bucket snapshots")
	report.want("sync.unknown", "2m0s", "power cut", "kill -9 loses none", "--monitor")
	report.want("clock.here")
	report.want("clock.worker", "w1")
	report.want("workers.live", "w1", "partitions 0-15")
	report.want("consumers.fine", "all 16")
	report.want("dead_letters.none")
	report.want("volumes.fine", "0 volumes")
	if want := "ok, 0 warnings, 0 errors, 2 unknown"; !strings.HasSuffix(report.String(), want) {
		t.Errorf("got %q, want %q at its end", report, want)
	}
}

// A check changes nothing: no stream, consumer or message is there that was not before. That
// the consumers of a listing go is asked for and not waited for.
func TestExamine_ChangesNothing(t *testing.T) {
	c := start(t)
	before := c.state()
	c.examine(doctor.Options{Deep: true})
	after := c.state()
	for end := time.Now().Add(patience); after != before && time.Now().Before(end); {
		after = c.state()
	}
	if after != before {
		t.Errorf("got\n%s\nwant\n%s", after, before)
	}
}

func (c *clinic) state() string {
	c.Helper()
	var text strings.Builder
	streams := c.js.ListStreams(c.ctx)
	for info := range streams.Info() {
		s := info.State
		text.WriteString(strings.Join([]string{
			info.Config.Name, count(s.Msgs), count(s.LastSeq), count(uint64(s.Consumers)),
		}, " ") + "\n")
	}
	c.must(streams.Err())
	return text.String()
}

func TestExamine_ConnectionClosed_Lost(t *testing.T) {
	conn := natstest.Start(t).Connect(t)
	conn.Close()
	report := look(t, conn, doctor.Options{})
	report.want("connectivity.lost")
	report.want("permissions.unknown")
	report.none("streams.missing", "workers.none")
}

func TestUnreachable_IsAnError(t *testing.T) {
	report := record(t, doctor.Unreachable(errors.New("no server answers")))
	report.want("connectivity.unreachable", "no server answers")
	if report.Errors != 1 || report.String() != "doctor: 0 ok, 0 warnings, 1 error" {
		t.Errorf("got %s", report)
	}
}

func TestConnectivity_NoJetStream_ErrorAndNoOther(t *testing.T) {
	s := configured(t, "accounts { A { users [{user: a, password: a}] } }")
	report := look(t, connect(t, s.ClientURL(), nats.UserInfo("a", "a")), doctor.Options{})
	report.want("connectivity.no_jetstream")
	report.none("streams.missing", "workers.none", "volumes.unknown")
	if report.Errors != 1 {
		t.Errorf("got %s, want one error:\n%s", report, report.text())
	}
}

// farConn is a connection that seems to lead to another machine.
type farConn struct{ net.Conn }

func (farConn) RemoteAddr() net.Addr { return &net.TCPAddr{IP: net.IPv4(192, 0, 2, 1), Port: 4222} }

type farDialer struct{}

func (farDialer) Dial(network, address string) (net.Conn, error) {
	conn, err := (&net.Dialer{}).DialContext(context.Background(), network, address)
	return farConn{conn}, err
}

func TestConnectivity_OtherMachineWithoutTLS_Warning(t *testing.T) {
	url := natstest.Start(t).URL()
	report := look(t, connect(t, url, nats.SetCustomDialer(farDialer{})), doctor.Options{})
	report.want("connectivity.plain_text", "192.0.2.1")
	report.want("permissions.open", "no authentication")
	near := look(t, connect(t, url), doctor.Options{})
	near.none("connectivity.plain_text", "permissions.open")
	near.want("permissions.open_here")
}

func TestBackends_AskedHere_UpAndDown(t *testing.T) {
	conn := natstest.Start(t).Connect(t)
	report := look(t, conn, doctor.Options{Backends: []doctor.Backend{
		{Name: "good", Health: func(context.Context) (string, error) { return "local 1", nil }},
		{Name: "bad", Health: func(context.Context) (string, error) { return "", volume.Unavailable }},
	}})
	report.want("backends.up", "good", "local 1")
	report.want("backends.down", "bad", "unavailable")
}

// The workers tell by the service volume.query.backends, where it is there.
func TestBackends_Workers_Tell(t *testing.T) {
	conn := natstest.Start(t).Connect(t)
	answer := `{"backends":[{"name":"a","driver":"null","health":"ok"},{"name":"b","driver":"ceph","health":"failed","error":{"message":"no quorum"}},{"name":"c"}]}`
	_, err := conn.Subscribe("volume.query.backends", func(m *nats.Msg) { _ = m.Respond([]byte(answer)) })
	if err != nil {
		t.Fatal(err)
	}
	report := look(t, conn, doctor.Options{})
	report.want("backends.up", "a")
	report.want("backends.down", "b", "no quorum")
	report.want("backends.unknown", "c")
}
