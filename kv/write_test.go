package kv_test

import (
	"errors"
	"fmt"
	"testing"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"

	"github.com/jetvol/jetvol/internal/natstest"
	"github.com/jetvol/jetvol/kv"
)

// refusing refuses some writes as a replicated stream does while another write to the
// key is in flight that then comes to nothing.
type refusing struct {
	jetstream.JetStream
	left int
}

func (r *refusing) PublishMsgAsync(m *nats.Msg, options ...jetstream.PublishOpt) (jetstream.PubAckFuture, error) {
	if r.left > 0 {
		r.left--
		refusal := make(answer, 1)
		refusal <- &jetstream.APIError{Code: 400, ErrorCode: jetstream.JSErrCodeStreamWrongLastSequenceConstant, Description: "wrong last sequence"}
		return refusal, nil
	}
	return r.JetStream.PublishMsgAsync(m, options...)
}

func TestBucket_RefusedWithoutConflict_TriesAgain(t *testing.T) {
	js := startStore(t)
	const always = 1 << 20
	tests := []struct {
		name     string
		refusals int
		prior    prior
		create   bool
		want     error
		status   string
	}{
		{"set", 2, priorLive, false, nil, "new"},
		{"set of a changed record", 2, priorChanged, false, kv.ErrConflict, "second"},
		{"set, refused for ever", always, priorLive, false, kv.ErrUnavailable, "first"},
		{"create", 2, priorNothing, true, nil, "new"},
		{"create over a marker", 2, priorDeleted, true, nil, "new"},
		{"create of an existing record", 1, priorLive, true, kv.ErrExists, "first"},
		{"create, refused for ever", always, priorNothing, true, kv.ErrUnavailable, ""},
	}
	for i, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			key := fmt.Sprintf("default.refused-%d", i)
			read, _ := prepare(t, openItems(js), key, tt.prior)
			b := openItems(&refusing{js, tt.refusals})
			var err error
			if tt.create {
				_, err = b.Create(testContext(t), key, item{1, "new"})
			} else {
				_, err = b.CompareAndSet(testContext(t), key, item{1, "new"}, read)
			}
			if !errors.Is(err, tt.want) {
				t.Errorf("got %v, want %v", err, tt.want)
			}
			wantStatus(t, openItems(js), key, tt.status)
		})
	}
}

// The same races as on one server, where conflicts come in another form.
func TestBucket_Race_ThreeReplicas_OneWins(t *testing.T) {
	js := natstest.StartCluster(t, 3).JetStream(t)
	provision(t, js, 3)
	b := openItems(js)
	for round := range 20 {
		key := fmt.Sprintf("default.race-%d", round)
		revisions, errs := race(16, func(i int) (uint64, error) {
			return b.Create(testContext(t), key, item{1, fmt.Sprint("by ", i)})
		})
		checkRace(t, b, key, revisions, errs, kv.ErrExists)
		revision, _, err := b.Head(testContext(t), key)
		if err != nil {
			t.Fatal(err)
		}
		revisions, errs = race(10, func(i int) (uint64, error) {
			return b.CompareAndSet(testContext(t), key, item{1, fmt.Sprint("by ", i)}, revision)
		})
		checkRace(t, b, key, revisions, errs, kv.ErrConflict)
	}
}
