package audit_test

import (
	"context"
	"errors"
	"strings"
	"testing"

	"github.com/nats-io/nats.go/jetstream"

	"github.com/jetvol/jetvol/audit"
	"github.com/jetvol/jetvol/events"
	"github.com/jetvol/jetvol/kv"
	"github.com/jetvol/jetvol/volume"
)

func (p *place) checkpoint() *audit.CheckpointMark {
	p.t.Helper()
	mark, report, err := audit.TakeCheckpoint(p.ctx, p.js, "test", audit.Options{})
	p.must(err)
	if mark == nil {
		p.t.Fatalf("no checkpoint: %v", report.Faults)
	}
	return mark
}

// age takes away all events before a sequence, as a MaxAge would.
func (p *place) age(before uint64) {
	p.t.Helper()
	config := events.StreamConfig(1)
	config.DenyPurge, config.DenyDelete = false, false
	// A denial cannot be taken back, so the stream is made anew, with what is left of it.
	stream, err := p.js.Stream(p.ctx, events.StreamName)
	p.must(err)
	var left []*jetstream.RawStreamMsg
	for sequence := before; sequence <= stream.CachedInfo().State.LastSeq; sequence++ {
		msg, err := stream.GetMsg(p.ctx, sequence)
		p.must(err)
		left = append(left, msg)
	}
	p.must(p.js.DeleteStream(p.ctx, events.StreamName))
	config.FirstSeq = before
	_, err = p.js.CreateStream(p.ctx, config)
	p.must(err)
	for _, msg := range left {
		_, err := p.js.Publish(p.ctx, strings.Replace(msg.Subject, "volume.event.", "volume.tx.", 1), msg.Data)
		p.must(err)
	}
}

// grow settles volumes of 12 events each: v-1 at sequences 1 to 12, v-2 at 13 to 24 …
func (p *place) grow(names ...string) []*life {
	p.t.Helper()
	var lives []*life
	for _, name := range names {
		lives = append(lives, lead(p.t, name, 12))
	}
	p.settle(lives...)
	return lives
}

// goOn lets a settled volume be attached.
func (p *place) goOn(l *life) {
	p.t.Helper()
	n := len(l.events)
	l.begin(volume.VerbAttach)
	l.succeed()
	p.publish(l.events[n:]...)
	p.keep(l.record)
}

func (p *place) wantFault(o audit.Options, volume string, kind audit.Kind) {
	p.t.Helper()
	report := p.verify(o)
	if len(report.Faults) != 1 || report.Faults[0].Volume != volume || report.Faults[0].Kind != kind {
		p.t.Errorf("got %v, want %s: %s", report.Faults, volume, kind)
	}
}

func TestVerify_AgedWithoutCheckpoint_SaysWhatIsUnproven(t *testing.T) {
	p := newPlace(t)
	p.grow("v-1", "v-2", "v-3")
	p.age(18)
	report := p.wantClean(audit.Options{})
	// v-1 has lost all its events, v-2 five of them.
	if report.Unproven != 2 || len(report.UnprovenVolumes) != 2 || report.UnprovenVolumes[1].Volume != "default.v-2" ||
		report.UnprovenVolumes[1].Before != 5 || report.FromSequence != 18 {
		t.Errorf("got %+v, want v-1 and v-2 unproven", report)
	}
	if strict := p.verify(audit.Options{Strict: true}); len(strict.Faults) != 2 || strict.Faults[0].Kind != audit.Unproven {
		t.Errorf("strict: got %v", strict.Faults)
	}
}

