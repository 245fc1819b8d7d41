package audit_test

import (
	"context"
	"encoding/json"
	"fmt"
	"os"
	"strings"
	"testing"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"
	"go.uber.org/goleak"

	"github.com/jetvol/jetvol/audit"
)

// childURL names the server that a process of its own is to verify, so that its memory can
// be measured.
const childURL = "JETVOL_AUDIT_CHILD"

func TestMain(m *testing.M) {
	if url := os.Getenv(childURL); url != "" {
		if err := child(url); err != nil {
			fmt.Fprintln(os.Stderr, err)
			os.Exit(1)
		}
		os.Exit(0)
	}
	goleak.VerifyTestMain(m)
}

// child verifies and prints the report.
func child(url string) error {
	conn, err := nats.Connect(url)
	if err != nil {
		return err
	}
	defer conn.Close()
	js, err := jetstream.New(conn)
	if err != nil {
		return err
	}
	report, err := audit.Verify(context.Background(), js, audit.Options{})
	if err != nil {
		return err
	}
	status, err := os.ReadFile("/proc/self/status")
	if err != nil {
		return err
	}
	result := apart{Report: report}
	for line := range strings.Lines(string(status)) {
		if _, err := fmt.Sscanf(line, "VmHWM: %d kB", &result.PeakKiB); err == nil {
			break
		}
	}
	return json.NewEncoder(os.Stdout).Encode(result)
}

// apart is what a verify in a process of its own tells.
type apart struct {
	audit.Report
	PeakKiB int64 `json:"peak_kib"` // the most memory that the process had
}
