package acceptance

import "testing"

func TestSubjects_EveryConsoleBlockRunsAsShown(t *testing.T) {
	const document = "subjects.md"
	found := marked(readDocument(t, document), "console")
	if len(found) < 10 {
		t.Fatalf("%s: got %d console blocks, want at least 10", document, len(found))
	}
	s := &session{server: startServer(t), document: document}
	for _, b := range found {
		s.run(t, b)
	}
}
