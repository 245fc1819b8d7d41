// Package lint holds jetvol's own rules about its source that no linter knows: which
// package may import which, and what no file may contain. Its tests apply them to the
// whole module and show on made-up sources that a violation is found.
package lint
