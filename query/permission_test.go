package query_test

import (
	"errors"
	"testing"
	"time"

	"github.com/nats-io/nats.go"

	"github.com/jetvol/jetvol/internal/natstest"
	"github.com/jetvol/jetvol/query"
)

// Who may publish on one question's subject, and no other, gets that answer and no other.
func TestService_UserOfOneQuestion_GetsThatOnly(t *testing.T) {
	const password = "secret"
	server := natstest.Start(t, natstest.WithUsers(
		natstest.User{Name: "worker", Password: password},
		natstest.User{Name: "reader", Password: password, PublishAllow: []string{query.EndpointGet.Subject()}},
	))
	w := worldOn(t, server.Connect(t, nats.UserInfo("worker", password)), 1)
	w.serve(w.nc, "w1")
	w.put(record("db-01"))
	reader := query.New(server.Connect(t, nats.UserInfo("reader", password)), query.WithTimeout(patience))
	if got, err := reader.Get(w.ctx, query.GetRequest{Project: "default", Volume: "db-01"}); err != nil || got.Volume.Name != "db-01" {
		t.Errorf("get: got %+v, %v", got, err)
	}
	reader = query.New(server.Connect(t, nats.UserInfo("reader", password)), query.WithTimeout(300*time.Millisecond))
	if _, err := reader.List(w.ctx, query.ListRequest{}); !errors.Is(err, query.ErrNobodyAnswers) {
		t.Errorf("list: got %v, want %v", err, query.ErrNobodyAnswers)
	}
}
