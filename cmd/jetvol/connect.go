package main

import (
	"errors"
	"fmt"
	"net"
	"net/url"
	"os"
	"slices"
	"strings"
	"time"

	"github.com/nats-io/jsm.go/natscontext"
	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"
	"github.com/spf13/pflag"

	"github.com/jetvol/jetvol/volume"
)

const defaultTimeout = 5 * time.Second

// A server that does not answer so many pings is left for another; by the client's own
// default a stopped one would be noticed after four minutes.
const (
	pingInterval = 2 * time.Second
	maxPings     = 2
)

// connection says how to reach the server. Each setting is taken from its flag, else
// from its environment variable, else from the context of the nats CLI, which is the one
// named by --context or the selected one, else from the default.
//
// The selected context is not used at all if a server is named: its credentials are for
// its own servers.
type connection struct {
	server, context               string
	user, password, creds, nkey   string
	tlsCert, tlsKey, tlsAuthority string
	inboxPrefix, apiPrefix        string
	timeout                       time.Duration
}

// credentialFlags are ways to say who one is, of which one can be used at a time.
var credentialFlags = []string{"user", "creds", "nkey"}

// setting is a flag with its environment variable, named as in the nats CLI.
type setting struct {
	value                  *string
	flag, short, env, help string
	// proof is the credential flag that the setting belongs to, if any.
	proof string
}

func (c *connection) settings() []setting {
	return []setting{
		{value: &c.server, flag: "server", short: "s", env: "NATS_URL", help: "NATS server URLs, default " + nats.DefaultURL},
		{value: &c.context, flag: "context", env: "NATS_CONTEXT", help: "context of the nats CLI, default the selected one"},
		{value: &c.user, flag: "user", env: "NATS_USER", help: "user name, or a token if there is no password", proof: "user"},
		{value: &c.password, flag: "password", env: "NATS_PASSWORD", help: "password", proof: "user"},
		{value: &c.creds, flag: "creds", env: "NATS_CREDS", help: "file with user credentials", proof: "creds"},
		{value: &c.nkey, flag: "nkey", env: "NATS_NKEY", help: "file with the seed of a user nkey", proof: "nkey"},
		{value: &c.tlsCert, flag: "tlscert", env: "NATS_CERT", help: "file with the client's TLS certificate"},
		{value: &c.tlsKey, flag: "tlskey", env: "NATS_KEY", help: "file with the client's TLS key"},
		{value: &c.tlsAuthority, flag: "tlsca", env: "NATS_CA", help: "file with the TLS authorities to trust"},
		{value: &c.inboxPrefix, flag: "inbox-prefix", env: "NATS_INBOX_PREFIX", help: "subject below which answers come, default _INBOX"},
		{value: &c.apiPrefix, flag: "js-api-prefix", env: "NATS_JS_API_PREFIX", help: "subject of the JetStream API, if it is another account's, default $JS.API"},
	}
}

func (c *connection) register(flags *pflag.FlagSet) {
	for _, s := range c.settings() {
		flags.StringVarP(s.value, s.flag, s.short, "", s.help+" ($"+s.env+")")
	}
	flags.DurationVar(&c.timeout, "timeout", defaultTimeout, "of the connection and of each request ($NATS_TIMEOUT)")
}

// readEnvironment fills in what no flag has said.
func (c *connection) readEnvironment(flags *pflag.FlagSet) error {
	byFlag := ""
	for _, name := range credentialFlags {
		if flags.Changed(name) {
			byFlag = name
		}
	}
	for _, s := range c.settings() {
		value := os.Getenv(s.env)
		otherProof := s.proof != "" && byFlag != "" && s.proof != byFlag
		if value != "" && !flags.Changed(s.flag) && !otherProof {
			*s.value = value
		}
	}
	text := os.Getenv("NATS_TIMEOUT")
	if text == "" || flags.Changed("timeout") {
		return nil
	}
	timeout, err := time.ParseDuration(text)
	if err != nil {
		return usagef("NATS_TIMEOUT %q: want a duration like 5s", text)
	}
	c.timeout = timeout
	return nil
}

// connect returns a connection to the server. It returns a usageError for settings that
// make no sense, a [volume.FailedPrecondition] if the server refuses the credentials and
// a [volume.Unavailable] if it cannot be reached.
func (a *app) connect(flags *pflag.FlagSet, extra ...nats.Option) (*nats.Conn, error) {
	c := &a.connection
	if err := c.readEnvironment(flags); err != nil {
		return nil, err
	}
	if c.timeout <= 0 {
		return nil, usagef("timeout %s: want more than 0", c.timeout)
	}
	for flag, prefix := range map[string]string{"inbox-prefix": c.inboxPrefix, "js-api-prefix": c.apiPrefix} {
		if err := validatePrefix(flag, prefix); err != nil {
			return nil, err
		}
	}
	base, err := c.loadContext()
	if err != nil {
		return nil, err
	}
	options, err := base.NATSOptions(c.options()...)
	if err != nil {
		return nil, fmt.Errorf("connect with context %q: %w", base.Name, err)
	}
	servers := c.server
	if servers == "" {
		servers = base.ServerURL()
	}
	options = append(options, nats.PingInterval(pingInterval), nats.MaxPingsOutstanding(maxPings))
	conn, err := nats.Connect(servers, append(options, extra...)...)
	if err != nil {
		return nil, explainConnect(servers, err)
	}
	return conn, nil
}

// validatePrefix returns a usageError for what is no subject. The client library looks at
// it too, but what it says is told like a server that cannot be reached.
func validatePrefix(flag, prefix string) error {
	if prefix == "" {
		return nil
	}
	for token := range strings.SplitSeq(prefix, ".") {
		if token == "" || strings.ContainsAny(token, "*> \t\r\n") {
			return usagef("%s %q: want a subject without wildcards", flag, prefix)
		}
	}
	return nil
}

