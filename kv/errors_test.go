package kv

import (
	"context"
	"errors"
	"fmt"
	"testing"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"

	"github.com/jetvol/jetvol/volume"
)

func TestErrors_MatchTheirClass(t *testing.T) {
	tests := map[error]volume.Class{
		ErrNotFound:      volume.NotFound,
		ErrExists:        volume.AlreadyExists,
		ErrConflict:      volume.FailedPrecondition,
		ErrUnauthorized:  volume.FailedPrecondition,
		ErrRateLimited:   volume.ResourceExhausted,
		ErrUnavailable:   volume.Unavailable,
		ErrSchema:        volume.Internal,
		ErrCorrupt:       volume.Internal,
		ErrInvalid:       volume.InvalidArgument,
		&ConflictError{}: volume.FailedPrecondition,
	}
	for err, class := range tests {
		wrapped := fmt.Errorf("set volumes/a: %w", err)
		if got := volume.ClassOf(wrapped); got != class || !errors.Is(wrapped, class) {
			t.Errorf("%v: got class %s, want %s", err, got, class)
		}
		for other := range tests {
			_, conflict := err.(*ConflictError)
			if other != err && errors.Is(wrapped, other) && (!conflict || other != ErrConflict) {
				t.Errorf("%v matches %v as well", err, other)
			}
		}
	}
}

func TestClassify(t *testing.T) {
	api := func(code int, number jetstream.ErrorCode) error {
		return fmt.Errorf("nats: %w", &jetstream.APIError{Code: code, ErrorCode: number})
	}
	other := errors.New("other")
	tests := []struct {
		name string
		err  error
		want error
	}{
		{"too many requests", api(429, 10167), ErrRateLimited},
		{"too many batches", api(429, 10211), ErrRateLimited},
		{"account limit", api(400, 10002), ErrRateLimited},
		{"insufficient resources", api(503, 10023), ErrRateLimited},
		{"memory", api(500, 10028), ErrRateLimited},
		{"storage", api(500, 10047), ErrRateLimited},
		{"store failed", api(503, 10077), ErrRateLimited},
		{"no leader", api(503, 10008), ErrUnavailable},
		{"stream not found", api(404, 10059), ErrUnavailable},
		{"stream not found value", jetstream.ErrStreamNotFound, ErrUnavailable},
		{"bucket not found", jetstream.ErrBucketNotFound, ErrUnavailable},
		{"timeout", nats.ErrTimeout, ErrUnavailable},
		{"publish unanswered", jetstream.ErrAsyncPublishTimeout, ErrUnavailable},
		{"publishes stalled", jetstream.ErrTooManyStalledMsgs, ErrUnavailable},
		{"disconnected", nats.ErrDisconnected, ErrUnavailable},
		{"deadline", context.DeadlineExceeded, ErrUnavailable},
		{"given up", context.Canceled, ErrUnavailable},
		{"no responders", nats.ErrNoResponders, ErrUnavailable},
		{"no stream", jetstream.ErrNoStreamResponse, ErrUnavailable},
		{"closed", nats.ErrConnectionClosed, ErrUnavailable},
		{"permissions", nats.ErrPermissionViolation, ErrUnauthorized},
		{"authorization", nats.ErrAuthorization, ErrUnauthorized},
		{"expired", nats.ErrAuthExpired, ErrUnauthorized},
		{"wrong sequence", api(400, 10071), nil},
		{"payload", nats.ErrMaxPayload, nil},
		{"other", other, nil},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			got := classify(tt.err)
			if !errors.Is(got, tt.err) {
				t.Errorf("got %v, want it to wrap %v", got, tt.err)
			}
			if tt.want == nil && got != tt.err || tt.want != nil && !errors.Is(got, tt.want) {
				t.Errorf("got %v, want %v", got, tt.want)
			}
		})
	}
}

func TestNamesPublish(t *testing.T) {
	const text = `nats: permissions violation: Permissions Violation for Publish to "$KV.volumes.default.db-10"`
	tests := map[string]bool{
		"$KV.volumes.default.db-10": true,
		"$KV.volumes.default.db-1":  false,
		"$KV.volumes.>":             true,
		"$KV.outcomes.>":            false,
	}
	for subject, want := range tests {
		if got := namesPublish(text, subject); got != want {
			t.Errorf("%s: got %v, want %v", subject, got, want)
		}
	}
}

func FuzzDecodeRecord(f *testing.F) {
	for _, seed := range []string{
		`{"schema_version":1,"project":"default","name":"db-01","state":"available","size_bytes":1}`,
		`{"schema_version":2}`, `{"schema_version":"1"}`, `{}`, `null`, `[]`, ``, ` {"state":1}`, "{\"state\":\"\xff\"}",
	} {
		f.Add([]byte(seed))
	}
	f.Fuzz(func(t *testing.T, data []byte) {
		record, err := decode[volume.Record](data)
		if err != nil {
			if !errors.Is(err, ErrSchema) && !errors.Is(err, ErrCorrupt) {
				t.Fatalf("got %v, want a typed error", err)
			}
			return
		}
		if record.SchemaVersion > volume.SchemaVersion {
			t.Fatalf("read a record of version %d", record.SchemaVersion)
		}
		// What was read can be written, unless it holds a time beyond RFC 3339.
		written, err := encode(record)
		if err != nil {
			return
		}
		if _, err := decode[volume.Record](written); err != nil {
			t.Fatalf("%s does not read again: %v", written, err)
		}
	})
}

func FuzzDecodeStored(f *testing.F) {
	for _, seed := range []string{
		`{"message":{"subject":"$KV.volumes.a","seq":3,"data":"e30=","time":"2026-01-02T03:04:05Z"}}`,
		`{"message":{"seq":3,"hdrs":"TkFUUy8xLjANCktWLU9wZXJhdGlvbjogREVMDQoNCg==","time":"2026-01-02T03:04:05Z"}}`,
		`{"message":{"seq":3,"hdrs":"eA=="}}`, `{"error":{"code":404,"err_code":10037}}`, `{"error":{}}`, `{}`, `null`, ``,
	} {
		f.Add([]byte(seed))
	}
	f.Fuzz(func(t *testing.T, data []byte) {
		got, err := decodeStored(data)
		if err != nil && (got.live || got.revision != 0 || got.data != nil) {
			t.Fatalf("got %+v with error %v, want nothing", got, err)
		}
	})
}
