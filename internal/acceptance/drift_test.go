package acceptance

import "testing"

// TestDrift_EveryConsoleBlockRunsAsShown: the sweeps of the worker would tell of what the
// blocks do before they say so.
func TestDrift_EveryConsoleBlockRunsAsShown(t *testing.T) {
	const document = "docs/drift.md"
	found := marked(readDocument(t, document), "console")
	if len(found) < 4 {
		t.Fatalf("%s: got %d console blocks, want at least 4", document, len(found))
	}
	s := &session{server: startServer(t, "--reconcile-interval 0"), document: document}
	for _, b := range found {
		s.run(t, b)
	}
}
