package main

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/nats-io/jsm.go/natscontext"
	"github.com/nats-io/nats-server/v2/server"
	"github.com/nats-io/nats.go"
	"github.com/spf13/pflag"

	"github.com/jetvol/jetvol/internal/natstest"
)

func publishJunk(t *testing.T, url string) {
	t.Helper()
	_, js := natstest.Dial(t, url)
	if _, err := js.Publish(t.Context(), "volume.tx.default.db-00.ready", []byte("junk")); err != nil {
		t.Fatal(err)
	}
}

// guarded runs a server that lets in only who knows the user's password or the token.
func guarded(t *testing.T, options *server.Options) string {
	t.Helper()
	options.Host, options.Port, options.NoSigs, options.NoLog = "127.0.0.1", server.RANDOM_PORT, true, true
	s, err := server.NewServer(options)
	if err != nil {
		t.Fatal(err)
	}
	s.Start()
	t.Cleanup(func() {
		s.Shutdown()
		s.WaitForShutdown()
	})
	return s.ClientURL()
}

// contexts makes an empty home for contexts of the nats CLI.
func contexts(t *testing.T) {
	t.Helper()
	t.Setenv("XDG_CONFIG_HOME", t.TempDir())
}

func save(t *testing.T, name string, options ...natscontext.Option) {
	t.Helper()
	made, err := natscontext.New(name, false, options...)
	if err != nil {
		t.Fatal(err)
	}
	if err := made.Save(name); err != nil {
		t.Fatal(err)
	}
}

// connected reports whether the flags lead to a server, and the error if not.
func connected(t *testing.T, args ...string) error {
	t.Helper()
	conn, err := connectWith(t, args...)
	if err == nil {
		conn.Close()
	}
	return err
}

// connectWith returns the connection to which the flags lead.
func connectWith(t *testing.T, args ...string) (*nats.Conn, error) {
	t.Helper()
	a := &app{}
	flags := pflag.NewFlagSet("test", pflag.ContinueOnError)
	a.connection.register(flags)
	if err := flags.Parse(args); err != nil {
		t.Fatal(err)
	}
	return a.connect(flags)
}

func TestConnect_ServerPrecedence_FlagEnvironmentContextSelected(t *testing.T) {
	live := natstest.Start(t).URL()
	for _, test := range []struct {
		name               string
		env                map[string]string
		named, selected    string // server of the context
		flag               string
		useNamed, succeeds bool
	}{
		{name: "flag over all", env: map[string]string{"NATS_URL": deadServer}, named: deadServer, selected: deadServer, flag: live, useNamed: true, succeeds: true},
		{name: "dead flag over all", env: map[string]string{"NATS_URL": live}, named: live, selected: live, flag: deadServer, useNamed: true},
		{name: "environment over contexts", env: map[string]string{"NATS_URL": live}, named: deadServer, selected: deadServer, useNamed: true, succeeds: true},
		{name: "dead environment over contexts", env: map[string]string{"NATS_URL": deadServer}, named: live, selected: live, useNamed: true},
		{name: "named context over selected", named: live, selected: deadServer, useNamed: true, succeeds: true},
		{name: "dead named context over selected", named: deadServer, selected: live, useNamed: true},
		{name: "context named by environment", env: map[string]string{"NATS_CONTEXT": "named"}, named: live, selected: deadServer, succeeds: true},
		{name: "selected context", named: deadServer, selected: live, succeeds: true},
		{name: "dead selected context", named: live, selected: deadServer},
	} {
		t.Run(test.name, func(t *testing.T) {
			contexts(t)
			save(t, "named", natscontext.WithServerURL(test.named))
			save(t, "selected", natscontext.WithServerURL(test.selected))
			if err := natscontext.SelectContext("selected"); err != nil {
				t.Fatal(err)
			}
			for name, value := range test.env {
				t.Setenv(name, value)
			}
			args := []string{"--timeout", "1s"}
			if test.flag != "" {
				args = append(args, "--server", test.flag)
			}
			if test.useNamed {
				args = append(args, "--context", "named")
			}
			if err := connected(t, args...); (err == nil) != test.succeeds {
				t.Errorf("got %v, want success %v", err, test.succeeds)
			}
		})
	}
}