// openJetStream connects and returns the connection with its JetStream.
func (a *app) openJetStream(flags *pflag.FlagSet, extra ...nats.Option) (*nats.Conn, jetstream.JetStream, error) {
	conn, err := a.connect(flags, extra...)
	if err != nil {
		return nil, nil, err
	}
	js, err := a.connection.jetStream(conn)
	if err != nil {
		conn.Close()
		return nil, nil, fmt.Errorf("open jetstream: %w", err)
	}
	return conn, js, nil
}

func (c *connection) jetStream(conn *nats.Conn) (jetstream.JetStream, error) {
	timeout := jetstream.WithDefaultTimeout(c.timeout)
	if c.apiPrefix != "" {
		return jetstream.NewWithAPIPrefix(conn, c.apiPrefix, timeout)
	}
	return jetstream.New(conn, timeout)
}

// connectHome is connect for what has to be in the account of the streams. It returns a
// [volume.Unsupported] if the API is said to be that of another account.
func (a *app) connectHome(flags *pflag.FlagSet, extra ...nats.Option) (*nats.Conn, error) {
	conn, err := a.connect(flags, extra...)
	if err == nil && a.connection.apiPrefix != "" {
		conn.Close()
		return nil, fmt.Errorf("JetStream API of another account (%s): %w", a.connection.apiPrefix, volume.Unsupported)
	}
	return conn, err
}

// loadContext returns the context to start from, which is empty if none applies.
func (c *connection) loadContext() (*natscontext.Context, error) {
	name := c.context
	switch {
	case name != "" && !natscontext.IsKnown(name):
		return nil, usagef("context %q: not known, there are %q", name, knownContexts())
	case name == "" && c.server == "":
		name = natscontext.SelectedContext()
	}
	loaded, err := natscontext.New(name, name != "")
	if err != nil {
		return nil, fmt.Errorf("load context %q: %w", name, err)
	}
	if loaded.JSDomain() != "" {
		return nil, fmt.Errorf("load context %q: a JetStream domain: %w", name, volume.Unsupported)
	}
	if c.apiPrefix == "" {
		c.apiPrefix = loaded.JSAPIPrefix()
	}
	return loaded, nil
}

func knownContexts() []string { return natscontext.KnownContexts() }

// options returns what flags and environment add to a context.
func (c *connection) options() []nats.Option {
	options := []nats.Option{nats.Name("jetvol"), nats.Timeout(c.timeout)}
	if c.user != "" || c.creds != "" || c.nkey != "" {
		options = append(options, withoutCredentials, c.credentials())
	}
	if c.tlsCert != "" || c.tlsKey != "" {
		options = append(options, nats.ClientCert(c.tlsCert, c.tlsKey))
	}
	if c.tlsAuthority != "" {
		options = append(options, nats.RootCAs(c.tlsAuthority))
	}
	if c.inboxPrefix != "" {
		options = append(options, nats.CustomInboxPrefix(c.inboxPrefix))
	}
	return options
}

// withoutCredentials takes those of the context away: the server would be shown both.
func withoutCredentials(o *nats.Options) error {
	o.User, o.Password, o.Token = "", "", ""
	o.Nkey, o.UserJWT, o.SignatureCB = "", nil, nil
	return nil
}

func (c *connection) credentials() nats.Option {
	switch {
	case c.user != "" && c.password == "":
		return nats.Token(c.user)
	case c.user != "":
		return nats.UserInfo(c.user, c.password)
	case c.creds != "":
		return nats.UserCredentials(c.creds)
	}
	return func(o *nats.Options) error {
		option, err := nats.NkeyOptionFromSeed(c.nkey)
		if err != nil {
			return err
		}
		return option(o)
	}
}

// refusals are the errors of a server that was reached and said no.
var refusals = []error{
	nats.ErrAuthorization, nats.ErrAuthExpired, nats.ErrAuthRevoked, nats.ErrAccountAuthExpired,
	nats.ErrSecureConnRequired, nats.ErrSecureConnWanted, nats.ErrTLS,
}

// sentAlert reports whether the server broke the TLS handshake off and said why, as with a
// client's certificate that it does not take.
func sentAlert(err error) bool {
	operation, ok := errors.AsType[*net.OpError](err)
	return ok && operation.Op == "remote error" // by crypto/tls
}

func explainConnect(servers string, err error) error {
	refused := func(refusal error) bool { return errors.Is(err, refusal) }
	switch where := redacted(servers); {
	case slices.ContainsFunc(refusals, refused), sentAlert(err):
		return fmt.Errorf("connect to %s: %w: %w", where, err, volume.FailedPrecondition)
	case errors.Is(err, nats.ErrNoServers):
		return fmt.Errorf("connect to %s: no server answers there (jetvol up starts one): %w", where, volume.Unavailable)
	case errors.Is(err, os.ErrNotExist), errors.Is(err, os.ErrPermission):
		return &usageError{cause: err}
	default:
		return fmt.Errorf("connect to %s: %w: %w", where, err, volume.Unavailable)
	}
}

// redacted returns the server URLs without user names and passwords.
func redacted(servers string) string {
	var shown []string
	for server := range strings.SplitSeq(servers, ",") {
		server = strings.TrimSpace(server)
		if !strings.Contains(server, "://") {
			server = "nats://" + server
		}
		parsed, err := url.Parse(server)
		if err != nil {
			return "servers that are no URLs"
		}
		parsed.User = nil
		shown = append(shown, parsed.String())
	}
	return strings.Join(shown, ",")
}