func TestVerify_AgedBehindACheckpoint_IsProven(t *testing.T) {
	for _, first := range []uint64{7, 18, 37, 38, 39} {
		p := newPlace(t)
		lives := p.grow("v-1", "v-2", "v-3")
		mark := p.checkpoint()
		if mark.Sequence != 36 || mark.Volumes != 3 || len(mark.Digest) != 64 || mark.By != "test" {
			t.Fatalf("got %+v", mark)
		}
		p.goOn(lives[0]) // sequences 37 and 38
		p.grow("v-4")
		p.age(first)
		for _, since := range []bool{false, true} {
			report := p.verify(audit.Options{SinceCheckpoint: since, Strict: true})
			if first >= 38 { // 37 was behind the checkpoint; of 39 on, 38 is in the outbox only
				if len(report.Faults) != 1 || report.Faults[0].Kind != audit.Unproven || report.Faults[0].Volume != "default.v-1" {
					t.Errorf("aged to %d: got %v, want v-1 unproven", first, report.Faults)
				}
				continue
			}
			if !report.Clean() || report.Unproven != 0 || report.Volumes != 4 {
				t.Errorf("aged to %d, since the checkpoint %v: got %+v", first, since, report)
			}
		}
	}
}

// A record keeps its last events until the next ones; some of them have aged out.
func TestVerify_OutboxOfBeforeTheStream_IsNotTakenForNews(t *testing.T) {
	p := newPlace(t)
	l := p.grow("v-1")[0]
	p.checkpoint()
	p.goOn(l) // sequences 13 and 14
	p.age(14)
	l.record.Outbox = l.events[len(l.events)-2:]
	l.record.Size++
	p.keep(l.record)
	p.wantFault(audit.Options{}, "default.v-1", audit.RecordDiffers)
}

func TestVerify_BehindACheckpoint_FindsDamage(t *testing.T) {
	for name, test := range map[string]struct {
		damage func(p *place, l *life)
		kind   audit.Kind
	}{
		"first one left does not chain": {func(p *place, l *life) {
			ahead := *l
			ahead.begin(volume.VerbAttach)
			ahead.succeed()
			p.publish(ahead.events[13])
			p.keep(ahead.record)
		}, audit.MissingEvent},
		"record edited":  {func(p *place, l *life) { l.record.Size++; p.keep(l.record) }, audit.RecordDiffers},
		"record deleted": {func(p *place, _ *life) { p.must(p.records.Delete(p.ctx, "default.v-1", p.revision("v-1"))) }, audit.RecordMissing},
		"record ahead": {func(p *place, l *life) {
			l.begin(volume.VerbAttach)
			l.succeed()
			p.keep(l.record)
		}, audit.EventMissingForRecord},
	} {
		for _, aged := range []bool{false, true} {
			t.Run(name, func(t *testing.T) {
				p := newPlace(t)
				lives := p.grow("v-1", "v-2")
				p.checkpoint()
				if aged {
					p.age(25)
				}
				test.damage(p, lives[0])
				for _, since := range []bool{false, true} {
					report := p.verify(audit.Options{SinceCheckpoint: since})
					if len(report.Faults) != 1 || report.Faults[0].Volume != "default.v-1" {
						t.Fatalf("aged %v, since %v: got %v, want %s of v-1", aged, since, report.Faults, test.kind)
					}
					if kind := report.Faults[0].Kind; kind != test.kind && !aged {
						t.Errorf("since %v: got %s, want %s", since, report.Faults[0], test.kind)
					}
				}
			})
		}
	}
}

func (p *place) revision(name string) uint64 {
	p.t.Helper()
	revision, _, err := p.records.Head(p.ctx, key(name).String())
	p.must(err)
	return revision
}

// A history that was written anew, well-formed, is not the one that the checkpoint saw.
func TestVerify_HistoryWrittenAnew_ContradictsTheCheckpoint(t *testing.T) {
	for n, kind := range map[int]audit.Kind{10: audit.MissingEvent, 12: audit.AlteredEvent, 14: audit.AlteredEvent} {
		p := newPlace(t)
		p.grow("v-1")
		p.checkpoint()
		other := newPlace(t)
		forged := lead(t, "v-1", n)
		forged.events[0].Actor = "mallory"
		forged.rechain(1)
		other.settle(forged)
		other.wantClean(audit.Options{})
		copyBucket(p, other, kv.CheckpointsBucket)
		other.wantFault(audit.Options{}, "default.v-1", kind)
	}
}

