package doctor_test

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"
	"encoding/pem"
	"fmt"
	"math/big"
	"net"
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/nats-io/nats.go"

	"github.com/jetvol/jetvol/doctor"
)

func TestConnectivity_OtherMachineWithTLS_NoWarning(t *testing.T) {
	cert, key := certificate(t)
	s := configured(t, fmt.Sprintf("tls: {cert_file: %q, key_file: %q}", cert, key))
	report := look(t, connect(t, s.ClientURL(), nats.RootCAs(cert), nats.SetCustomDialer(farDialer{})), doctor.Options{})
	report.want("connectivity.server", "TLS")
	report.none("connectivity.plain_text")
}

// certificate makes a certificate for 127.0.0.1 and returns its file and its key's.
func certificate(t *testing.T) (cert, key string) {
	t.Helper()
	private, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	template := &x509.Certificate{
		SerialNumber: big.NewInt(1), IPAddresses: []net.IP{net.IPv4(127, 0, 0, 1)},
		NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().Add(time.Hour),
		IsCA: true, BasicConstraintsValid: true,
	}
	signed, err := x509.CreateCertificate(rand.Reader, template, template, &private.PublicKey, private)
	if err != nil {
		t.Fatal(err)
	}
	encoded, err := x509.MarshalECPrivateKey(private)
	if err != nil {
		t.Fatal(err)
	}
	write := func(name, kind string, data []byte) string {
		path := filepath.Join(t.TempDir(), name)
		if err := os.WriteFile(path, pem.EncodeToMemory(&pem.Block{Type: kind, Bytes: data}), 0o600); err != nil {
			t.Fatal(err)
		}
		return path
	}
	return write("cert.pem", "CERTIFICATE", signed), write("key.pem", "EC PRIVATE KEY", encoded)
}

// An auditor in another account reaches the API through what is imported there.
func TestExamine_APIPrefix_OtherAccount(t *testing.T) {
	s := configured(t, `accounts {
		JETVOL {
			jetstream: enabled
			users [{user: admin, password: a}]
			exports [{service: "$JS.API.>", response_type: stream}]
		}
		AUDIT {
			users [{user: auditor, password: a, permissions: {
				publish: ["JETVOL.API.STREAM.INFO.*", "JETVOL.API.INFO", "JETVOL.API.STREAM.MSG.GET.*"], subscribe: "_INBOX.>"}}]
			imports [{service: {account: JETVOL, subject: "$JS.API.>"}, to: "JETVOL.API.>"}]
		}
	}`)
	c := admit(t, connect(t, s.ClientURL(), nats.UserInfo("admin", "a")))
	c.provision(1)
	c.work("w1")
	conn := connect(t, s.ClientURL(), nats.UserInfo("auditor", "a"))
	report := look(t, conn, doctor.Options{APIPrefix: "JETVOL.API."})
	report.want("streams.as_wanted", "stream VOLUME_EVENTS")
	report.want("workers.live", "w1")
	report.none("streams.missing", "connectivity.no_jetstream")
	report.want("permissions.lacks", "auditor", "subscribe to volume.event.", "JETVOL.API.CONSUMER.CREATE.VOLUME_EVENTS.")
}
