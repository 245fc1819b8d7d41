package drift_test

import (
	"fmt"
	"testing"

	"github.com/jetvol/jetvol/backends"
	"github.com/jetvol/jetvol/drift"
	"github.com/jetvol/jetvol/volume"
)

func imports(o *drift.Options) { o.Import = map[string]bool{"local": true} }

func TestSweep_Orphan_IgnoredOrImportedByPolicy(t *testing.T) {
	s := start(t)
	id := s.orphan("orphan")
	for range 2 {
		if report := s.sweep(); report.Commands != 0 || report.Kinds[volume.DriftOrphan] != 1 {
			t.Fatalf("ignored: got %+v, want one orphan and no command", report)
		}
	}
	if _, err := s.records.ByKey(s.ctx, key("orphan")); err == nil {
		t.Fatal("ignored: it has a record")
	}
	if report := s.sweep(imports); report.Commands != 1 {
		t.Fatalf("imported: got %+v, want one command", report)
	}
	s.settle()
	record := s.record("orphan")
	if record.ID != id || record.Size != 2*volume.MiB || record.State != volume.StateAvailable {
		t.Errorf("imported: got %s with %s, %s; want %s with 2MiB", record.ID, record.Size, record.State, id)
	}
	finding, found := s.finding(key("orphan").String())
	if !found || !finding.Outdated(record) {
		t.Errorf("finding %+v of an adopted volume is not outdated", finding)
	}
	before := s.trail()
	if report := s.sweep(imports); report.Commands != 0 || report.Objects != 1 || s.trail() != before {
		t.Errorf("afterwards: got %+v and %s, want nothing new", report, s.trail())
	}
	s.want("orphan")
	s.do("orphan", volume.VerbDelete, volume.Args{}) // it is a volume like any other
}

// TestSweep_ManyOrphans_AllFoundWithABoundedMemory takes a share of the names at a time.
func TestSweep_ManyOrphans_AllFoundWithABoundedMemory(t *testing.T) {
	s := prepare(t)
	const many, most = 60, 7
	for _, name := range names(many) {
		s.orphan(name)
	}
	told := map[volume.Key]int{}
	sweeper := s.sweeper(func(o *drift.Options) { o.Told = func(f drift.Found) { told[f.Key]++ } })
	sweeper.SetCandidatesAtOnce(most)
	report, err := sweeper.Sweep(s.ctx, drift.All())
	s.must(err)
	for _, name := range names(many) {
		if told[key(name)] != 1 {
			t.Errorf("%s: told %d times, want once", name, told[key(name)])
		}
	}
	if report.Kinds[volume.DriftOrphan] != many || report.Objects != many {
		t.Errorf("got %+v, want %d orphans among as many objects", report, many)
	}
}

// TestSweep_OneProject_OthersLetBe is what the CLI does with -p.
func TestSweep_OneProject_OthersLetBe(t *testing.T) {
	s := start(t)
	s.create("mine")
	s.enlarge([]string{"mine"})
	other := volume.Key{Project: "other", Name: "db-01"}
	s.must(s.driver.Create(s.ctx, backends.Ref{Key: other, ID: volume.NewID(other, 1)}, volume.MiB))
	report := s.sweep(func(o *drift.Options) { o.Project = "other" })
	if report.Volumes != 0 || report.Commands != 0 || report.Kinds[volume.DriftOrphan] != 1 {
		t.Errorf("got %+v, want the orphan of the project only", report)
	}
	report = s.sweep(func(o *drift.Options) { o.Project = "default" })
	if report.Volumes != 1 || report.Objects != 1 || report.Commands != 1 {
		t.Errorf("got %+v, want the volume of the project only", report)
	}
}

// TestSweep_NothingToDoWith_TellsOnly is a scan without --repair.
func TestSweep_NothingToDoWith_TellsOnly(t *testing.T) {
	s := start(t)
	s.create("size")
	s.enlarge([]string{"size"})
	s.orphan("orphan")
	before := s.trail() + fmt.Sprint(s.info("KV_drift").LastSeq)
	var told []string
	s.sweep(func(o *drift.Options) {
		o.Publish, o.Findings = nil, nil
		o.Told = func(f drift.Found) { told = append(told, fmt.Sprint(f.Name, " ", f.Kinds, " ", f.Command.Verb)) }
	})
	if want := "[size [size] reconcile orphan [orphan] ]"; fmt.Sprint(told) != want {
		t.Errorf("got %v, want %s", told, want)
	}
	if after := s.trail() + fmt.Sprint(s.info("KV_drift").LastSeq); after != before {
		t.Errorf("got %s, want %s", after, before)
	}
}

// TestSweep_RecordLost_BroughtBackFromEvents: it is no orphan, whatever the policy is.
func TestSweep_RecordLost_BroughtBackFromEvents(t *testing.T) {
	s := start(t)
	s.create("lost")
	s.settle() // its answer comes before its command is gone
	before := s.record("lost")
	revision, _, err := s.records.Head(s.ctx, key("lost").String())
	s.must(err)
	s.must(s.records.Delete(s.ctx, key("lost").String(), revision))
	if report := s.sweep(imports); report.Commands != 1 || len(report.Kinds) != 0 {
		t.Errorf("got %+v, want one command and no finding", report)
	}
	s.settle()
	if after := s.record("lost"); after.ID != before.ID || after.State != before.State || after.Generation != before.Generation+1 {
		t.Errorf("got %s %s at generation %d, want %s %s one later", after.ID, after.State, after.Generation, before.ID, before.State)
	}
	trail := s.trail()
	if report := s.sweep(imports); report.Commands != 0 || s.trail() != trail {
		t.Errorf("afterwards: got %+v, want nothing", report)
	}
}
