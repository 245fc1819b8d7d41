package doctor

import (
	"context"
	"errors"
	"fmt"
	"net"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"
)

func checkConnectivity(_ context.Context, e *examination) []Finding {
	server := e.conn.ConnectedServerName()
	rtt, err := e.conn.RTT()
	if err != nil {
		return []Finding{note("connectivity.lost", Finding{Text: "the server does not answer: " + why(err)})}
	}
	findings := []Finding{note("connectivity.server", Finding{
		Object: server, Found: e.conn.ConnectedServerVersion(), Text: e.greeting(rtt),
	})}
	if !e.encrypted() && !onLoopback(e.conn.ConnectedAddr()) {
		findings = append(findings, note("connectivity.plain_text", Finding{
			Object: server, Found: "no TLS", Wanted: "TLS",
			Text: "passwords, commands and events go to " + e.conn.ConnectedAddr() + " as plain text",
		}))
	}
	return append(findings, e.withoutJetStream()...)
}

// greeting tells where the connection leads.
func (e *examination) greeting(rtt time.Duration) string {
	text := fmt.Sprintf("%s, nats-server %s, round trip %s", e.conn.ConnectedUrlRedacted(),
		e.conn.ConnectedServerVersion(), rtt.Round(time.Microsecond))
	if name := e.conn.ConnectedClusterName(); name != "" {
		text += ", cluster " + name
	}
	if e.encrypted() {
		text += ", TLS"
	}
	return text
}

func (e *examination) encrypted() bool {
	_, err := e.conn.TLSConnectionState()
	return err == nil
}

// onLoopback reports whether the address is of this machine and no network lies between.
func onLoopback(address string) bool {
	host, _, err := net.SplitHostPort(address)
	if err != nil {
		return false
	}
	ip := net.ParseIP(host)
	return ip != nil && ip.IsLoopback()
}

// withoutJetStream tells why JetStream does not answer, if it does not.
func (e *examination) withoutJetStream() []Finding {
	err := e.account.err
	switch {
	case e.hasJetStream():
		return nil
	case errors.Is(err, nats.ErrNoResponders), codesNotEnabled[code(err)], errors.Is(err, jetstream.ErrJetStreamNotEnabled):
		return []Finding{note("connectivity.no_jetstream", Finding{
			Wanted: "JetStream", Text: "JetStream is not enabled here: jetvol has nowhere to store anything",
		})}
	default:
		return []Finding{note("connectivity.silent", Finding{
			Text: "JetStream does not answer (" + why(errors.Join(e.openErr, err)) + "): most servers of a cluster may be gone",
		})}
	}
}
