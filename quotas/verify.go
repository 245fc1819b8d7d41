package quotas

import (
	"context"
	"errors"
	"fmt"

	"github.com/jetvol/jetvol/kv"
	"github.com/jetvol/jetvol/volume"
)

// FindingKind says what is wrong with a ledger.
type FindingKind string

// The kinds of finding.
const (
	UsedDiffers  FindingKind = "used_differs"  // from what the records say
	StalePending FindingKind = "stale_pending" // an entry whose command is gone
	NotDerived   FindingKind = "not_derived"   // the first set was broken off: nothing is refused
	OverLimit    FindingKind = "over_limit"    // no fault: limits were lowered, or a reconcile found more
)

// Finding is one thing that is wrong with a ledger.
type Finding struct {
	Kind   FindingKind `json:"kind"`
	Detail string      `json:"detail"`
}

// Report compares a ledger with the records.
type Report struct {
	Project volume.Project `json:"project"`
	Limits  Limits         `json:"limits"`
	Used    Usage          `json:"used"`    // as the ledger says
	Derived Usage          `json:"derived"` // as the records say, with what is reserved
	Pending int            `json:"pending"` // commands under way
	// Findings are in no particular order; empty if all is well.
	Findings []Finding `json:"findings"`
	Repaired bool      `json:"repaired,omitempty"`

	stale map[volume.CommandID]bool
}

// Fault reports whether the ledger is wrong. To be over a limit is none.
func (r Report) Fault() bool {
	for _, f := range r.Findings {
		if f.Kind != OverLimit {
			return true
		}
	}
	return false
}

func (r *Report) add(kind FindingKind, format string, args ...any) {
	r.Findings = append(r.Findings, Finding{kind, fmt.Sprintf(format, args...)})
}

// quietLooks is how often Verify looks for a moment in which a ledger does not change,
// before it holds it.
const quietLooks = 8

// Verify derives from the records what a project uses, and compares. It may be called while
// commands are carried out. A ledger that never rests it holds for a moment, for which it
// needs the right to write it. It returns [ErrNoQuota] if the project has none, and the
// errors of [kv.Bucket.ListSince].
func (c *Client) Verify(ctx context.Context, project volume.Project) (Report, error) {
	v := newView(c.records, project)
	l, err := c.atRest(ctx, v)
	if err != nil {
		return Report{}, err
	}
	report := Report{
		Project: project, Limits: l.Limits, Used: l.Used, Derived: v.sum(l), Pending: len(l.Pending),
		Findings: []Finding{}, stale: map[volume.CommandID]bool{},
	}
	if l.Deriving {
		report.add(NotDerived, "what is used was never derived: set the quota again")
		return report, nil
	}
	for _, d := range dimensions {
		if says, is := d.of(report.Used), d.of(report.Derived); says != is {
			report.add(UsedDiffers, "%s: the ledger says %s, the records %s", d.name, d.text(says), d.text(is))
		}
	}
	for _, over := range l.Limits.exceeded(l.Used) {
		report.add(OverLimit, "%s", over)
	}
	return report, c.findStale(ctx, v, l, &report)
}

// atRest returns a ledger that did not change while the view was refreshed.
func (c *Client) atRest(ctx context.Context, v *view) (Ledger, error) {
	for range quietLooks {
		entry, err := c.get(ctx, v.project)
		if err != nil {
			return Ledger{}, err
		}
		if quiet, err := c.quiet(ctx, v, entry); err != nil || quiet {
			return entry.Value, err
		}
	}
	for range maxDerivations {
		held, err := c.hold(ctx, v.project)
		if err != nil {
			return Ledger{}, err
		}
		quiet, err := c.quiet(ctx, v, held)
		free := held.Value.clone()
		free.Held = ""
		_, releasing := c.ledgers.CompareAndSet(ctx, string(v.project), free, held.Revision)
		if errors.Is(releasing, kv.ErrConflict) {
			releasing = nil
		}
		if err := errors.Join(err, releasing); err != nil || quiet {
			return free, err
		}
	}
	return Ledger{}, fmt.Errorf("verify quota of project %s: %w", v.project, errRestless)
}

// quiet refreshes the view and reports whether the ledger is still the same.
func (c *Client) quiet(ctx context.Context, v *view, entry kv.Entry[Ledger]) (bool, error) {
	if err := v.refresh(ctx); err != nil {
		return false, err
	}
	revision, _, err := c.ledgers.Head(ctx, string(v.project))
	if errors.Is(err, kv.ErrNotFound) {
		return false, fmt.Errorf("project %s: %w", v.project, ErrNoQuota)
	}
	return revision == entry.Revision, err
}

// findStale names the entries that nobody will settle. A command is settled before it is
// acknowledged, so one that is gone from its stream has no entry, unless the entry went
// between the two looks.
func (c *Client) findStale(ctx context.Context, v *view, l Ledger, report *Report) error {
	var gone []Entry
	for _, e := range l.Pending {
		if v.known[e.Volume].op == e.CommandID {
			continue // its worker still has it in hand, or another will
		}
		isGone, err := c.commandGone(ctx, e)
		if err != nil {
			return err
		}
		if isGone {
			gone = append(gone, e)
		}
	}
	if len(gone) == 0 {
		return nil
	}
	now, err := c.Get(ctx, v.project)
	if errors.Is(err, ErrNoQuota) {
		return nil
	}
	if err != nil {
		return err
	}
	for _, e := range gone {
		if i := now.entry(e.Volume); i >= 0 && now.Pending[i].CommandID == e.CommandID && now.Pending[i].At == e.At {
			report.stale[e.CommandID] = true
			report.add(StalePending, "volume %s: command %s is not in its stream any more", e.Volume, e.CommandID)
		}
	}
	return nil
}

// Repair verifies, and if the ledger is wrong it stores what the records say, without the
// entries that are stale. It may be called while commands are carried out. It returns what
// it has found, and the errors of [Client.Verify].
func (c *Client) Repair(ctx context.Context, project volume.Project) (Report, error) {
	report, err := c.Verify(ctx, project)
	if err != nil || !report.Fault() {
		return report, err
	}
	l, err := c.Get(ctx, project)
	if err == nil && l.Deriving {
		err = c.awaitWorkers(ctx, project)
	}
	if err != nil {
		return report, err
	}
	if _, err := c.derive(ctx, project, report.stale); err != nil {
		return report, err
	}
	report.Repaired = true
	return report, nil
}
