package query

import (
	"context"
	"encoding/json"

	"github.com/jetvol/jetvol/events"
)

// History returns events of a volume; see [Reader].
func (l *Local) History(ctx context.Context, request HistoryRequest) (HistoryReply, error) {
	if err := request.Validate(); err != nil {
		return HistoryReply{}, err
	}
	reply := HistoryReply{Events: []Event{}, Consistency: Replica}
	last, size, limit := request.After, 0, limitOf(request.Limit)
	filter := events.Filter{Project: request.Project, Volume: request.Volume, From: request.After + 1}
	for stored, err := range events.Read(ctx, l.js, filter) {
		if err != nil && stored.Sequence == 0 {
			return HistoryReply{}, err
		}
		event := Event{Sequence: stored.Sequence, StoredAt: stored.StoredAt, Transition: stored.Data}
		size += sizeOfEvent(event)
		if size > l.maxReply && len(reply.Events) > 0 || len(reply.Events)+len(reply.Unreadable) == limit {
			reply.Next = last
			return reply, nil
		}
		if err != nil {
			reply.Unreadable = append(reply.Unreadable, err.Error())
			size += len(err.Error()) + jsonOverhead
		} else {
			reply.Events = append(reply.Events, event)
		}
		last = stored.Sequence
	}
	return reply, nil
}

func sizeOfEvent(event Event) int {
	data, err := json.Marshal(event)
	if err != nil {
		return jsonOverhead // it was JSON a moment ago
	}
	return len(data) + jsonOverhead
}
