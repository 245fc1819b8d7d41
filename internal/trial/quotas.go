package trial

import (
	"context"
	"fmt"
	"time"

	"github.com/nats-io/nats.go/jetstream"

	"github.com/jetvol/jetvol/internal/verify"
	"github.com/jetvol/jetvol/quotas"
	"github.com/jetvol/jetvol/volume"
)

// meterTimeout bounds the wait for the workers.
const meterTimeout = 30 * time.Second

// Meter gives a project a quota that limits nothing, so that all it uses is counted.
func Meter(ctx context.Context, js jetstream.JetStream, project volume.Project) error {
	ctx, cancel := context.WithTimeout(ctx, meterTimeout)
	defer cancel()
	_, err := quotas.New(js).Set(ctx, quotas.SetRequest{
		Project: project, Actor: "trial", Change: func(l quotas.Limits) quotas.Limits { return l },
	})
	return err
}

// readQuotas compares all ledgers with the records. An entry that a worker has left which was
// stopped, and was not allowed to go on, is no fault if it is counted.
func readQuotas(ctx context.Context, js jetstream.JetStream, e *verify.Evidence) error {
	client := quotas.New(js)
	ledgers, err := client.List(ctx)
	if err != nil {
		return err
	}
	for _, ledger := range ledgers {
		report, err := client.Verify(ctx, ledger.Project)
		if err != nil {
			return err
		}
		for _, f := range report.Findings {
			if f.Kind != quotas.StalePending {
				e.Quotas = append(e.Quotas, fmt.Sprintf("project %s: %s: %s", ledger.Project, f.Kind, f.Detail))
			}
		}
	}
	return nil
}
