package lint

import (
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"testing/fstest"
)

// hosts of package mirrors and registries: where a package comes from is the affair of
// the machine that builds. Written so that this file does not contain them.
var hosts = []string{"proxy." + "golang.org", "deb." + "debian.org", "registry." + "npmjs.org"}

// module returns the module's own files.
func module(t *testing.T) fs.FS {
	t.Helper()
	root := filepath.Join("..", "..")
	if _, err := os.Stat(filepath.Join(root, "go.mod")); err != nil {
		t.Fatal(err)
	}
	return os.DirFS(root)
}

func report(t *testing.T, findings []string, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
	for _, finding := range findings {
		t.Error(finding)
	}
}

func TestModule_Imports_PointDownOnly(t *testing.T) {
	files, err := readImporters(module(t))
	if len(files) == 0 {
		t.Fatal("no Go file found")
	}
	report(t, checkImports(files, table), err)
}

func TestModule_Tests_NeverSleep(t *testing.T) {
	findings, err := findSleeps(module(t))
	report(t, findings, err)
}

func TestModule_Files_NameNoMirror(t *testing.T) {
	findings, err := findTexts(module(t), hosts)
	report(t, findings, err)
}

// Each rule once kept and once broken; want is the reason of the finding.
func TestCheckImports_PlantedImports(t *testing.T) {
	const own = modulePath + "/"
	tests := map[string]struct {
		file, imports, want string
	}{
		"down":                         {"worker/worker.go", own + "kv", ""},
		"up":                           {"volume/name.go", own + "fsm", "points up, from layer 0 to 1"},
		"up to the program":            {"kv/bucket.go", own + "cmd/jetvol", "points up, from layer 2 to 6"},
		"sideways":                     {"commands/client.go", own + "events", "points sideways in layer 1"},
		"sideways in a test":           {"commands/client_test.go", own + "events", "points sideways in layer 1"},
		"itself in an external test":   {"commands/client_test.go", own + "commands", ""},
		"test gets its own additions":  {"kv/kv_test.go", own + "internal/provision", ""},
		"additions are for tests only": {"kv/kv.go", own + "internal/provision", "points up, from layer 2 to 3"},
		"test server in a test":        {"events/reader_test.go", own + "internal/natstest", ""},
		"test server outside a test":   {"worker/worker.go", own + "internal/natstest", "for tests only"},
		"test server in the program":   {"cmd/jetvol/main.go", own + "internal/natstest", "for tests only"},
		"own list kept":                {"internal/natstest/natstest.go", own + "internal/embednats", ""},
		"own list broken":              {"internal/telemetry/log.go", own + "worker", "not in the package's own list"},
		"unknown target":               {"worker/worker.go", own + "util", "not in the table"},
		"unknown package":              {"util/util.go", "fmt", `package "util" is not in the table`},

		"standard library":           {"volume/name.go", "encoding/json", ""},
		"vocabulary uses a module":   {"volume/name.go", "github.com/rs/zerolog", "not among the modules"},
		"fsm uses its table":         {"fsm/table.go", stateless, ""},
		"fsm uses the network":       {"fsm/table.go", natsGo, "not among the modules"},
		"client uses nats":           {"commands/client.go", natsGo + "/jetstream", ""},
		"client uses a logger":       {"events/reader.go", "github.com/rs/zerolog", "not among the modules"},
		"a name that begins alike":   {"commands/client.go", natsGo + "extra", "not among the modules"},
		"client's test uses a tool":  {"events/reader_test.go", "pgregory.net/rapid", ""},
		"ceph in its driver":         {"backends/ceph/driver.go", goCeph + "/rbd", ""},
		"ceph elsewhere":             {"backends/local/driver.go", goCeph + "/rbd", "reserved for backends/ceph"},
		"ceph in another's test":     {"worker/worker_test.go", goCeph + "/rados", "reserved for backends/ceph"},
		"nats server where it is":    {"internal/embednats/server.go", natsServer + "/server", ""},
		"nats server in the program": {"cmd/jetvol/up.go", natsServer + "/server", "reserved for internal/embednats"},
		"nats server in a test":      {"events/stream_test.go", natsServer + "/server", ""},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			tree := fstest.MapFS{test.file: goFile(test.imports)}
			files, err := readImporters(tree)
			if err != nil {
				t.Fatal(err)
			}
			expect(t, checkImports(files, table), test.want)
		})
	}
}

func goFile(imports string) *fstest.MapFile {
	return &fstest.MapFile{Data: []byte("//go:build never\n\npackage p\n\nimport _ \"" + imports + "\"\n")}
}

// expect wants no finding if want is empty, else exactly one that contains it.
func expect(t *testing.T, findings []string, want string) {
	t.Helper()
	if want == "" && len(findings) == 0 {
		return
	}
	if want == "" || len(findings) != 1 || !strings.Contains(findings[0], want) {
		t.Errorf("got findings %q, want %q", findings, want)
	}
}

func TestReadImporters_OtherModulesAndTestdata_LeftOut(t *testing.T) {
	files, err := readImporters(fstest.MapFS{
		"volume/name.go":             goFile("fmt"),
		"volume/testdata/planted.go": goFile("fmt"),
		"internal/tools/go.mod":      {},
		"internal/tools/tool/x.go":   goFile("fmt"),
	})
	if err != nil || len(files) != 1 || files[0].file != "volume/name.go" {
		t.Errorf("got %v, %v, want volume/name.go alone", files, err)
	}
}

func TestReadImporters_NoGoSource_Error(t *testing.T) {
	if _, err := readImporters(fstest.MapFS{"volume/name.go": {Data: []byte("no source")}}); err == nil {
		t.Error("got no error for a file that does not parse")
	}
}

func TestFindSleeps_PlantedSleeps(t *testing.T) {
	tests := map[string]struct {
		file, source, want string
	}{
		"none":               {"a_test.go", `import "time"; var d = time.Second`, ""},
		"not in a test":      {"a.go", `import "time"; func f() { time.Sleep(1) }`, ""},
		"another Sleep":      {"a_test.go", `import "time"; var d = time.Second; func f() { clock.Sleep(1) }`, ""},
		"called":             {"a_test.go", `import "time"; func f() { time.Sleep(1) }`, "uses time.Sleep"},
		"as a value":         {"a_test.go", `import "time"; var wait = time.Sleep`, "uses time.Sleep"},
		"under another name": {"a_test.go", `import clock "time"; func f() { clock.Sleep(1) }`, "uses time.Sleep"},
		"without a name":     {"a_test.go", `import . "time"; func f() { Sleep(1) }`, "uses time.Sleep"},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			findings, err := findSleeps(fstest.MapFS{test.file: {Data: []byte("package p; " + test.source)}})
			if err != nil {
				t.Fatal(err)
			}
			expect(t, findings, test.want)
		})
	}
}

func TestFindTexts_PlantedHost(t *testing.T) {
	planted := &fstest.MapFile{Data: []byte("GOPROXY=https://" + hosts[0] + "\n")}
	tests := map[string]string{
		"Makefile":         hosts[0],
		".ci/run":          hosts[0],
		"docs/testdata/x":  hosts[0],
		"bin/jetvol":       "",
		".git/config":      "",
		"jetvol-data/lock": "",
	}
	for name, want := range tests {
		t.Run(name, func(t *testing.T) {
			findings, err := findTexts(fstest.MapFS{name: planted}, hosts)
			if err != nil {
				t.Fatal(err)
			}
			expect(t, findings, want)
		})
	}
}
