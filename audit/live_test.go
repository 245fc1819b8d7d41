package audit_test

import (
	"context"
	"fmt"
	"testing"
	"time"

	"github.com/rs/zerolog"
	"golang.org/x/sync/errgroup"

	"github.com/jetvol/jetvol/audit"
	"github.com/jetvol/jetvol/backends"
	"github.com/jetvol/jetvol/backends/local"
	"github.com/jetvol/jetvol/commands"
	"github.com/jetvol/jetvol/fsm"
	"github.com/jetvol/jetvol/volume"
	"github.com/jetvol/jetvol/worker"
)

// employ starts workers on one directory and returns a client.
func (p *place) employ(ids ...string) *commands.Client {
	p.t.Helper()
	dir := p.t.TempDir()
	for _, id := range ids {
		driver, err := local.Open(local.Options{Dir: dir})
		p.must(err)
		backend := backends.New("local", driver, backends.Options{})
		p.t.Cleanup(func() { p.must(backend.Close()) })
		w, err := worker.New(p.ctx, p.server.Connect(p.t), worker.Config{
			ID: id, Backends: map[string]*backends.Backend{"local": backend}, DefaultBackend: "local",
			Retry: fsm.DefaultRetryPolicy(), TombstoneTTL: time.Second, Logger: zerolog.Nop(),
		})
		p.must(err)
		ctx, cancel := context.WithCancel(context.Background())
		ended := make(chan error, 1)
		go func() { ended <- w.Run(ctx) }()
		p.t.Cleanup(func() { cancel(); p.must(<-ended) })
	}
	client, err := commands.New(p.server.Connect(p.t))
	p.must(err)
	p.t.Cleanup(func() { p.must(client.Close()) })
	return client
}

// days is what happens to a volume in a test: all that jetvol can do.
func days(name string) []commands.Request {
	source := volume.SnapshotKey{Volume: volume.Name(name), Snapshot: "s1"}
	clone := name + "-clone"
	do := func(name string, verb volume.Verb, args volume.Args) commands.Request {
		return commands.Request{Key: key(name), Verb: verb, Args: args}
	}
	node := volume.Args{Node: "n1", Mode: volume.ReadWrite}
	return []commands.Request{
		do(name+"-never", volume.VerbAttach, node), // a name with refusals only
		do(name, volume.VerbDelete, volume.Args{}), // refused, and then its first event
		do(name, volume.VerbCreate, volume.Args{Size: volume.MiB}),
		do(name, volume.VerbCreate, volume.Args{Size: volume.MiB}),
		do(name, volume.VerbAttach, node),
		do(name, volume.VerbNodeGone, volume.Args{Node: "n1", Reason: "fire"}),
		do(name, volume.VerbReconcile, volume.Args{}),
		do(name, volume.VerbSnapshot, volume.Args{Snapshot: "s1"}),
		do(clone, volume.VerbCreate, volume.Args{Source: source}),
		do(clone, volume.VerbFlatten, volume.Args{}),
		do(name, volume.VerbResize, volume.Args{Size: 2 * volume.MiB}),
		do(name, volume.VerbRestore, volume.Args{Snapshot: "s1"}),
		do(name, volume.VerbDelete, volume.Args{}), // it has a snapshot
		do(name, volume.VerbDeleteSnapshot, volume.Args{Snapshot: "s1"}),
		do(name, volume.VerbDelete, volume.Args{}),
		do(name, volume.VerbCreate, volume.Args{Size: volume.MiB}), // its second life
		do(clone, volume.VerbDelete, volume.Args{}),
	}
}

// While two workers are busy every verify has to be clean, and after them, when the records
// of deleted volumes and of mere refusals have expired.
func TestVerify_BusySystem_IsClean(t *testing.T) {
	p := newPlace(t)
	client := p.employ("w1", "w2")
	var work errgroup.Group
	for i := range 6 {
		work.Go(func() error {
			for round := range 2 {
				for _, request := range days(fmt.Sprintf("v-%d-%d", i, round)) {
					if reply, err := client.Do(p.ctx, request); reply.Outcome == "" {
						return fmt.Errorf("%s %s: %w", request.Verb, request.Key, err)
					}
				}
			}
			return nil
		})
	}
	ended := make(chan error, 1)
	go func() { ended <- work.Wait() }()
	verifies := 0
	for busy := true; busy; verifies++ {
		select {
		case err := <-ended:
			p.must(err)
			busy = false
		default:
		}
		p.wantClean(audit.Options{MaxVolumes: 1 + verifies%20})
	}
	report := p.wantClean(audit.Options{Strict: true})
	if report.Unchained != 0 || report.Volumes != 36 || report.Rejected < 36 {
		t.Errorf("%+v: want 36 volumes, with 3 refusals for each two or more, all chained", report)
	}
	t.Logf("%d verifies beside the workers; %d events", verifies, report.Events)
	p.awaitExpired("v-0-0-never")
	p.awaitExpired("v-0-0-clone")
	p.wantClean(audit.Options{Strict: true})
	p.wantClean(audit.Options{Project: "default", Volume: "v-0-0"})
	if report := p.wantClean(audit.Options{Project: "elsewhere"}); report.Events != 0 || report.Volumes != 0 {
		t.Errorf("another project: %+v", report)
	}
}

// awaitExpired waits until the bucket has no record of a name any more.
func (p *place) awaitExpired(name string) {
	p.t.Helper()
	for change, err := range p.records.Watch(p.ctx, "default."+name) {
		p.must(err)
		if change.Kind == "deleted" {
			return
		}
		if change.Kind == "caught_up" {
			if _, _, err := p.records.Head(p.ctx, "default."+name); err != nil {
				return
			}
		}
	}
	p.t.Fatalf("record of %s did not expire", name)
}
