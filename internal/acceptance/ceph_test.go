//go:build ceph

package acceptance

import (
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/jetvol/jetvol/backends"
	"github.com/jetvol/jetvol/backends/ceph"
	"github.com/jetvol/jetvol/internal/cephtest"
	"github.com/jetvol/jetvol/volume"
)

// The binary under test.
const (
	binaryVariable = "JETVOL_CEPH_BIN"
	binaryTags     = "ceph,pacific,ceph_preview"
)

// place is where a test's images are, and who uses them.
type place struct {
	cluster *cephtest.Cluster
	ceph.Config
}

// newPlace returns an empty namespace for the test.
func newPlace(t testing.TB, cluster *cephtest.Cluster) *place {
	t.Helper()
	return &place{cluster: cluster, Config: ceph.Config{
		Conf: cluster.Conf(), Keyring: cluster.Keyring(cephtest.Volumes), User: cephtest.Volumes,
		Pool: cephtest.Pool, Namespace: cluster.Namespace(t),
	}}
}

// spec names the place as the rbd tool wants it.
func (p *place) spec() string { return strings.TrimSuffix(p.Pool+"/"+p.Namespace, "/") }

// images returns the names of the images that are there.
func (p *place) images(t testing.TB) []string {
	t.Helper()
	images := strings.Fields(p.cluster.RBD(t, "ls", p.spec()))
	slices.Sort(images)
	return images
}

// image names one as the rbd tool wants it.
func (p *place) image(name string) string { return p.spec() + "/" + name }

// content returns all bytes of an image.
func (p *place) content(t testing.TB, name string) string {
	t.Helper()
	return p.cluster.RBD(t, "export", "--no-progress", p.image(name), "-")
}

// written writes something into an image and returns all its bytes.
func (p *place) written(t testing.TB, name string) string {
	t.Helper()
	p.cluster.RBD(t, "bench", "--io-type", "write", "--io-size", "4096", "--io-total", "65536", p.image(name))
	data := p.content(t, name)
	if strings.Trim(data, "\x00") == "" {
		t.Fatal("nothing was written")
	}
	return data
}

// imageOf is the name that subjects.md and `jetvol volume show` tell for a volume's image.
func imageOf(key volume.Key) string { return "jetvol." + key.String() }

// driver opens the place as another process would.
func (p *place) driver(t testing.TB) backends.Driver {
	t.Helper()
	driver, err := ceph.Open(t.Context(), p.Config)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := driver.Close(); err != nil {
			t.Error(err)
		}
	})
	return driver
}

// file writes a configuration whose only backend is the place, and returns its path.
func (p *place) file(t testing.TB) string {
	t.Helper()
	lines := []string{
		"backends:", "  ceph:", "    driver: ceph",
		"    pool: " + p.Pool, "    user: " + p.User, "    conf: " + p.Conf, "    keyring: " + p.Keyring,
	}
	if p.Namespace != "" {
		lines = append(lines, "    namespace: "+p.Namespace)
	}
	if p.OpTimeout > 0 {
		lines = append(lines,
			fmt.Sprintf("    op_timeout: %s", p.OpTimeout),
			fmt.Sprintf("    mon_timeout: %s", p.MonTimeout),
			fmt.Sprintf("    mount_timeout: %s", p.MountTimeout))
	}
	path := filepath.Join(t.TempDir(), "jetvol.yaml")
	if err := os.WriteFile(path, []byte(strings.Join(lines, "\n")+"\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	return path
}

// startCeph starts jetvol on an empty namespace of the shared cluster.
func startCeph(t testing.TB) (*server, *place) {
	t.Helper()
	p := newPlace(t, cephtest.Start(t))
	return startServer(t, "--config", p.file(t)), p
}
