package lint

import (
	"bytes"
	"fmt"
	"go/ast"
	"go/parser"
	"go/token"
	"io/fs"
	"path"
	"slices"
	"strconv"
	"strings"
)

// skippedDirs hold nothing that is kept in the repository.
var skippedDirs = []string{".git", ".cache", "bin", "jetvol-data"}

// walk calls visit with each regular file of the tree that the repository keeps.
func walk(tree fs.FS, visit func(name string) error) error {
	return fs.WalkDir(tree, ".", func(name string, entry fs.DirEntry, err error) error {
		switch {
		case err != nil:
			return err
		case entry.IsDir() && slices.Contains(skippedDirs, name):
			return fs.SkipDir
		case entry.Type().IsRegular():
			return visit(name)
		}
		return nil
	})
}

// walkGo calls visit with each Go file of the module: not those of modules within it
// and of testdata, which the go command leaves out as well.
func walkGo(tree fs.FS, visit func(name string) error) error {
	return fs.WalkDir(tree, ".", func(name string, entry fs.DirEntry, err error) error {
		switch {
		case err != nil:
			return err
		case entry.IsDir() && name != "." && leftOut(tree, name):
			return fs.SkipDir
		case entry.Type().IsRegular() && strings.HasSuffix(name, ".go"):
			return visit(name)
		}
		return nil
	})
}

func leftOut(tree fs.FS, dir string) bool {
	base := path.Base(dir)
	if base == "testdata" || base == "vendor" || strings.HasPrefix(base, ".") || strings.HasPrefix(base, "_") {
		return true
	}
	_, err := fs.Stat(tree, path.Join(dir, "go.mod"))
	return err == nil
}

// readImporters parses the imports of every Go file of the module, whatever its build
// tags. It returns the parser's error for a file that is no Go source.
func readImporters(tree fs.FS) ([]importer, error) {
	var files []importer
	err := walkGo(tree, func(name string) error {
		parsed, err := parse(tree, name, parser.ImportsOnly)
		if err != nil {
			return err
		}
		imports, err := importPaths(parsed)
		files = append(files, importer{file: name, pkg: packageOf(name), imports: imports})
		return err
	})
	return files, err
}

func parse(tree fs.FS, name string, mode parser.Mode) (*ast.File, error) {
	source, err := fs.ReadFile(tree, name)
	if err != nil {
		return nil, err
	}
	return parser.ParseFile(token.NewFileSet(), name, source, mode)
}

func importPaths(file *ast.File) ([]string, error) {
	paths := make([]string, 0, len(file.Imports))
	for _, spec := range file.Imports {
		path, err := strconv.Unquote(spec.Path.Value)
		if err != nil {
			return nil, err
		}
		paths = append(paths, path)
	}
	return paths, nil
}

func packageOf(name string) string {
	if dir := path.Dir(name); dir != "." {
		return dir
	}
	return ""
}

// findSleeps returns each use of time.Sleep in a test: a test waits on a signal, or in
// a synctest bubble by other means.
func findSleeps(tree fs.FS) ([]string, error) {
	var findings []string
	err := walkGo(tree, func(name string) error {
		if !strings.HasSuffix(name, "_test.go") {
			return nil
		}
		parsed, err := parse(tree, name, parser.SkipObjectResolution)
		if err != nil {
			return err
		}
		if sleeps(parsed) {
			findings = append(findings, name+": uses time.Sleep")
		}
		return nil
	})
	return findings, err
}

// sleeps reports whether the file names Sleep of package time, called or as a value.
func sleeps(file *ast.File) bool {
	local := localName(file, "time")
	found := false
	ast.Inspect(file, func(node ast.Node) bool {
		if selector, ok := node.(*ast.SelectorExpr); ok && selector.Sel.Name == "Sleep" {
			pkg, ok := selector.X.(*ast.Ident)
			found = found || ok && pkg.Name == local
		}
		return !found
	})
	return found || local == "."
}

// localName returns the name under which the file imports path, or the empty text.
func localName(file *ast.File, path string) string {
	for _, spec := range file.Imports {
		if spec.Path.Value != strconv.Quote(path) {
			continue
		}
		if spec.Name != nil {
			return spec.Name.Name
		}
		return path
	}
	return ""
}

// findTexts returns each file of the tree that contains one of the texts.
func findTexts(tree fs.FS, texts []string) ([]string, error) {
	var findings []string
	err := walk(tree, func(name string) error {
		content, err := fs.ReadFile(tree, name)
		if err != nil {
			return err
		}
		for _, text := range texts {
			if bytes.Contains(content, []byte(text)) {
				findings = append(findings, fmt.Sprintf("%s: contains %q", name, text))
			}
		}
		return nil
	})
	return findings, err
}
