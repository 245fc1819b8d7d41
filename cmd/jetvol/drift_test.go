package main

import (
	"io"
	"path/filepath"
	"strings"
	"testing"

	"github.com/jetvol/jetvol/backends"
	"github.com/jetvol/jetvol/backends/local"
	"github.com/jetvol/jetvol/internal/natstest"
	"github.com/jetvol/jetvol/kv"
	"github.com/jetvol/jetvol/volume"
)

const driftScript = "testdata/drift.txt"

// plantDrift makes volumes and changes them behind jetvol's back.
func plantDrift(t *testing.T, dir string) {
	t.Helper()
	for _, name := range []string{"fine", "grown", "lost", "taken"} {
		jetvol(t, "volume", "create", name, "--size", "1MiB").want(t, exitSucceeded, "available")
	}
	driver, err := local.Open(local.Options{Dir: filepath.Join(dir, volumesDir)})
	if err != nil {
		t.Fatal(err)
	}
	must := func(err error) {
		t.Helper()
		if err != nil {
			t.Fatal(err)
		}
	}
	ref := func(name volume.Name, generation uint64) backends.Ref {
		key := volume.Key{Project: defaultProject, Name: name}
		return backends.Ref{Key: key, ID: volume.NewID(key, generation)}
	}
	must(driver.Resize(t.Context(), ref("grown", 1), 2*volume.MiB))
	must(driver.Delete(t.Context(), ref("lost", 1)))
	_, err = driver.Attach(t.Context(), ref("taken", 1), "n9", volume.ReadWrite)
	must(err)
	for _, name := range []volume.Name{"left", "over"} {
		must(driver.Create(t.Context(), ref(name, 7), volume.MiB))
	}
	must(driver.Close())
}

func TestDriftScan_DirectoryThatIsNotThere_Refused(t *testing.T) {
	_, url := up(t, "--dir", t.TempDir())
	jetvol(t, "-s", url, "drift", "scan", "--dir", t.TempDir()).want(t, exitUsage, "no such file")
}

func TestDriftScan_Verdict_IsWhatIsLeftToDo(t *testing.T) {
	for name, c := range map[string]struct {
		flags           driftScanFlags
		differ, skipped int
		want            int
	}{
		"nothing":                       {driftScanFlags{}, 0, 0, exitSucceeded},
		"differs":                       {driftScanFlags{}, 1, 0, exitFailed},
		"skipped":                       {driftScanFlags{}, 0, 1, exitFailed},
		"nothing to repair":             {driftScanFlags{repair: true}, 0, 0, exitSucceeded},
		"to repair":                     {driftScanFlags{repair: true}, 1, 0, exitUnconfirmed},
		"to repair, some skipped":       {driftScanFlags{repair: true}, 1, 1, exitUnconfirmed},
		"all skipped, none to repair":   {driftScanFlags{repair: true}, 0, 1, exitFailed},
		"to repair, dry run":            {driftScanFlags{repair: true, consent: consent{dryRun: true}}, 1, 0, exitFailed},
		"published":                     {driftScanFlags{repair: true, consent: consent{yes: true}}, 1, 0, exitFailed},
		"nothing to publish":            {driftScanFlags{repair: true, consent: consent{yes: true}}, 0, 0, exitSucceeded},
		"nothing to publish, a skipped": {driftScanFlags{repair: true, consent: consent{yes: true}}, 0, 1, exitFailed},
	} {
		if got := exitCode(c.flags.verdict(c.differ, c.skipped)); got != c.want {
			t.Errorf("%s: got exit code %d, want %d", name, got, c.want)
		}
	}
}

// TestDriftScan_RecordLost_LeftUntilTheNextScan: what is only behind is left to do as well.
func TestDriftScan_RecordLost_LeftUntilTheNextScan(t *testing.T) {
	dir := t.TempDir()
	_, url := up(t, "--dir", dir, "--reconcile-interval", "0")
	t.Setenv("NATS_URL", url)
	jetvol(t, "volume", "create", "lost", "--size", "1MiB").want(t, exitSucceeded)
	_, js := natstest.Dial(t, url)
	records, key := kv.NewVolumes(js), defaultProject+".lost"
	revision, _, err := records.Head(t.Context(), key)
	if err != nil {
		t.Fatal(err)
	}
	if err := records.Delete(t.Context(), key, revision); err != nil {
		t.Fatal(err)
	}
	scan := []string{"drift", "scan", "--dir", dir}
	jetvol(t, scan...).want(t, exitFailed, "its record is lost", "1 differ")
	jetvol(t, append(scan, "--repair")...).want(t, exitUnconfirmed, "0 commands published")
	jetvol(t, append(scan, "--repair", "--yes")...).want(t, exitFailed, "1 commands published", "1 differ")
	jetvol(t, "volume", "reconcile", "lost", "--dry-run").want(t, exitSucceeded) // behind the command of the scan
	jetvol(t, append(scan, "--repair", "--yes")...).want(t, exitSucceeded, "0 commands published")
}

