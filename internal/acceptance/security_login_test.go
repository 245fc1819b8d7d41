package acceptance

import (
	"fmt"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/nats-io/jsm.go/natscontext"
	"github.com/nats-io/jwt/v2"
	"github.com/nats-io/nkeys"

	"github.com/jetvol/jetvol/internal/natstest"
)

// login is a way to say who one is: what the server's file says of it, and what the
// client shows, right and wrong.
type login struct {
	name, config string
	flags        string
	context      []natscontext.Option
	wrong        map[string]string // flags to what is said then
}

const jetStreamOn = "jetstream: enabled\n"

// logins are all ways that the documents name.
func logins(t *testing.T) []login {
	t.Helper()
	ours, theirs := newAuthority(t, "ours"), newAuthority(t, "theirs")
	serverCert, serverKey := ours.issue(t, "server")
	cert, key := ours.issue(t, "client")
	theirCert, theirKey := theirs.issue(t, "client")
	encrypted := fmt.Sprintf("tls { cert_file: %q, key_file: %q }\n", serverCert, serverKey)
	verified := fmt.Sprintf("tls { cert_file: %q, key_file: %q, ca_file: %q, verify: true }\n", serverCert, serverKey, ours.file)
	const refused, distrusted = "Authorization Violation", "tls"
	trust := " --tlsca " + ours.file + " "
	seed, public := userKey(t)
	otherSeed, _ := userKey(t)
	operator, creds, otherCreds := accountByJWT(t)
	return []login{
		{
			name: "user and password over TLS", config: encrypted + jetStreamOn + "authorization { user: ann, password: secret }",
			flags:   trust + "--user ann --password secret",
			context: []natscontext.Option{natscontext.WithCA(ours.file), natscontext.WithUser("ann"), natscontext.WithPassword("secret")},
			wrong: map[string]string{
				trust + "--user ann --password wrong": refused,
				trust:                                 refused,
				"--user ann --password secret":        distrusted,
				"--tlsca " + theirs.file + " --user ann --password secret": distrusted,
			},
		},
		{
			name: "client certificate", config: verified + jetStreamOn,
			flags:   trust + "--tlscert " + cert + " --tlskey " + key,
			context: []natscontext.Option{natscontext.WithCA(ours.file), natscontext.WithCertificate(cert), natscontext.WithKey(key)},
			wrong: map[string]string{
				trust: distrusted,
				trust + "--tlscert " + theirCert + " --tlskey " + theirKey: distrusted,
			},
		},
		{
			name: "nkey", config: jetStreamOn + "authorization { users: [ { nkey: " + public + " } ] }",
			flags: "--nkey " + seed, context: []natscontext.Option{natscontext.WithNKey(seed)},
			wrong: map[string]string{"--nkey " + otherSeed: refused, "": refused},
		},
		{
			name: "credentials file", config: jetStreamOn + operator,
			flags: "--creds " + creds, context: []natscontext.Option{natscontext.WithCreds(creds)},
			wrong: map[string]string{"--creds " + otherCreds: refused, "": refused},
		},
	}
}

// userKey makes an nkey and returns the file of its seed and the public key.
func userKey(t *testing.T) (seedFile, public string) {
	t.Helper()
	pair, err := nkeys.CreateUser()
	if err != nil {
		t.Fatal(err)
	}
	seed, public := keyTexts(t, pair)
	return writeSecret(t, filepath.Join(t.TempDir(), "user.nk"), seed), public
}

func keyTexts(t *testing.T, pair nkeys.KeyPair) (seed []byte, public string) {
	t.Helper()
	seed, err := pair.Seed()
	if err != nil {
		t.Fatal(err)
	}
	if public, err = pair.PublicKey(); err != nil {
		t.Fatal(err)
	}
	return seed, public
}

