package acceptance

import "testing"

func TestDrift_EveryConsoleBlockRunsAsShown(t *testing.T) {
	const document = "docs/drift.md"
	found := marked(readDocument(t, document), "console")
	if len(found) < 4 {
		t.Fatalf("%s: got %d console blocks, want at least 4", document, len(found))
	}
	s := &session{server: startServer(t), document: document}
	for _, b := range found {
		s.run(t, b)
	}
}
