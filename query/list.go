package query

import (
	"context"
	"encoding/json"
	"slices"
	"strings"

	"github.com/jetvol/jetvol/kv"
	"github.com/jetvol/jetvol/snapshots/filters"
	"github.com/jetvol/jetvol/volume"
)

// MaxLookedAt is how many records one request looks at, so that a filter of which little
// holds does not keep a worker busy. What follows is for the next request.
const MaxLookedAt = 10 * kv.MaxPageSize

// List returns a page of volumes; see [Reader].
func (l *Local) List(ctx context.Context, request ListRequest) (ListReply, error) {
	if err := request.Validate(); err != nil {
		return ListReply{}, err
	}
	filter, err := request.filter()
	if err != nil {
		return ListReply{}, err
	}
	p := page{request: request, filter: filter, most: l.maxReply, reply: ListReply{Volumes: []Stored{}, Consistency: Replica}}
	for cursor := request.After; ; {
		found, next, err := l.records.List(ctx, kv.ListOptions{Filter: request.keys(), After: cursor, Limit: p.size()})
		if err := p.note(err); err != nil {
			return ListReply{}, err
		}
		if full := p.take(found); full {
			return p.reply, nil
		}
		if next == 0 {
			p.reply.Next = 0
			return p.reply, nil
		}
		cursor, p.reply.Next = next, next
		if p.reply.LookedAt >= MaxLookedAt || len(p.reply.Volumes) == limitOf(request.Limit) {
			return p.reply, nil
		}
	}
}

// keys is the filter of the bucket's keys.
func (r ListRequest) keys() string {
	if r.Project == "" {
		return ""
	}
	return string(r.Project) + ".*"
}

// page is a reply in the making.
type page struct {
	request ListRequest
	filter  filters.Filter
	most    int // bytes of its JSON
	bytes   int
	reply   ListReply
}

// size is how many records to read next: as many as are wanted still, or many if most may
// not be meant.
func (p *page) size() int {
	if p.request.selects() {
		return kv.MaxPageSize
	}
	return max(limitOf(p.request.Limit)-len(p.reply.Volumes), kv.DefaultPageSize)
}

// note takes errors of single records into the reply and returns all others.
func (p *page) note(err error) error {
	if !kv.Unreadable(err) {
		return err
	}
	for line := range strings.Lines(err.Error()) {
		p.unreadable(strings.TrimSpace(line))
	}
	return nil
}

// maxUnreadable bounds what is told of records that cannot be read.
const maxUnreadable = 100

func (p *page) unreadable(text string) {
	if len(p.reply.Unreadable) < maxUnreadable {
		p.reply.Unreadable = append(p.reply.Unreadable, text)
		p.bytes += len(text) + jsonOverhead
	}
}

// jsonOverhead is more than what a member of a list takes beside its own text.
const jsonOverhead = 64

// take adds the records that are meant and reports whether no more are wanted: then the
// cursor stands at the last one that was looked at, and is not 0 even if none follow.
func (p *page) take(found []kv.Entry[volume.Record]) (full bool) {
	for i, entry := range found {
		if !p.matches(entry.Value) {
			p.reply.LookedAt++
			continue
		}
		stored := Stored{entry.Value, entry.Revision}
		size := sizeOf(stored)
		switch {
		case p.bytes+size <= p.most:
			p.reply.Volumes = append(p.reply.Volumes, stored)
			p.bytes += size
		case len(p.reply.Volumes) > 0:
			p.reply.Next = before(found, i, p.reply.Next)
			return true
		default: // it would never fit
			p.unreadable("volume " + entry.Key + ": its record is too large for a reply")
		}
		p.reply.LookedAt++
		if len(p.reply.Volumes) == limitOf(p.request.Limit) && i < len(found)-1 {
			p.reply.Next = entry.Revision
			return true
		}
	}
	return false
}

// before is the cursor with which the record at i comes next.
func before(found []kv.Entry[volume.Record], i int, cursor uint64) uint64 {
	if i == 0 {
		return cursor
	}
	return found[i-1].Revision
}

func sizeOf(stored Stored) int {
	data, err := json.Marshal(stored)
	if err != nil {
		return jsonOverhead // it was JSON a moment ago
	}
	return len(data) + jsonOverhead
}

// selects reports whether the request leaves out records that its project has, besides
// deleted ones.
func (r ListRequest) selects() bool {
	return len(r.States) > 0 || r.Node != "" || r.Backend != "" || len(r.Labels) > 0 || r.Drifted || r.NamePrefix != "" || len(r.Filter) > 0
}

func (p *page) matches(r volume.Record) bool {
	wanted := p.request
	return wanted.shows(r) && wanted.matchesSpec(r.Spec) && strings.HasPrefix(string(r.Name), wanted.NamePrefix) &&
		p.filter.Match(fieldsOf(r))
}

// shows reports whether the volume's state is wanted.
func (r ListRequest) shows(record volume.Record) bool {
	if len(r.States) > 0 && !slices.Contains(r.States, record.State) {
		return false
	}
	return record.Exists() || r.IncludeDeleted || slices.Contains(r.States, volume.StateDeleted)
}

func (r ListRequest) matchesSpec(spec volume.Spec) bool {
	if _, held := spec.Attachments.Of(r.Node); r.Node != "" && !held {
		return false
	}
	for key, value := range r.Labels {
		if have, found := spec.Labels[key]; !found || have != value {
			return false
		}
	}
	return (r.Backend == "" || spec.Backend == r.Backend) && (!r.Drifted || spec.Drift != nil)
}

// fieldsOf lets a filter read a record.
func fieldsOf(r volume.Record) filters.Adaptor {
	return filters.AdaptorFunc(func(path []string) (string, bool) {
		if path[0] == "labels" {
			value, there := r.Labels[path[1]]
			return value, there
		}
		value := plainField(r, path[0])
		return value, value != ""
	})
}

func plainField(r volume.Record, name string) string {
	switch name {
	case "project":
		return string(r.Project)
	case "name":
		return string(r.Name)
	case "id":
		return string(r.ID)
	case "state":
		return string(r.State)
	case "backend":
		return r.Backend
	case "node":
		return nodesOf(r.Attachments)
	case "drift":
		return r.Drift.String()
	case "source":
		return r.Source.String()
	case "owner":
		return r.Owner.Worker
	case "verb":
		if r.Op != nil {
			return string(r.Op.Verb)
		}
	}
	return ""
}

func nodesOf(holders volume.Attachments) string {
	names := make([]string, len(holders))
	for i, one := range holders {
		names[i] = string(one.Node)
	}
	return strings.Join(names, ",")
}