// copyBucket copies what a bucket has to another server.
func copyBucket(from, to *place, name string) {
	from.t.Helper()
	source, err := from.js.KeyValue(from.ctx, name)
	from.must(err)
	target, err := to.js.KeyValue(to.ctx, name)
	to.must(err)
	keys, err := source.Keys(from.ctx)
	from.must(err)
	for _, key := range keys {
		entry, err := source.Get(from.ctx, key)
		from.must(err)
		_, err = target.Put(to.ctx, key, entry.Value())
		to.must(err)
	}
}

func TestVerify_AlteredCheckpoint_IsNamed(t *testing.T) {
	for name, alter := range map[string]func(*audit.VolumeMark){
		"generation": func(m *audit.VolumeMark) { m.Generation++ },
		"content":    func(m *audit.VolumeMark) { m.Content = strings.Repeat("0", 32) },
		"no mark":    func(m *audit.VolumeMark) { m.EventHash = "x" },
		"other":      func(m *audit.VolumeMark) { m.Checkpoint++ },
	} {
		t.Run(name, func(t *testing.T) {
			p := newPlace(t)
			p.grow("v-1", "v-2")
			p.checkpoint()
			p.age(25)
			marks := kv.Open[audit.VolumeMark](p.js, kv.CheckpointsBucket)
			entry, err := marks.Get(p.ctx, "a.default.v-2")
			p.must(err)
			alter(&entry.Value)
			_, err = marks.CompareAndSet(p.ctx, entry.Key, entry.Value, entry.Revision)
			p.must(err)
			report := p.verify(audit.Options{})
			found := false
			for _, fault := range report.Faults {
				found = found || fault.Kind == audit.AlteredCheckpoint && fault.Volume == "_"
			}
			if !found {
				t.Errorf("got %v, want altered_checkpoint", report.Faults)
			}
		})
	}
}

// Each checkpoint stands on the one before, so events may age out between them for ever.
func TestCheckpoint_OnACheckpoint_VouchesForAll(t *testing.T) {
	p := newPlace(t)
	lives := p.grow("v-1", "v-2", "v-3")
	for round := range 4 {
		mark, _, err := audit.TakeCheckpoint(p.ctx, p.js, "test", audit.Options{MaxVolumes: 1 + round})
		p.must(err)
		if mark == nil || mark.Slot != []string{"a", "b"}[round%2] || mark.Volumes != 3 {
			t.Fatalf("round %d: got %+v", round, mark)
		}
		p.age(mark.Sequence + 1)
		report := p.wantClean(audit.Options{Strict: true, MaxVolumes: 4 - round})
		if report.Volumes != 3 || report.Events != 0 || report.Checkpoint.Digest != mark.Digest {
			t.Errorf("round %d: got %+v", round, report)
		}
		if round == 0 {
			p.goOn(lives[1])
		}
	}
}

// What the one that lost has written was of another sequence, in the same slot.
func TestCheckpoint_TwoAtOnce_OneIsInForce(t *testing.T) {
	for _, earlier := range []int{0, 1} {
		p := newPlace(t)
		lives := p.grow("v-1", "v-2", "v-3")
		for range earlier {
			p.checkpoint()
		}
		var other *audit.CheckpointMark
		mark, _, err := audit.TakeCheckpoint(p.ctx, p.js, "slow", audit.Options{MaxVolumes: 1, Progress: func(at audit.Progress) {
			if at.Pass > 1 && other == nil {
				p.goOn(lives[1])
				other = p.checkpoint()
			}
		}})
		if mark != nil || !errors.Is(err, kv.ErrConflict) || other == nil {
			t.Fatalf("after %d: got %+v, %v, want a conflict", earlier, mark, err)
		}
		if report := p.wantClean(audit.Options{}); report.Checkpoint.Digest != other.Digest {
			t.Errorf("after %d: got %+v, want %+v", earlier, report.Checkpoint, other)
		}
		p.checkpoint()
	}
}

