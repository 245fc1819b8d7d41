package kv_test

import (
	"context"
	"errors"
	"strings"
	"testing"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"

	"github.com/jetvol/jetvol/internal/natstest"
	"github.com/jetvol/jetvol/kv"
	"github.com/jetvol/jetvol/volume"
)

// requests returns the subjects of the JetStream API that do asked for, as a
// subscriber of the same account sees them.
func requests(t *testing.T, s *natstest.Server, do func()) []string {
	t.Helper()
	tap := s.Connect(t)
	sub, err := tap.SubscribeSync("$JS.API.>")
	if err != nil {
		t.Fatal(err)
	}
	if err := tap.Flush(); err != nil {
		t.Fatal(err)
	}
	do()
	// What the server took in before this flush is delivered before its answer.
	if err := tap.Flush(); err != nil {
		t.Fatal(err)
	}
	var subjects []string
	for {
		m, err := sub.NextMsg(time.Millisecond)
		if err != nil {
			return subjects
		}
		subjects = append(subjects, strings.TrimPrefix(m.Subject, "$JS.API."))
	}
}

func TestBucket_Reads_AskWhomTheyPromise(t *testing.T) {
	s := natstest.Start(t)
	js := s.JetStream(t)
	provision(t, js, 1)
	mustCreate(t, openItems(js), "default.db-01", "available")
	const (
		leader = "STREAM.MSG.GET.KV_volumes"
		direct = "DIRECT.GET.KV_volumes.$KV.volumes.default.db-01"
	)
	ctx := testContext(t)
	tests := []struct {
		name string
		read func(*kv.Bucket[item]) error
		want []string
	}{
		{"get", func(b *kv.Bucket[item]) error { _, err := b.Get(ctx, "default.db-01"); return err }, []string{leader}},
		{"head", func(b *kv.Bucket[item]) error { _, _, err := b.Head(ctx, "default.db-01"); return err }, []string{leader}},
		{
			"direct", func(b *kv.Bucket[item]) error { _, err := b.GetDirect(ctx, "default.db-01"); return err },
			[]string{"STREAM.INFO.KV_volumes", direct},
		},
		{"open", func(*kv.Bucket[item]) error { return nil }, nil},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			got := requests(t, s, func() {
				if err := tt.read(openItems(js)); err != nil {
					t.Error(err)
				}
			})
			if strings.Join(got, " ") != strings.Join(tt.want, " ") {
				t.Errorf("asked %v, want %v", got, tt.want)
			}
		})
	}
}

// A JetStream of another domain or prefix is reached through its prefix.
func TestBucket_Domain(t *testing.T) {
	s := natstest.Start(t, natstest.WithDomain("hub"))
	nc := s.Connect(t)
	domain, err := jetstream.NewWithDomain(nc, "hub")
	if err != nil {
		t.Fatal(err)
	}
	provision(t, domain, 1)
	prefixed, err := jetstream.NewWithAPIPrefix(nc, "$JS.hub.API")
	if err != nil {
		t.Fatal(err)
	}
	for name, js := range map[string]jetstream.JetStream{"domain": domain, "prefix": prefixed} {
		b := openItems(js)
		mustCreate(t, b, "default."+name, "there")
		wantStatus(t, b, "default."+name, "there")
	}
}

func TestBucket_TTL_ExpiresIntoMarker(t *testing.T) {
	js := startStore(t)
	b := openItems(js)
	ctx := testContext(t)
	kept := mustCreate(t, b, "default.kept", "tombstone")
	kept, err := b.CompareAndSet(ctx, "default.kept", item{1, "tombstone"}, kept, kv.TTL(time.Second))
	if err != nil {
		t.Fatal(err)
	}
	if _, err := b.CompareAndSet(ctx, "default.kept", item{1, "recreated"}, kept); err != nil {
		t.Fatal(err)
	}
	// Less than a second is rounded up, not refused.
	revision, err := b.Create(ctx, "default.gone", item{1, "tombstone"}, kv.TTL(time.Millisecond))
	if err != nil {
		t.Fatal(err)
	}
	marker := awaitDeleted(t, b, "default.gone")
	if marker <= revision {
		t.Errorf("marker at revision %d, want one after %d", marker, revision)
	}
	wantStatus(t, b, "default.gone", "")
	if _, err := b.CompareAndSet(ctx, "default.gone", item{1, "late"}, revision); !errors.Is(err, kv.ErrNotFound) {
		t.Errorf("set of an expired record: got %v, want %v", err, kv.ErrNotFound)
	}
	if created := mustCreate(t, b, "default.gone", "new life"); created != marker+1 {
		t.Errorf("created at revision %d, want %d: directly over the marker", created, marker+1)
	}
	wantStatus(t, b, "default.gone", "new life")
	// A later write without a TTL makes the record permanent, and says so here: it was
	// to expire before the other one.
	wantStatus(t, b, "default.kept", "recreated")
}

func TestBucket_Delete_MarkerExpires(t *testing.T) {
	js := startStore(t)
	b := openItems(js)
	ctx := testContext(t)
	revision := mustCreate(t, b, "default.db-01", "old")
	if err := b.Delete(ctx, "default.db-01", revision, kv.TTL(time.Second)); err != nil {
		t.Fatal(err)
	}
	wantStatus(t, b, "default.db-01", "")
	mustCreate(t, b, "default.db-01", "new")
	wantStatus(t, b, "default.db-01", "new")
}

