package main

import (
	"context"
	"fmt"

	"github.com/jetvol/jetvol/kv"
	"github.com/jetvol/jetvol/quotas"
	"github.com/jetvol/jetvol/volume"
)

// plenty is a quota that refuses nothing of a trial.
var plenty = quotas.Limits{
	Volumes: quotas.Limit(100), Bytes: quotas.Limit(int64(volume.TiB)), Snapshots: quotas.Limit(100),
}

// giveQuota gives a new project a quota. Nobody has to be waited for: no worker knows of the
// project.
func (s *site) giveQuota(ctx context.Context, project volume.Project) error {
	_, err := kv.Open[quotas.Ledger](s.js, kv.QuotasBucket).Create(ctx, string(project), quotas.Ledger{
		SchemaVersion: quotas.SchemaVersion, Project: project, Limits: plenty, SetBy: "killmatrix",
	})
	return err
}

// checkQuota returns how the ledger of the trial's project differs from the records. Nothing
// is under way any more.
func (t *trial) checkQuota(ctx context.Context) []error {
	if t.plan.unmetered {
		return nil
	}
	report, err := quotas.New(t.site.js).Verify(ctx, t.plan.key.Project)
	if err != nil {
		return []error{fmt.Errorf("verify quota: %w", err)}
	}
	var faults []error
	for _, finding := range report.Findings {
		faults = append(faults, fmt.Errorf("quota: %s: %s", finding.Kind, finding.Detail))
	}
	if report.Pending > 0 {
		faults = append(faults, fmt.Errorf("quota: %d entries are left", report.Pending))
	}
	return faults
}
