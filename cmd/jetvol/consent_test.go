package main

import (
	"io"
	"maps"
	"reflect"
	"strings"
	"testing"

	"github.com/nats-io/nats.go/jetstream"
	"github.com/spf13/cobra"

	"github.com/jetvol/jetvol/commands"
	"github.com/jetvol/jetvol/internal/natstest"
	"github.com/jetvol/jetvol/kv"
	"github.com/jetvol/jetvol/quotas"
)

// effect is what a subcommand does, which says which flags it has.
type effect string

const (
	looks   effect = "looks"   // changes nothing
	serves  effect = "serves"  // runs until it is stopped
	changes effect = "changes" // what the command line names: --dry-run
	asks    effect = "asks"    // also what it chooses by itself: --dry-run and --yes
)

// effects has every subcommand but the verbs of volumes and snapshots, which are changes.
var effects = map[string]effect{
	"up": serves, "worker": serves, "bench ceiling-worker": serves, "bench nats-server": serves, "bench scale": serves,

	"volume get": looks, "volume list": looks, "volume history": looks,
	"snapshot get": looks, "snapshot list": looks, "snapshot tree": looks, "snapshot label": changes,
	"node list": looks, "node gone": asks,
	"drift list": looks, "drift show": looks, "drift repair": asks, "drift scan": asks,
	"adopt":     asks,
	"quota set": changes, "quota get": looks, "quota list": looks, "quota verify": asks,
	"events": looks, "explain": looks, "backends": looks, "workers": looks,
	"audit verify": looks, "audit checkpoint": changes,
	"dead list": looks, "dead show": looks, "dead replay": asks, "dead drop": asks,
	"doctor": looks, "provision": changes,
	"config check": looks, "config keys": looks, "schema": looks, "version": looks,
}

// leaves are the subcommands with an action of their own, by what is typed.
func leaves(command *cobra.Command) map[string]*cobra.Command {
	found := map[string]*cobra.Command{}
	for _, child := range command.Commands() {
		if below := leaves(child); len(below) > 0 {
			maps.Copy(found, below)
			continue
		}
		_, typed, _ := strings.Cut(child.CommandPath(), " ")
		found[typed] = child
	}
	return found
}

func TestCommands_WhatChangesSomething_HasDryRunAndAsksByYes(t *testing.T) {
	a := &app{stdout: io.Discard, stderr: io.Discard}
	known := maps.Clone(effects)
	for typed, spec := range map[string][]verbSpec{"volume": verbSpecs(), "snapshot": snapshotSpecs()} {
		for _, one := range spec {
			name, _, _ := strings.Cut(one.use, " ")
			known[typed+" "+name] = changes
		}
	}
	all := leaves(a.rootCommand())
	for typed, command := range all {
		dryRun, yes := command.Flags().Lookup(dryRunFlag) != nil, command.Flags().Lookup(yesFlag) != nil
		does := known[typed]
		if does == "" {
			t.Errorf("%s: say in effects what it does", typed)
			continue
		}
		if wantDry := does == changes || does == asks; dryRun != wantDry {
			t.Errorf("%s: --dry-run is %v, it %s", typed, dryRun, does)
		}
		if wantYes := does == asks; yes != wantYes {
			t.Errorf("%s: --yes is %v, it %s", typed, yes, does)
		}
		for _, other := range []string{"validate-only", "force", "confirm"} {
			if command.Flags().Lookup(other) != nil {
				t.Errorf("%s: --%s, want one of --dry-run and --yes", typed, other)
			}
		}
	}
	for typed := range known {
		if all[typed] == nil {
			t.Errorf("%s: there is no such command", typed)
		}
	}
}

// imprint is what a stream shows of having been changed.
type imprint struct {
	last   uint64
	config jetstream.StreamConfig
}

