package embednats_test

import (
	"bufio"
	"bytes"
	"context"
	"errors"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"
	"github.com/rs/zerolog"

	"github.com/jetvol/jetvol/internal/embednats"
	"github.com/jetvol/jetvol/volume"
)

// holdDirectory makes the test binary a process that holds this directory; see TestMain.
const holdDirectory = "JETVOL_TEST_HOLD_DIRECTORY"

func TestMain(m *testing.M) {
	if dir := os.Getenv(holdDirectory); dir != "" {
		hold(dir)
	}
	os.Exit(m.Run())
}

// hold runs a server, tells its address and waits for the end by a signal.
func hold(dir string) {
	server, err := embednats.Start(embednats.Options{Dir: dir, Listen: ":0"})
	if err != nil {
		panic(err)
	}
	if _, err := os.Stdout.WriteString(server.URL() + "\n"); err != nil {
		panic(err)
	}
	select {}
}

func start(t *testing.T, opts embednats.Options) *embednats.Server {
	t.Helper()
	server, err := embednats.Start(opts)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { shutdown(t, server) })
	return server
}

func shutdown(t *testing.T, server *embednats.Server) {
	t.Helper()
	if err := server.Shutdown(context.Background()); err != nil {
		t.Error(err)
	}
}

func TestStart_ConnectedInProcessAndByTCP_SameServer(t *testing.T) {
	server := start(t, embednats.Options{Dir: t.TempDir(), Listen: ":0", ServerName: "one", SyncAlways: true})
	if !strings.HasPrefix(server.URL(), "nats://127.0.0.1:") {
		t.Errorf("url: got %s, want the loopback address", server.URL())
	}
	inside, err := server.Connect(nats.Name("inside"))
	if err != nil {
		t.Fatal(err)
	}
	defer inside.Close()
	outside, err := nats.Connect(server.URL())
	if err != nil {
		t.Fatal(err)
	}
	defer outside.Close()
	if inside.ConnectedServerName() != "one" || outside.ConnectedServerName() != "one" {
		t.Errorf("server names: got %q and %q, want one", inside.ConnectedServerName(), outside.ConnectedServerName())
	}
	js, err := jetstream.New(inside)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := js.AccountInfo(t.Context()); err != nil {
		t.Errorf("jetstream: %v", err)
	}
}

func TestStart_BadOptions_InvalidArgument(t *testing.T) {
	const one = "127.0.0.1:29999" // is not listened on
	cluster := func(name, listen string, routes ...string) *embednats.Cluster {
		return &embednats.Cluster{Name: name, Listen: listen, Routes: routes}
	}
	dir := t.TempDir()
	tests := map[string]embednats.Options{
		"no directory":      {Listen: ":0"},
		"no port":           {Dir: dir, Listen: "127.0.0.1"},
		"port out of range": {Dir: dir, Listen: ":65536"},
		"negative port":     {Dir: dir, Listen: ":-1"},
		"port not a number": {Dir: dir, Listen: ":nats"},
		"name with a space": {Dir: dir, Listen: ":0", ServerName: "a b"},

		"cluster without a name":        {Dir: dir, Listen: ":0", ServerName: "n1", Cluster: cluster("", one, one)},
		"cluster without an address":    {Dir: dir, Listen: ":0", ServerName: "n1", Cluster: cluster("c", "", one)},
		"cluster on any port":           {Dir: dir, Listen: ":0", ServerName: "n1", Cluster: cluster("c", "127.0.0.1:0", one)},
		"cluster without routes":        {Dir: dir, Listen: ":0", ServerName: "n1", Cluster: cluster("c", one)},
		"cluster with a bad route":      {Dir: dir, Listen: ":0", ServerName: "n1", Cluster: cluster("c", one, one, "n2")},
		"cluster of a nameless server":  {Dir: dir, Listen: ":0", Cluster: cluster("c", one, one)},
		"cluster with a bad listen":     {Dir: dir, Listen: ":0", ServerName: "n1", Cluster: cluster("c", "n1", one)},
		"cluster with a bad route port": {Dir: dir, Listen: ":0", ServerName: "n1", Cluster: cluster("c", one, ":99999")},
	}
	for name, opts := range tests {
		t.Run(name, func(t *testing.T) {
			server, err := embednats.Start(opts)
			if !errors.Is(err, volume.ErrInvalidArgument) {
				t.Errorf("got %v, want invalid_argument", err)
			}
			if server != nil {
				shutdown(t, server)
			}
		})
	}
}