// accountByJWT makes an operator with an account, and returns the server's part and the
// credentials of a user, and of one whose account the server does not know.
func accountByJWT(t *testing.T) (config, creds, unknown string) {
	t.Helper()
	operator, err := nkeys.CreateOperator()
	if err != nil {
		t.Fatal(err)
	}
	_, operatorKey := keyTexts(t, operator)
	text, err := jwt.NewOperatorClaims(operatorKey).Encode(operator)
	if err != nil {
		t.Fatal(err)
	}
	unlimited := jwt.JetStreamLimits{MemoryStorage: -1, DiskStorage: -1, Streams: -1, Consumer: -1}
	account, accountKey, accountJWT := newAccount(t, operator, unlimited)
	_, systemKey, systemJWT := newAccount(t, operator, jwt.JetStreamLimits{})
	stranger, _, _ := newAccount(t, operator, unlimited)
	config = fmt.Sprintf("operator: %s\nsystem_account: %s\nresolver: MEMORY\nresolver_preload { %s: %s\n %s: %s }\n",
		text, systemKey, accountKey, accountJWT, systemKey, systemJWT)
	return config, newCreds(t, account), newCreds(t, stranger)
}

func newAccount(t *testing.T, operator nkeys.KeyPair, limits jwt.JetStreamLimits) (pair nkeys.KeyPair, public, text string) {
	t.Helper()
	pair, err := nkeys.CreateAccount()
	if err != nil {
		t.Fatal(err)
	}
	_, public = keyTexts(t, pair)
	claims := jwt.NewAccountClaims(public)
	claims.Limits.JetStreamLimits = limits
	if text, err = claims.Encode(operator); err != nil {
		t.Fatal(err)
	}
	return pair, public, text
}

func newCreds(t *testing.T, account nkeys.KeyPair) string {
	t.Helper()
	pair, err := nkeys.CreateUser()
	if err != nil {
		t.Fatal(err)
	}
	seed, public := keyTexts(t, pair)
	text, err := jwt.NewUserClaims(public).Encode(account)
	if err != nil {
		t.Fatal(err)
	}
	file, err := jwt.FormatUserConfig(text, seed)
	if err != nil {
		t.Fatal(err)
	}
	return writeSecret(t, filepath.Join(t.TempDir(), "user.creds"), file)
}

// Worker and CLI log in by every way, by flags and by a context of the nats CLI, and are
// told clearly if the server does not let them in.
func TestSecurity_Login_EveryWayWorksAndWrongOnesAreTold(t *testing.T) {
	dependOnSources(t)
	for _, way := range logins(t) {
		t.Run(way.name, func(t *testing.T) {
			home := t.TempDir()
			t.Setenv("XDG_CONFIG_HOME", home)
			file := writeSecret(t, filepath.Join(home, "nats.conf"), []byte(way.config))
			s := &server{url: natstest.Start(t, natstest.WithConfigFile(file)).URL(), workDir: home}
			saveContext(t, "way", append(way.context, natscontext.WithServerURL(s.url))...)
			worker := startProgram(t, s, s.url, "exec jetvol worker --dir "+dataDir+" "+way.flags)
			worker.until(func(printed string) bool { return strings.Contains(printed, "jetvol worker ready") })
			for i, flags := range []string{way.flags, "--context way"} {
				printed := s.shell(t, fmt.Sprintf("jetvol volume create v%d --size 1MiB %s", i, flags))
				if !strings.Contains(printed, "available (generation 2)") {
					t.Errorf("flags %q: got %q", flags, printed)
				}
			}
			for flags, want := range way.wrong {
				for _, command := range []string{"volume list ", "worker --dir other "} {
					wantFailed(t, s, "jetvol "+command+flags, want)
				}
			}
		})
	}
}

// wantFailed wants exit code 1, which says that trying again does not help.
func wantFailed(t *testing.T, s *server, command, want string) {
	t.Helper()
	printed, err := startProgram(t, s, s.url, command).end()
	ended, isExit := err.(*exec.ExitError)
	if !isExit || ended.ExitCode() != 1 || !strings.HasPrefix(printed, "failed: connect to") || !strings.Contains(printed, want) {
		t.Errorf("$ %s: %v\n%s\nwant exit code 1 and %q", command, err, printed, want)
	}
}
