package doctor

import (
	"cmp"
	"context"
	"net/http"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"
)

// Defaults of [Options].
const (
	// DefaultTimeout bounds one question to the server.
	DefaultTimeout = 2 * time.Second
	// DefaultOldCommand is how old a command that has not ended may be: longer than any
	// operation but a copy takes with all its retries.
	DefaultOldCommand = 5 * time.Minute
	// DefaultStuckAfter is how long a volume may stand in one state that it ought to leave.
	DefaultStuckAfter = 10 * time.Minute
	// DefaultProject is whose subjects are tried.
	DefaultProject = "default"
)

// Options say how closely to look. Zero values take the defaults.
type Options struct {
	Timeout    time.Duration
	OldCommand time.Duration
	StuckAfter time.Duration
	// Project is the one whose subjects the user should be allowed to use.
	Project string
	// APIPrefix is where the JetStream API is, with its final dot; empty means
	// [jetstream.DefaultAPIPrefix].
	APIPrefix string
	// Roles are those that the user must be able to fill; the others are only told.
	Roles []Role
	// Monitor are the URLs of the servers' monitoring ports, http://HOST:8222. What only
	// they show is unknown without.
	Monitor []string
	// Deep looks at all volumes, not only at those that were changed longest ago.
	Deep bool
	// Backends are asked how they are. Without any, the workers are.
	Backends []Backend
	// Now is the clock of this machine; nil means [time.Now].
	Now func() time.Time
	// HTTP is the client for Monitor; nil means one that keeps no connection.
	HTTP *http.Client
}

// Backend is a backend that can be asked how it is.
type Backend struct {
	Name string
	// Health returns the driver with its version, or the error that users would meet.
	Health func(ctx context.Context) (string, error)
}

func (o Options) withDefaults() Options {
	o.Timeout = cmp.Or(o.Timeout, DefaultTimeout)
	o.OldCommand = cmp.Or(o.OldCommand, DefaultOldCommand)
	o.StuckAfter = cmp.Or(o.StuckAfter, DefaultStuckAfter)
	o.Project = cmp.Or(o.Project, DefaultProject)
	o.APIPrefix = cmp.Or(o.APIPrefix, jetstream.DefaultAPIPrefix)
	if o.Now == nil {
		o.Now = time.Now
	}
	if o.HTTP == nil {
		o.HTTP = &http.Client{Transport: &http.Transport{Proxy: http.ProxyFromEnvironment, DisableKeepAlives: true}}
	}
	return o
}

// Examine makes all checks, one after another, and reports what they found. It changes
// nothing. The connection must not be used by anybody else meanwhile. What cannot be found
// out, because ctx ended or the user may not ask, is a finding too.
func Examine(ctx context.Context, conn *nats.Conn, options Options) Report {
	options = options.withDefaults()
	e := &examination{Options: options, session: session{conn, options.Timeout}}
	e.js, e.openErr = jetstream.NewWithAPIPrefix(conn, options.APIPrefix, jetstream.WithDefaultTimeout(options.Timeout))
	e.gather(ctx)
	var findings []Finding
	for _, c := range checks {
		inspection := inspections[c.Name]
		if inspection.needsJetStream && !e.hasJetStream() {
			continue // which the check of the connection tells
		}
		findings = append(findings, inspection.run(ctx, e)...)
	}
	return newReport(findings)
}

// Unreachable is the report if there is no connection, for the reason given.
func Unreachable(reason error) Report {
	return newReport([]Finding{note("connectivity.unreachable", Finding{Text: reason.Error()})})
}