// TestUp_Sweeps_WhatIsFoundIsListed: a worker begins soon after its start.
func TestUp_Sweeps_WhatIsFoundIsListed(t *testing.T) {
	dir := t.TempDir()
	p, url := up(t, "--dir", dir, "--reconcile-interval", "100ms", "--metrics", "127.0.0.1:0")
	t.Setenv("NATS_URL", url)
	plantDrift(t, dir)
	awaitListed(t, "grown", "taken", "lost", "left", "over")
	if err := p.stop(t); err != nil {
		t.Fatal(err)
	}
}

// awaitListed waits until all these volumes are listed.
func awaitListed(t *testing.T, names ...string) {
	t.Helper()
	for _, name := range names {
		for end := jetvol(t, "drift", "show", name); end.code != exitSucceeded; end = jetvol(t, "drift", "show", name) {
			if t.Context().Err() != nil {
				t.Fatalf("%s: %s", name, end.stderr)
			}
		}
	}
	jetvol(t, "drift", "list").want(t, exitFailed, names...)
}

// What doctor says of a finding that cannot be read helps.
func TestDriftScan_CorruptFindings_AreMendedAsDoctorSays(t *testing.T) {
	dir := t.TempDir()
	_, url := up(t, "--dir", dir, "--reconcile-interval", "0")
	t.Setenv("NATS_URL", url)
	jetvol(t, "volume", "create", "fine", "--size", "1MiB").want(t, exitSucceeded)
	_, js := natstest.Dial(t, url)
	for _, name := range []string{"fine", "nobody"} {
		if _, err := js.Publish(t.Context(), "$KV.drift.default."+name, []byte("{")); err != nil {
			t.Fatal(err)
		}
	}
	jetvol(t, "doctor").want(t, exitSucceeded, "drift/default.fine: corrupt", "drift/default.nobody: corrupt", "jetvol drift scan --config FILE --repair --yes")
	jetvol(t, "drift", "scan", "--dir", dir, "--repair", "--yes").want(t, exitSucceeded, "0 skipped")
	jetvol(t, "doctor").want(t, exitSucceeded, "have found no object without a record")
}

// What is printed of a plan is pasted into a shell: each argument has to come back out of it.
func TestArgumentsText_EveryVerbOfPlans_ReadsBack(t *testing.T) {
	for verb, c := range map[volume.Verb]struct {
		args volume.Args
		want map[string]string
	}{
		volume.VerbAdopt: {
			volume.Args{Backend: "ceph-ssd", ID: "default.db-01.7"},
			map[string]string{"backend": "ceph-ssd", "volume-id": "default.db-01.7", "id": ""},
		},
		volume.VerbReconcile: {volume.Args{Believe: volume.BelieveBackend}, map[string]string{"believe": "backend"}},
		volume.VerbResize:    {volume.Args{Size: 2 * volume.GiB}, map[string]string{"size": "2GiB"}},
		volume.VerbDetach:    {volume.Args{Node: "n1"}, map[string]string{"node": "n1"}},
		volume.VerbAttach:    {volume.Args{Node: "n1", Mode: volume.ReadOnly}, map[string]string{"node": "n1", "mode": "read-only"}},
		volume.VerbDelete:    {},
	} {
		a := &app{stdout: io.Discard, stderr: io.Discard}
		command, _, err := a.rootCommand().Find([]string{"volume", string(verb)})
		if err != nil || command.Name() != string(verb) {
			t.Fatalf("%s: got %v, %v", verb, command, err)
		}
		if err := command.ParseFlags(strings.Fields(argumentsText(c.args))); err != nil {
			t.Errorf("%s: %v", verb, err)
		}
		for name, want := range c.want {
			if got := command.Flags().Lookup(name).Value.String(); got != want {
				t.Errorf("%s --%s: got %q, want %q", verb, name, got, want)
			}
		}
	}
}