func TestConnect_Credentials_FlagEnvironmentContext(t *testing.T) {
	byPassword := guarded(t, &server.Options{Username: "ann", Password: "secret"})
	byToken := guarded(t, &server.Options{Authorization: "t0ken"})
	for _, test := range []struct {
		name    string
		context []natscontext.Option
		env     map[string]string
		args    string
		code    int
	}{
		{"none", nil, nil, "-s " + byPassword, exitFailed},
		{"flags", nil, nil, "-s " + byPassword + " --user ann --password secret", exitSucceeded},
		{"wrong flags", nil, nil, "-s " + byPassword + " --user ann --password wrong", exitFailed},
		{"token", nil, nil, "-s " + byToken + " --user t0ken", exitSucceeded},
		{"password from the environment", nil, map[string]string{"NATS_PASSWORD": "secret"}, "-s " + byPassword + " --user ann", exitSucceeded},
		{"environment", nil, map[string]string{"NATS_USER": "ann", "NATS_PASSWORD": "secret"}, "-s " + byPassword, exitSucceeded},
		{"flag over environment", nil, map[string]string{"NATS_USER": "bob", "NATS_PASSWORD": "secret"}, "-s " + byPassword + " --user ann", exitSucceeded},
		{"other kind of flag over environment", nil, map[string]string{"NATS_CREDS": "/nowhere"}, "-s " + byPassword + " --user ann --password secret", exitSucceeded},
		{"context", []natscontext.Option{natscontext.WithServerURL(byPassword), natscontext.WithUser("ann"), natscontext.WithPassword("secret")}, nil, "--context guarded", exitSucceeded},
		{"flags over context", []natscontext.Option{natscontext.WithServerURL(byPassword), natscontext.WithUser("bob"), natscontext.WithPassword("x")}, nil, "--context guarded --user ann --password secret", exitSucceeded},
		{"token over the context's user", []natscontext.Option{natscontext.WithServerURL(byToken), natscontext.WithUser("bob"), natscontext.WithPassword("x")}, nil, "--context guarded --user t0ken", exitSucceeded},
		{"missing nkey file", nil, nil, "-s " + byPassword + " --nkey /nowhere/seed", exitUsage},
		{"missing authority file", nil, nil, "-s " + byPassword + " --tlsca /nowhere/ca.pem", exitUsage},
		{"missing certificate file", nil, nil, "-s " + byPassword + " --tlscert /nowhere/c.pem --tlskey /nowhere/k.pem", exitUsage},
	} {
		t.Run(test.name, func(t *testing.T) {
			contexts(t)
			save(t, "guarded", test.context...)
			for name, value := range test.env {
				t.Setenv(name, value)
			}
			err := connected(t, strings.Fields(test.args)...)
			if got := exitCode(err); got != test.code {
				t.Errorf("got exit code %d for %v, want %d", got, err, test.code)
			}
		})
	}
}

// Where answers come must be one's own: users with least privilege read nothing else.
func TestConnect_InboxPrefix_FlagEnvironmentContext(t *testing.T) {
	url := natstest.Start(t).URL()
	for _, test := range []struct {
		name, env, context, flag, want string
	}{
		{name: "none", want: nats.InboxPrefix},
		{name: "context", context: "_INBOX.context", want: "_INBOX.context."},
		{name: "environment over context", env: "_INBOX.env", context: "_INBOX.context", want: "_INBOX.env."},
		{name: "flag over all", env: "_INBOX.env", context: "_INBOX.context", flag: "_INBOX.flag", want: "_INBOX.flag."},
	} {
		t.Run(test.name, func(t *testing.T) {
			contexts(t)
			save(t, "saved", natscontext.WithServerURL(url), natscontext.WithInboxPrefix(test.context))
			t.Setenv("NATS_INBOX_PREFIX", test.env)
			args := []string{"--context", "saved"}
			if test.flag != "" {
				args = append(args, "--inbox-prefix", test.flag)
			}
			conn, err := connectWith(t, args...)
			if err != nil {
				t.Fatal(err)
			}
			defer conn.Close()
			if got := conn.NewInbox(); !strings.HasPrefix(got, test.want) {
				t.Errorf("got inbox %q, want it to begin with %q", got, test.want)
			}
		})
	}
	for _, bad := range []string{"a b", "a.>", "*", "a.", ".a", "a..b"} {
		for _, flag := range []string{"--inbox-prefix", "--js-api-prefix"} {
			if _, err := connectWith(t, "-s", url, flag, bad); exitCode(err) != exitUsage {
				t.Errorf("%s %q: got %v, want a usage error", flag, bad, err)
			}
		}
	}
}

