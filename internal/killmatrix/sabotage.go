package main

import (
	"maps"
	"slices"
	"strings"
)

// sabotages are faults that the matrix has to find: each is put into the copy and never
// into the module. With -sabotage a run without failures is the failure.
var sabotages = map[string]edit{
	"ack-before-work": {
		"worker/execute.go",
		"	if e.head.record.Op == nil {\n		outcome, err = e.begin(ctx)",
		"	_ = e.worker.nc.Publish(e.delivery.msg.Reply(), []byte(\"+ACK\"))\n	if e.head.record.Op == nil {\n		outcome, err = e.begin(ctx)",
	},
	"act-before-record": {
		"worker/execute.go",
		"	return decision.Outcome, e.commit(ctx, decision)\n",
		"	if decision.Record.Op != nil {\n		e.head.record = decision.Record\n		_, _ = e.act(ctx, decision.Action)\n	}\n	return decision.Outcome, e.commit(ctx, decision)\n",
	},
	"outbox-not-resumed": {
		"worker/head.go",
		"		if published[t.ID] {",
		"		if true || published[t.ID] {",
	},
	"answer-not-spilled": {
		"worker/spill.go",
		"			_, err := w.outcomes.Put(ctx, key, outcome)\n",
		"			_, err := outcome, error(nil)\n",
	},
	"attach-not-repeatable": {
		"backends/local/change.go",
		"	if _, held := found.Attachments.Of(node); held {\n		return d.attachment(ref.Key, wanted), d.dir.sync()",
		"	if _, held := found.Attachments.Of(node); held {\n		return volume.Attachment{}, backends.HeldBy(found.Attachments)",
	},
	"ceph-attach-not-repeatable": {
		"backends/ceph/attach.go",
		"	return h.has(node), backends.CheckAttach(h.attachments(), node, mode)\n",
		"	if h.has(node) {\n		return false, backends.HeldBy(h.attachments())\n	}\n	return false, backends.CheckAttach(h.attachments(), node, mode)\n",
	},
	"ceph-image-left": {
		"backends/ceph/remove.go",
		"	err := rbd.RemoveImage(c.io, name)\n",
		"	if err := c.io.SetOmap(\"rbd_header.left\", map[string][]byte{\"size\": nil}); err != nil {\n		return err\n	}\n	err := rbd.RemoveImage(c.io, name)\n",
	},
	"adopt-not-repeatable": {
		"worker/adopt.go",
		"		if info.Name.Snapshot == snapshot.Name {\n			return nil\n",
		"		if info.Name.Snapshot == snapshot.Name {\n			return volume.Errorf(volume.ErrSnapshotExists, \"it is entered\")\n",
	},
	"clone-stays-entered": {
		"worker/snapshot.go",
		"	err = e.leaveClone(ctx)\n",
		"	err = error(nil)\n",
	},
	"snapshot-made-once-only": {
		"worker/snapshot.go",
		"	if err := backend.DeleteSnapshot(ctx, ref, name); err != nil {\n		return err\n	}\n	if _, err",
		"	if listed, _ := backend.ListSnapshots(ctx, ref); len(listed) > 0 {\n		return nil\n	}\n	if _, err",
	},
	"assumption-not-proved": {
		"worker/head.go",
		"	if h.record.Assumed {\n		return h.prove(ctx)",
		"	if h.record.Assumed {\n		h.record.Assumed = false\n		return nil",
	},
	"assumed-record-believed": {
		"worker/head.go",
		"	h := &head{record: entry.Value, revision: entry.Revision}\n",
		"	entry.Value.Assumed = false\n	h := &head{record: entry.Value, revision: entry.Revision}\n",
	},
	"event-told-by-its-id": {
		"events/publisher.go",
		"	case !found.Data.Same(*d.transition):",
		"	case found.Data.ID != d.transition.ID:",
	},
	"import-not-repeatable": {
		"backends/local/import.go",
		"	return found.Size, d.dir.sync()\n",
		"	return 0, backends.Errorf(volume.AlreadyExists, \"it is here\")\n",
	},
	"no-reset": {
		"worker/partition.go",
		"	if _, err := p.worker.stream.ResetConsumerToSequence(ctx, p.consumerName(), 1); err != nil {",
		"	if err := error(nil); err != nil {",
	},
	"quota-settled-by-nobody-else": {
		"worker/quota.go",
		"	fresh := !e.meter.reserved && (repeat || e.meter.cold || e.meter.unmetered)\n",
		"	if !e.meter.reserved {\n		return nil\n	}\n	fresh := false\n",
	},
	"reply-after-ack": {
		"worker/execute.go",
		"	e.worker.reply(e.delivery.envelope, *outcome, repeat)\n",
		"	defer e.worker.reply(e.delivery.envelope, *outcome, repeat)\n",
	},
	"letter-with-a-new-id": {
		"commands/deadletter_encode.go",
		"		letter.Header.Set(jetstream.MsgIDHeader, id)",
		"		letter.Header.Set(jetstream.MsgIDHeader, id+time.Now().String())",
	},
	"operation-begun-anew": {
		"worker/execute.go",
		"	if e.head.record.Op == nil {\n		outcome, err = e.begin(ctx)",
		"	if e.head.record.Op != nil && e.head.record.Owner.Instance != e.worker.member.Instance() {\n		e.head.record.Op = nil\n	}\n	if e.head.record.Op == nil {\n		outcome, err = e.begin(ctx)",
	},
}

func sabotageNames() string {
	return strings.Join(slices.Sorted(maps.Keys(sabotages)), ", ")
}
