package main

import (
	"bytes"
	"context"
	_ "embed"
	"fmt"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"

	trials "github.com/jetvol/jetvol/internal/trial"
)

// failpointMark begins a failpoint in the source.
const failpointMark = "// gofail: var "

// gofailModule is the module with the pinned tool, within the repository.
const gofailModule = "internal/tools/gofail"

// failpointSource is what a package with failpoints gets in the copy.
//
//go:embed testdata/failpoint.go.txt
var failpointSource string

// edit replaces text in a file of the copy: a sabotage.
type edit struct {
	file, from, to string
}

// instrument copies the module at root to a new directory in base, turns the failpoints
// there into code, applies the edits and builds jetvol with the driver. It returns the binary. The
// module itself is only read.
func instrument(ctx context.Context, root, base, driver string, edits []edit) (string, error) {
	module := filepath.Join(base, "module")
	packages, err := copyModule(root, module)
	if err != nil {
		return "", fmt.Errorf("copy module: %w", err)
	}
	for _, e := range edits {
		if err := e.apply(module); err != nil {
			return "", err
		}
	}
	if err := addFailpoints(module, packages); err != nil {
		return "", err
	}
	if err := requireGofail(module); err != nil {
		return "", err
	}
	binary, tool := filepath.Join(base, "jetvol"), filepath.Join(base, "gofail")
	environment, flags := trials.Building(driver)
	for _, line := range [][]string{
		{filepath.Join(module, gofailModule), "go", "build", "-o", tool, "go.etcd.io/gofail"},
		append([]string{module, tool, "enable"}, packages...),
		slices.Concat([]string{module, "go", "build", "-trimpath", "-o", binary}, flags, []string{"./cmd/jetvol"}),
	} {
		if err := command(ctx, environment, line[0], line[1], line[2:]...); err != nil {
			return "", err
		}
	}
	return binary, nil
}

func command(ctx context.Context, environment []string, dir, name string, args ...string) error {
	c := exec.CommandContext(ctx, name, args...)
	c.Dir = dir
	c.Env = append(os.Environ(), environment...)
	if output, err := c.CombinedOutput(); err != nil {
		return fmt.Errorf("%s %s: %w\n%s", name, strings.Join(args, " "), err, output)
	}
	return nil
}

// copyModule copies what is needed to build jetvol, and returns the packages that have
// failpoints.
func copyModule(from, to string) (packages []string, err error) {
	root, err := os.OpenRoot(from)
	if err != nil {
		return nil, err
	}
	defer func() { _ = root.Close() }() // nothing was written through it
	tree := root.FS()
	err = fs.WalkDir(tree, ".", func(name string, entry fs.DirEntry, err error) error {
		switch {
		case err != nil:
			return err
		case entry.IsDir():
			return enter(name)
		case !entry.Type().IsRegular() || strings.HasSuffix(name, "_test.go"):
			return nil
		}
		data, err := fs.ReadFile(tree, name)
		if err != nil {
			return err
		}
		if dir := filepath.Dir(name); hasFailpoint(name, data) && !slices.Contains(packages, dir) {
			packages = append(packages, dir)
		}
		return write(filepath.Join(to, name), data)
	})
	if err == nil && len(packages) == 0 {
		err = fmt.Errorf("no failpoint in %s", from)
	}
	return packages, err
}

// leftOut are directories of the repository that hold nothing to build from. The program
// itself stays out too: what it says about failpoints is none.
var leftOut = []string{"bin", "docs", "jetvol-data", "internal/killmatrix"}

func enter(dir string) error {
	if dir != "." && strings.HasPrefix(filepath.Base(dir), ".") || slices.Contains(leftOut, dir) {
		return fs.SkipDir
	}
	return nil
}

func hasFailpoint(name string, data []byte) bool {
	return strings.HasSuffix(name, ".go") && bytes.Contains(data, []byte(failpointMark))
}

func write(name string, data []byte) error {
	if err := os.MkdirAll(filepath.Dir(name), 0o750); err != nil {
		return err
	}
	return os.WriteFile(name, data, 0o600) //nolint:gosec // names are the module's own, under the copy or the root
}

func (e edit) apply(module string) error {
	name := filepath.Join(module, e.file)
	data, err := os.ReadFile(name)
	if err != nil {
		return err
	}
	if count := bytes.Count(data, []byte(e.from)); count != 1 {
		return fmt.Errorf("edit %s: found %d times: %s", e.file, count, e.from)
	}
	return write(name, bytes.Replace(data, []byte(e.from), []byte(e.to), 1))
}

// addFailpoints gives each package the functions that its failpoints call.
func addFailpoints(module string, packages []string) error {
	for _, dir := range packages {
		source := strings.Replace(failpointSource, "PACKAGE", filepath.Base(dir), 1)
		if err := write(filepath.Join(module, dir, "failpoint.go"), []byte(source)); err != nil {
			return err
		}
	}
	return nil
}

// requireGofail adds the tool's module to the copy, in the version that is pinned for
// the tool. The product does not depend on it.
func requireGofail(module string) error {
	pinned, err := os.ReadFile(filepath.Join(module, gofailModule, "go.mod"))
	if err != nil {
		return err
	}
	_, version, found := strings.Cut(string(pinned), "require go.etcd.io/gofail ")
	if !found {
		return fmt.Errorf("no version of gofail in %s/go.mod", gofailModule)
	}
	version, _, _ = strings.Cut(strings.TrimSpace(version), " ")
	if err := appendTo(module, "go.mod", "\nrequire go.etcd.io/gofail "+version+"\n"); err != nil {
		return err
	}
	sums, err := os.ReadFile(filepath.Join(module, gofailModule, "go.sum"))
	if err != nil {
		return err
	}
	return appendTo(module, "go.sum", string(sums))
}

func appendTo(module, name, text string) error {
	name = filepath.Join(module, name)
	data, err := os.ReadFile(name)
	if err != nil {
		return err
	}
	return write(name, append(data, text...))
}