// The streams of another account are read through its API; a worker has to be at home.
func TestConnect_APIPrefix_ReadersUseItWorkersRefuseIt(t *testing.T) {
	url := natstest.Start(t).URL()
	contexts(t)
	save(t, "away", natscontext.WithServerURL(url), natscontext.WithJSAPIPrefix("AWAY.API"))
	jetvol(t, "-s", url, "provision").want(t, exitSucceeded)
	jetvol(t, "-s", url, "--js-api-prefix", "$JS.API", "volume", "list").want(t, exitSucceeded)
	jetvol(t, "--context", "away", "volume", "list").want(t, exitUnavailable)
	jetvol(t, "--context", "away", "worker").want(t, exitFailed, "AWAY.API", "unsupported")
	jetvol(t, "--context", "away", "dead", "list").want(t, exitFailed, "unsupported")
}

// The selected context's password must not go to whatever server is named.
func TestConnect_ServerNamed_SelectedContextKeepsItsPassword(t *testing.T) {
	guard := guarded(t, &server.Options{Username: "ann", Password: "secret"})
	contexts(t)
	save(t, "selected", natscontext.WithServerURL(guard), natscontext.WithUser("ann"), natscontext.WithPassword("secret"))
	if err := natscontext.SelectContext("selected"); err != nil {
		t.Fatal(err)
	}
	if err := connected(t); err != nil {
		t.Errorf("selected: got %v, want nil", err)
	}
	if err := connected(t, "-s", guard); err == nil {
		t.Error("server named: got a connection, want none")
	}
	if err := connected(t, "-s", guard, "--context", "selected"); err != nil {
		t.Errorf("context named as well: got %v, want nil", err)
	}
}

func TestConnect_Flags_WorkBeforeAndAfterSubcommands(t *testing.T) {
	url := natstest.Start(t).URL()
	for _, args := range []string{
		"-s URL provision", "provision -s URL", "--server=URL provision",
		"-s URL volume list", "volume -s URL list", "volume list -s URL", "volume list --server URL --timeout 2s -p default",
		"--timeout 2s -p default volume -s URL list",
	} {
		t.Run(args, func(t *testing.T) {
			jetvol(t, strings.Fields(strings.ReplaceAll(args, "URL", url))...).want(t, exitSucceeded)
		})
	}
}

func TestConnect_Errors_NeverShowPasswords(t *testing.T) {
	for _, url := range []string{"nats://ann:s3cret@127.0.0.1:1", "ann:s3cret@127.0.0.1:1", "nats://127.0.0.1:1,nats://ann:s3cret@127.0.0.1:2"} {
		end := jetvol(t, "-s", url, "volume", "list")
		end.want(t, exitUnavailable, "nats://127.0.0.1:1")
		if strings.Contains(end.stderr, "s3cret") {
			t.Errorf("got %q, want no password", end.stderr)
		}
	}
}

func TestConnect_BadSettings_Usage(t *testing.T) {
	contexts(t)
	t.Setenv("NATS_TIMEOUT", "soon")
	jetvol(t, "volume", "list").want(t, exitUsage, "NATS_TIMEOUT")
	jetvol(t, "--timeout", "1s", "-s", deadServer, "volume", "list").want(t, exitUnavailable)
	t.Setenv("NATS_TIMEOUT", "1s")
	save(t, "one")
	jetvol(t, "--context", "two", "volume", "list").want(t, exitUsage, `there are ["one"]`)
	path := filepath.Join(os.Getenv("XDG_CONFIG_HOME"), "nats", "context", "broken.json")
	if err := os.WriteFile(path, []byte("junk"), 0o600); err != nil {
		t.Fatal(err)
	}
	jetvol(t, "--context", "broken", "volume", "list").want(t, exitFailed, "broken")
	save(t, "domain", natscontext.WithJSDomain("hub"))
	jetvol(t, "--context", "domain", "volume", "list").want(t, exitFailed, "unsupported")
}

func TestCompletion_Values_Offered(t *testing.T) {
	contexts(t)
	save(t, "production")
	for args, want := range map[string]string{
		"volume list --state ":        "creating_failed\n",
		"volume create x --if-state ": "available\n",
		"volume attach x --mode ":     "read-only\n",
		"events --event ":             "reconciled\n",
		"up --backend ":               "null\n",
		"worker --log-level ":         "debug\n",
		"--context ":                  "production\n",
		"volume list --context ":      "production\n",
		"schema ":                     "reply\n",
		"volume ":                     "reconcile\t",
	} {
		t.Run(args, func(t *testing.T) {
			words := append(strings.Fields("__complete "+args), "")
			jetvol(t, words...).want(t, exitSucceeded, want)
		})
	}
	jetvol(t, "completion", "bash").want(t, exitSucceeded, "__start_jetvol")
}