// written are the imprints of all streams, and so of all that volumes, letters, quotas and
// findings lie in. A question whether a command would be accepted lies in the command stream,
// and leaves no other trace, and leases are renewed all the time: of these two only the
// configuration counts.
func written(t *testing.T, url string) map[string]imprint {
	t.Helper()
	imprints := map[string]imprint{}
	_, js := natstest.Dial(t, url)
	streams := js.ListStreams(t.Context())
	for info := range streams.Info() {
		left := imprint{config: info.Config}
		if info.Config.Name != commands.StreamName && info.Config.Name != "KV_"+kv.LeasesBucket {
			left.last = info.State.LastSeq + uint64(info.State.NumDeleted)
		}
		imprints[info.Config.Name] = left
	}
	if err := streams.Err(); err != nil || len(imprints) < 5 {
		t.Fatalf("got %v (%v), want streams", imprints, err)
	}
	return imprints
}

// What is typed here would change something, with --yes or without --dry-run.
func TestCommands_DryRunAndUnconfirmed_ChangeNothing(t *testing.T) {
	dir := t.TempDir()
	_, url := up(t, "--dir", dir, "--reconcile-interval", "0")
	t.Setenv("NATS_URL", url)
	plantDrift(t, dir)
	plantDeadLetters(t, url)
	jetvol(t, "drift", "scan", "--dir", dir, "--repair", "--yes").want(t, exitFailed, "5 differ", "3 commands published")
	for _, name := range []string{"grown", "taken", "lost"} { // behind the command of the scan
		jetvol(t, "volume", "attach", name, "--node", "n1", "--dry-run")
	}
	jetvol(t, "volume", "attach", "fine", "--node", "n1").want(t, exitSucceeded)
	jetvol(t, "snapshot", "create", "fine", "monday").want(t, exitSucceeded)
	jetvol(t, "quota", "set", "default", "--volumes", "9").want(t, exitSucceeded)
	spoilLedger(t, url)

	before := written(t, url)
	for line, says := range map[string]string{
		"node gone n1 --reason test":                           "default.fine",
		"drift repair grown --believe backend":                 "volume reconcile",
		"drift scan --repair --dir " + dir:                     "default.left",
		"adopt --all --backend local":                          "valid",
		"dead replay --all --code invalid_command_id --new-id": "would replay 5: create default.db-03 as command replay-5-",
		"dead drop --all":                                      "would drop 3: default.DB invalid_name",
		"quota verify --repair":                                "wrong",
	} {
		jetvol(t, strings.Fields(line)...).want(t, exitUnconfirmed, says, "nothing was done: --yes ")
		found := strings.HasPrefix(line, "drift scan") || strings.HasPrefix(line, "quota verify")
		want := map[bool]int{true: exitFailed, false: exitSucceeded}[found]
		jetvol(t, append(strings.Fields(line), "--dry-run")...).want(t, want, says)
		jetvol(t, append(strings.Fields(line), "--dry-run", "--yes")...).want(t, exitUsage)
	}
	for line, says := range map[string]string{
		"volume create db-09 --size 1MiB":             "would be accepted",
		"volume unmanage grown":                       "would be accepted",
		"snapshot delete fine@monday":                 "would be accepted",
		"snapshot label fine@monday kept=30d":         "kept=30d",
		"quota set default --volumes 4":               "of 4",
		"quota set other --bytes 1GiB":                "? of 1GiB",
		"quota set default --clear":                   "of 9",
		"audit checkpoint":                            "0 faults",
		"dead drop 3":                                 "would drop 3",
		"dead replay 5 --new-id":                      "would replay 5: create default.db-03 as command replay-5-",
		"adopt left --backend local":                  "valid",
		"provision --outcome-retention 200h --update": "updated",
	} {
		jetvol(t, append(strings.Fields(line), "--dry-run")...).want(t, exitSucceeded, says)
	}
	if after := written(t, url); !reflect.DeepEqual(after, before) {
		t.Errorf("got %+v, want %+v", after, before)
	}
}

// spoilLedger makes the quota's ledger count volumes that there are not.
func spoilLedger(t *testing.T, url string) {
	t.Helper()
	_, js := natstest.Dial(t, url)
	ledgers := kv.Open[quotas.Ledger](js, kv.QuotasBucket)
	entry, err := ledgers.Get(t.Context(), defaultProject)
	if err != nil {
		t.Fatal(err)
	}
	entry.Value.Used.Volumes += 3
	if _, err := ledgers.CompareAndSet(t.Context(), defaultProject, entry.Value, entry.Revision); err != nil {
		t.Fatal(err)
	}
}