func TestStart_DirectoryIsAFile_SystemError(t *testing.T) {
	file := filepath.Join(t.TempDir(), "file")
	if err := os.WriteFile(file, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	if _, err := embednats.Start(embednats.Options{Dir: file, Listen: ":0"}); !errors.As(err, new(*os.PathError)) {
		t.Errorf("got %v, want a path error", err)
	}
}

func TestStart_StoreNotUsable_InternalWithTheServersWords(t *testing.T) {
	dir := t.TempDir()
	if err := os.WriteFile(filepath.Join(dir, "jetstream"), nil, 0o600); err != nil {
		t.Fatal(err)
	}
	_, err := embednats.Start(embednats.Options{Dir: dir, Listen: ":0"})
	if !errors.Is(err, volume.ErrInternal) || !strings.Contains(err.Error(), "JetStream") {
		t.Errorf("got %v, want internal with the server's reason", err)
	}
}

func TestStart_PortTaken_AddressInUseAndDirectoryFree(t *testing.T) {
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	dir, address := t.TempDir(), listener.Addr().String()
	_, err = embednats.Start(embednats.Options{Dir: dir, Listen: address})
	if !errors.Is(err, embednats.ErrAddressInUse) || !errors.Is(err, volume.Busy) {
		t.Fatalf("got %v, want address in use: busy", err)
	}
	if !strings.Contains(err.Error(), address) {
		t.Errorf("got %v, want the address %s named", err, address)
	}
	if err := listener.Close(); err != nil {
		t.Fatal(err)
	}
	start(t, embednats.Options{Dir: dir, Listen: address})
}

func TestStart_RoutePortTaken_AddressInUse(t *testing.T) {
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer listener.Close()
	address := listener.Addr().String()
	_, err = embednats.Start(embednats.Options{
		Dir: t.TempDir(), Listen: ":0", ServerName: "n1",
		Cluster: &embednats.Cluster{Name: "c", Listen: address, Routes: []string{address}},
	})
	if !errors.Is(err, embednats.ErrAddressInUse) || !strings.Contains(err.Error(), address) {
		t.Errorf("got %v, want %s in use", err, address)
	}
}

func TestFreeAddresses_NeverTheSameTwice(t *testing.T) {
	seen := map[string]bool{}
	for range 20 {
		addresses, err := embednats.FreeAddresses(t.Context(), 6)
		if err != nil || len(addresses) != 6 {
			t.Fatalf("got %q, %v, want six", addresses, err)
		}
		for _, address := range addresses {
			if seen[address] || !strings.HasPrefix(address, "127.0.0.1:2") {
				t.Errorf("got %s, want another one below the ephemeral ports", address)
			}
			seen[address] = true
		}
	}
}

func TestAwaitReplicas_OneServer_TellsWhyNot(t *testing.T) {
	server := start(t, embednats.Options{Dir: t.TempDir(), Listen: ":0"})
	conn, err := server.Connect()
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	js, err := jetstream.New(conn)
	if err != nil {
		t.Fatal(err)
	}
	if err := embednats.AwaitReplicas(t.Context(), js, 1); err != nil {
		t.Errorf("one replica: %v", err)
	}
	short, cancel := context.WithTimeout(t.Context(), 200*time.Millisecond)
	defer cancel()
	err = embednats.AwaitReplicas(short, js, 3)
	if !errors.Is(err, context.DeadlineExceeded) || !strings.Contains(err.Error(), "replicas > 1 not supported") {
		t.Errorf("three replicas: got %v, want the server's reason", err)
	}
	if _, err := embednats.LeaderOf(t.Context(), js, "MISSING"); !errors.Is(err, jetstream.ErrStreamNotFound) {
		t.Errorf("leader: got %v, want that there is no such stream", err)
	}
}

func TestStart_SameDirectoryInOneProcess_InUse(t *testing.T) {
	dir := t.TempDir()
	start(t, embednats.Options{Dir: dir, Listen: ":0"})
	if _, err := embednats.Start(embednats.Options{Dir: dir, Listen: ":0"}); !errors.Is(err, embednats.ErrDirectoryInUse) {
		t.Errorf("got %v, want directory in use", err)
	}
}

func TestStart_DirectoryHeldByProcess_InUseUntilKilled(t *testing.T) {
	dir := t.TempDir()
	holder := exec.Command(os.Args[0])
	holder.Env = append(os.Environ(), holdDirectory+"="+dir)
	stdout, err := holder.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := holder.Start(); err != nil {
		t.Fatal(err)
	}
	ready, readErr := bufio.NewReader(stdout).ReadString('\n')

	_, err = embednats.Start(embednats.Options{Dir: dir, Listen: ":0"})
	if killErr := holder.Process.Kill(); killErr != nil { // SIGKILL
		t.Fatal(killErr)
	}
	if waitErr := holder.Wait(); waitErr == nil {
		t.Error("the holder ended by itself, want it killed")
	}
	if readErr != nil {
		t.Fatalf("holder: got %q, %v, want its url", ready, readErr)
	}
	if !errors.Is(err, embednats.ErrDirectoryInUse) || !errors.Is(err, volume.Busy) {
		t.Errorf("while held: got %v, want directory in use: busy", err)
	}
	start(t, embednats.Options{Dir: dir, Listen: ":0"})
}

func TestShutdown_ContextEnded_ErrorAndStillStops(t *testing.T) {
	dir := t.TempDir()
	server := start(t, embednats.Options{Dir: dir, Listen: ":0"})
	ended, cancel := context.WithCancel(t.Context())
	cancel()
	// Both ways may be ready at once, so a nil error is right too.
	if err := server.Shutdown(ended); err != nil && !errors.Is(err, context.Canceled) {
		t.Errorf("got %v, want canceled", err)
	}
	shutdown(t, server)
	if conn, err := server.Connect(); err == nil {
		conn.Close()
		t.Error("connected in process to a stopped server")
	}
	start(t, embednats.Options{Dir: dir, Listen: ":0"})
}

func TestStart_Logger_GetsTheServersLinesAtDebug(t *testing.T) {
	var log lockedBuffer
	server := start(t, embednats.Options{Dir: t.TempDir(), Listen: ":0", Logger: zerolog.New(&log)})
	shutdown(t, server)
	text := log.String()
	if !strings.Contains(text, `"level":"debug","line":"Server is ready"`) {
		t.Errorf("got %s, want the server's lines at debug", text)
	}
	if strings.Contains(text, `"level":"error"`) {
		t.Errorf("got %s, want no error", text)
	}
}

// lockedBuffer is a log that the server's goroutines may write at the same time.
type lockedBuffer struct {
	mu  sync.Mutex // guards buf
	buf bytes.Buffer
}

func (b *lockedBuffer) Write(p []byte) (int, error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.buf.Write(p)
}

func (b *lockedBuffer) String() string {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.buf.String()
}