func TestVerify_CheckpointWhileFirstIsWritten_StandsOnNone(t *testing.T) {
	p := newPlace(t)
	p.grow("v-1", "v-2", "v-3")
	looked := false
	_, _, err := audit.TakeCheckpoint(p.ctx, p.js, "slow", audit.Options{MaxVolumes: 1, Progress: func(at audit.Progress) {
		if at.Pass > 1 && !looked {
			looked = true
			if report := p.wantClean(audit.Options{}); report.Checkpoint != nil {
				t.Errorf("got %+v, want none", report.Checkpoint)
			}
		}
	}})
	p.must(err)
	if report := p.wantClean(audit.Options{}); !looked || report.Checkpoint == nil {
		t.Errorf("looked %v, got %+v", looked, report.Checkpoint)
	}
}

// By the second one the slot of the first is written over, which the verify has begun with.
func TestVerify_CheckpointsTakenMeanwhile_IsAborted(t *testing.T) {
	p := newPlace(t)
	lives := p.grow("v-1", "v-2", "v-3")
	p.checkpoint()
	taken := false
	_, err := audit.Verify(p.ctx, p.js, audit.Options{MaxVolumes: 1, Progress: func(audit.Progress) {
		if taken {
			return
		}
		taken = true
		for _, l := range lives[:2] {
			p.goOn(l)
			p.checkpoint()
		}
	}})
	if !errors.Is(err, volume.Aborted) {
		t.Errorf("got %v, want aborted", err)
	}
}

func TestCheckpoint_WithFaults_IsNotTaken(t *testing.T) {
	p := newPlace(t)
	lives := p.grow("v-1", "v-2")
	first := p.checkpoint()
	lives[1].record.Size++
	p.keep(lives[1].record)
	mark, report, err := audit.TakeCheckpoint(p.ctx, p.js, "test", audit.Options{})
	if mark != nil || err != nil || len(report.Faults) != 1 {
		t.Fatalf("got %+v, %v, %v", mark, report.Faults, err)
	}
	lives[1].record.Size--
	p.keep(lives[1].record)
	if report := p.wantClean(audit.Options{}); report.Checkpoint.Digest != first.Digest {
		t.Errorf("got %+v, want the first checkpoint in force", report.Checkpoint)
	}
}

func TestVerify_ManyPasses_FindTheSame(t *testing.T) {
	p := newPlace(t)
	var names []string
	for c := 'a'; c <= 'z'; c++ {
		names = append(names, "v-"+string(c))
	}
	lives := p.grow(names...)
	lives[3].record.Size++
	p.keep(lives[3].record)
	one := p.verify(audit.Options{})
	many := p.verify(audit.Options{MaxVolumes: 3})
	if many.Passes < 8 || one.Passes != 1 {
		t.Errorf("passes: %d and %d", one.Passes, many.Passes)
	}
	if many.Events != one.Events || many.Rejected != one.Rejected || many.Volumes != 26 || many.Records != 26 || len(many.Faults) != 1 || many.Faults[0] != one.Faults[0] {
		t.Errorf("in %d passes: %+v\nin one: %+v", many.Passes, many, one)
	}
}

func TestVerify_Options(t *testing.T) {
	p := newPlace(t)
	if _, err := audit.Verify(p.ctx, p.js, audit.Options{Volume: "v"}); !errors.Is(err, volume.ErrInvalidArgument) {
		t.Errorf("a volume of no project: %v", err)
	}
	if _, err := audit.Verify(p.ctx, p.js, audit.Options{SinceCheckpoint: true}); !errors.Is(err, volume.NotFound) {
		t.Errorf("since no checkpoint: %v", err)
	}
	ctx, cancel := context.WithCancel(p.ctx)
	cancel()
	if _, err := audit.Verify(ctx, p.js, audit.Options{}); err == nil {
		t.Error("a context that has ended: no error")
	}
	p.must(p.js.DeleteStream(p.ctx, "KV_"+kv.CheckpointsBucket)) // of a server from before there were checkpoints
	p.wantClean(audit.Options{})
}