// awaitDeleted waits until key is told as deleted and returns the marker's revision.
func awaitDeleted(t *testing.T, b *kv.Bucket[item], key string) uint64 {
	t.Helper()
	for change, err := range b.Watch(testContext(t), key) {
		if err != nil {
			t.Fatal(err)
		}
		if change.Kind == kv.Deleted {
			return change.Revision
		}
	}
	t.Fatalf("%s was never told as deleted", key)
	return 0
}

// restricted is a user who may use the bucket of volumes, but only read in the project
// "closed", and who may not read or write the outcomes at all.
var restricted = natstest.WithUsers(
	natstest.User{Name: "admin", Password: "admin"},
	natstest.User{
		Name: "worker", Password: "worker",
		PublishAllow: []string{"$KV.volumes.>", "$JS.API.*.*.KV_volumes.>", "$JS.API.STREAM.MSG.GET.KV_volumes", "$JS.API.STREAM.INFO.>", "$JS.API.CONSUMER.>"},
		PublishDeny:  []string{"$KV.volumes.closed.*", "$JS.API.CONSUMER.CREATE.KV_outcomes.>"},
	},
)

func TestBucket_Unauthorized(t *testing.T) {
	s := natstest.Start(t, restricted)
	provision(t, jetStream(t, s.Connect(t, nats.UserInfo("admin", "admin"))), 1)
	// The violations are expected; the default handler would print them.
	silent := nats.ErrorHandler(func(*nats.Conn, *nats.Subscription, error) {})
	js := jetStream(t, s.Connect(t, nats.UserInfo("worker", "worker"), silent))
	b, outcomes := openItems(js), kv.NewOutcomes(js)
	mustCreate(t, b, "default.db-01", "allowed")
	ctx := testContext(t)
	other := kv.Open[item](js, kv.OutcomesBucket)
	calls := map[string]func() error{
		"create": func() error { _, err := b.Create(ctx, "closed.db-01", item{}); return err },
		"set":    func() error { _, err := b.CompareAndSet(ctx, "closed.db-01", item{}, 3); return err },
		"delete": func() error { return b.Delete(ctx, "closed.db-01", 3) },
		"get": func() error {
			_, err := outcomes.Get(ctx, volume.Key{Project: "default", Name: "db-01"}, "c1")
			return err
		},
		"direct": func() error { _, err := other.GetDirect(ctx, "default.db-01"); return err },
		"list":   func() error { _, _, err := other.List(ctx, kv.ListOptions{}); return err },
		"watch": func() error {
			for _, err := range other.Watch(ctx, "") {
				return err
			}
			return nil
		},
	}
	for name, call := range calls {
		t.Run(name, func(t *testing.T) {
			began := time.Now()
			err := call()
			if !errors.Is(err, kv.ErrUnauthorized) || errors.Is(err, kv.ErrUnavailable) {
				t.Errorf("got %v, want %v", err, kv.ErrUnauthorized)
			}
			if took := time.Since(began); took > testTimeout/2 {
				t.Errorf("took %v: it waited for the deadline", took)
			}
		})
	}
	// An old violation does not colour a later answer.
	wantStatus(t, b, "default.db-01", "allowed")
	if _, err := b.Get(ctx, "closed.db-01"); !errors.Is(err, kv.ErrNotFound) {
		t.Errorf("read of a key that may not be written: got %v, want %v", err, kv.ErrNotFound)
	}
}

// unanswered is a JetStream whose publishes get no answer.
type unanswered struct{ jetstream.JetStream }

func (unanswered) PublishMsgAsync(*nats.Msg, ...jetstream.PublishOpt) (jetstream.PubAckFuture, error) {
	return answer(nil), nil
}

// answer is what becomes of a publish: the error that it holds, or nothing at all.
type answer chan error

func (answer) Ok() <-chan *jetstream.PubAck { return nil }
func (a answer) Err() <-chan error          { return a }
func (answer) Msg() *nats.Msg               { return nil }

func TestBucket_Timeout_AfterOldRefusal_IsUnavailable(t *testing.T) {
	s := natstest.Start(t, restricted)
	silent := nats.ErrorHandler(func(*nats.Conn, *nats.Subscription, error) {})
	js := jetStream(t, s.Connect(t, nats.UserInfo("worker", "worker"), silent))
	if _, err := openItems(js).Create(testContext(t), "closed.db-01", item{}); !errors.Is(err, kv.ErrUnauthorized) {
		t.Fatalf("got %v, want %v", err, kv.ErrUnauthorized)
	}
	// Long enough for the connection to be asked meanwhile.
	ctx, cancel := context.WithTimeout(t.Context(), 300*time.Millisecond)
	defer cancel()
	_, err := openItems(unanswered{js}).Create(ctx, "closed.db-01", item{})
	if !errors.Is(err, kv.ErrUnavailable) || errors.Is(err, kv.ErrUnauthorized) {
		t.Errorf("got %v, want %v: the write's outcome is unknown", err, kv.ErrUnavailable)
	}
}

func TestBucket_Unavailable(t *testing.T) {
	s := natstest.Start(t)
	nc := s.Connect(t)
	js := jetStream(t, nc)
	provision(t, js, 1)
	b := openItems(js)
	nc.Close()
	_, get := b.Get(testContext(t), "default.db-01")
	_, create := b.Create(testContext(t), "default.db-01", item{})
	for _, err := range []error{get, create} {
		if !errors.Is(err, kv.ErrUnavailable) || !errors.Is(err, nats.ErrConnectionClosed) || !volume.ClassOf(err).Retryable() {
			t.Errorf("got %v, want %v", err, kv.ErrUnavailable)
		}
	}
}
