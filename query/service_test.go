package query_test

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/micro"

	"github.com/jetvol/jetvol/fsm"
	"github.com/jetvol/jetvol/internal/natstest"
	"github.com/jetvol/jetvol/kv"
	"github.com/jetvol/jetvol/query"
	"github.com/jetvol/jetvol/volume"
)

func TestService_Get_ByKeyAndID(t *testing.T) {
	w := newWorld(t)
	w.serve(w.nc, "w1")
	revision := w.put(record("db-01"))
	gone := record("db-02")
	gone.State = volume.StateDeleted
	w.put(gone)
	for _, c := range []struct {
		request query.GetRequest
		want    volume.Name // empty: not found
	}{
		{query.GetRequest{Project: "default", Volume: "db-01"}, "db-01"},
		{query.GetRequest{ID: "default.db-01.1"}, "db-01"},
		{query.GetRequest{ID: "default.db-01.2"}, ""},
		{query.GetRequest{Project: "other", Volume: "db-01"}, ""},
		{query.GetRequest{Project: "default", Volume: "db-02"}, ""},
		{query.GetRequest{Project: "default", Volume: "db-02", IncludeDeleted: true}, "db-02"},
		{query.GetRequest{ID: "default.db-02.1", IncludeDeleted: true}, "db-02"},
	} {
		got, err := w.client.Get(w.ctx, c.request)
		if missing := errors.Is(err, volume.ErrVolumeNotFound); missing != (c.want == "") || !missing && err != nil {
			t.Errorf("%+v: got %v", c.request, err)
		}
		if got.Volume.Name != c.want || err == nil && got.Consistency != query.Leader {
			t.Errorf("%+v: got %q, %s, want %q, %s", c.request, got.Volume.Name, got.Consistency, c.want, query.Leader)
		}
		if c.want == "db-01" && got.Volume.Revision != revision {
			t.Errorf("revision: got %d, want %d", got.Volume.Revision, revision)
		}
	}
}

func TestService_Errors_HaveCodeClassAndHeaders(t *testing.T) {
	w := newWorld(t)
	w.serve(w.nc, "w1")
	for _, c := range []struct {
		endpoint query.Endpoint
		data     string
		code     volume.Code
		class    volume.Class
		number   string
	}{
		{query.EndpointGet, `{"project":"default","volume":"none"}`, volume.ErrVolumeNotFound, volume.NotFound, "404"},
		{query.EndpointGet, `{"name":"db-01"}`, volume.ErrUnknownField, volume.InvalidArgument, "400"},
		{query.EndpointGet, "\xff\x00", volume.ErrInvalidPayload, volume.InvalidArgument, "400"},
		{query.EndpointGet, strings.Repeat("[", 20_000), volume.ErrInvalidPayload, volume.InvalidArgument, "400"},
		{query.EndpointList, `{"limit":"\n\r\nNats-Service-Error: no"}`, volume.ErrInvalidArgument, volume.InvalidArgument, "400"},
		{query.EndpointList, `"` + strings.Repeat("x", 900_000) + `"`, volume.ErrPayloadTooLarge, volume.InvalidArgument, "400"},
		{query.EndpointHealth, `{"deep":true}`, volume.ErrUnknownField, volume.InvalidArgument, "400"},
	} {
		reply := w.ask(c.endpoint, c.data)
		var told query.ErrorReply
		if err := json.Unmarshal(reply.Data, &told); err != nil || told.Code != c.code || told.Class != c.class || told.Message == "" {
			t.Errorf("%s %.60s: got %s (%v), want %s", c.endpoint, c.data, reply.Data, err, c.code)
		}
		if reply.Header.Get(micro.ErrorCodeHeader) != c.number || reply.Header.Get(micro.ErrorHeader) == "" || len(reply.Header) != 2 {
			t.Errorf("%s %.60s: got headers %v, want number %s", c.endpoint, c.data, reply.Header, c.number)
		}
	}
	info := infoOf(t, w)
	if _, err := w.client.Get(w.ctx, query.GetRequest{Project: "default", Volume: "none"}); !errors.Is(err, volume.ErrVolumeNotFound) {
		t.Errorf("client: got %v, want %v", err, volume.ErrVolumeNotFound)
	}
	if info.Version != "1.2.3" || info.Metadata["worker"] != "w1" {
		t.Errorf("info: got %s of %v", info.Version, info.Metadata)
	}
}

// infoOf asks for what the service tells of itself.
func infoOf(t *testing.T, w *world) micro.Info {
	t.Helper()
	reply, err := w.nc.RequestWithContext(w.ctx, "$SRV.INFO.jetvol", nil)
	if err != nil {
		t.Fatal(err)
	}
	var info micro.Info
	if err := json.Unmarshal(reply.Data, &info); err != nil {
		t.Fatal(err)
	}
	return info
}

func TestService_Info_HasEveryEndpointWithItsSchemas(t *testing.T) {
	w := newWorld(t)
	w.serve(w.nc, "w1")
	told := map[string]micro.EndpointInfo{}
	for _, endpoint := range infoOf(t, w).Endpoints {
		told[endpoint.Name] = endpoint
	}
	if len(told) != len(query.Endpoints()) {
		t.Errorf("got %d endpoints, want %d", len(told), len(query.Endpoints()))
	}
	for _, endpoint := range query.Endpoints() {
		got := told[string(endpoint)]
		if got.Subject != "volume.query."+string(endpoint) || got.QueueGroup != query.QueueGroup || got.Metadata["description"] == "" {
			t.Errorf("%s: got %+v", endpoint, got)
		}
		request, err := query.RequestSchema(endpoint)
		if err != nil || !sameJSON(t, request, got.Metadata["request_schema"]) {
			t.Errorf("%s: schema of the request differs (%v)", endpoint, err)
		}
		reply, err := query.ReplySchema(endpoint)
		if err != nil || !sameJSON(t, reply, got.Metadata["reply_schema"]) {
			t.Errorf("%s: schema of the reply differs (%v)", endpoint, err)
		}
	}
}

func sameJSON(t *testing.T, one []byte, other string) bool {
	t.Helper()
	var a, b any
	if err := errors.Join(json.Unmarshal(one, &a), json.Unmarshal([]byte(other), &b)); err != nil {
		t.Fatal(err)
	}
	return fmt.Sprint(a) == fmt.Sprint(b)
}

func TestService_Process_TellsBackendsAndHealth(t *testing.T) {
	w := newWorld(t)
	w.serve(w.nc, "w1")
	capable, err := w.client.Capabilities(w.ctx)
	if err != nil || len(capable.Backends) != 1 || !capable.Backends[0].Capabilities.Snapshot ||
		capable.Backends[0].Policy != (query.Policy{MaxDepth: 7, Flatten: true}) || capable.Version != "v1.2.3" ||
		!slices.Equal(capable.Verbs, volume.Verbs()) {
		t.Errorf("capabilities: got %+v, %v", capable, err)
	}
	found, err := w.client.Backends(w.ctx)
	if err != nil || len(found.Backends) != 1 || found.Backends[0].Health != query.OK || found.Backends[0].Driver != "null" ||
		!found.Backends[0].Default || found.Worker != "w1" {
		t.Errorf("backends: got %+v, %v", found, err)
	}
	health, err := w.client.Health(w.ctx)
	if err != nil || health.Status != query.Degraded || health.Unowned != 16 || health.Workers != 0 {
		t.Errorf("health without leases: got %+v, %v", health, err)
	}
	w.join("w1", "i1", everyPartition()...)
	if health, err = w.client.Health(w.ctx); err != nil || health.Status != query.OK || health.Workers != 1 {
		t.Errorf("health: got %+v, %v", health, err)
	}
}

func TestService_Partitions_NamesOwnersAndGaps(t *testing.T) {
	w := newWorld(t)
	w.serve(w.nc, "w1")
	w.join("host.example.com", "i1", 0, 1, 5)
	w.join("w2", "i2", 2)
	workers, err := w.client.Workers(w.ctx)
	if err != nil || len(workers.Workers) != 2 || workers.Workers[0].Worker != "host.example.com" || workers.Workers[1].Instance != "i2" {
		t.Errorf("workers: got %+v, %v", workers, err)
	}
	owned, err := w.client.Partitions(w.ctx)
	if err != nil || owned.Unowned != 12 || len(owned.Partitions) != 16 || owned.Partitions[5].Worker != "host.example.com" ||
		owned.Partitions[2].Worker != "w2" || owned.Partitions[3].Worker != "" {
		t.Errorf("partitions: got %+v, %v", owned, err)
	}
}

func TestService_History_PagesWithoutLoss(t *testing.T) {
	w := newWorld(t)
	w.serve(w.nc, "w1")
	const written = 25
	for i := range uint64(written) {
		w.event("db-01", i+1)
		w.event("other", i+1)
	}
	for _, limit := range []int{1, 7, 25, 100} {
		request := query.HistoryRequest{Project: "default", Volume: "db-01", Limit: limit}
		var generations []uint64
		for {
			reply, err := w.client.History(w.ctx, request)
			if err != nil || len(reply.Events) > limit {
				t.Fatalf("limit %d: got %d events, %v", limit, len(reply.Events), err)
			}
			for _, one := range reply.Events {
				if one.Name != "db-01" {
					t.Errorf("event of %s", one.Key)
				}
				generations = append(generations, one.Generation)
			}
			if reply.Next == 0 {
				break
			}
			request.After = reply.Next
		}
		if len(generations) != written || !slices.IsSorted(generations) {
			t.Errorf("limit %d: got generations %v, want 1 to %d", limit, generations, written)
		}
	}
	none, err := w.client.History(w.ctx, query.HistoryRequest{Project: "default", Volume: "never"})
	if err != nil || len(none.Events) != 0 || none.Next != 0 {
		t.Errorf("no such volume: got %+v, %v", none, err)
	}
}

func TestService_Replies_AreAsTheSchemasSay(t *testing.T) {
	w := newWorld(t)
	w.serve(w.nc, "w1")
	w.join("w1", "i1", 3)
	w.event("db-01", 1)
	full := record("db-01")
	full.Labels = volume.Labels{"team": "db"}
	full.Attachments = volume.Attachments{{Node: "n1", Mode: volume.ReadWrite, Connection: map[string]string{"path": "/x"}}}
	full.Source = volume.SnapshotKey{Volume: "db-00", Snapshot: "monday"}
	full.Drift = &volume.Drift{FoundAt: time.Now().UTC(), Differences: []volume.Difference{{Kind: volume.DriftSize, Wanted: "1", Actual: "2"}}}
	full.Op = &volume.Op{CommandID: "c", Verb: volume.VerbDetach, Attempt: 1, StartedAt: time.Now().UTC(), Failure: volume.NewFailure(volume.Busy)}
	full.Outcomes = []volume.Outcome{{CommandID: "b", Verb: volume.VerbCreate, Result: volume.Succeeded}}
	full.Outbox = []volume.Transition{{ID: "x", Progress: &volume.Progress{Done: 1, Total: 2}}}
	full.State = volume.StateDetaching
	w.put(full)
	w.put(record("db-02")) // with nothing that may be left out
	w.command("db-01", volume.VerbDelete, "d", "")
	for endpoint, data := range map[query.Endpoint][]string{
		query.EndpointGet:          {`{"project":"default","volume":"db-01"}`, `{"project":"default","volume":"db-02"}`},
		query.EndpointList:         {`{}`, `{"project":"nobody"}`},
		query.EndpointExplain:      {`{"project":"default","volume":"db-01"}`, `{"project":"default","volume":"db-02"}`},
		query.EndpointHistory:      {`{"project":"default","volume":"db-01"}`, `{"project":"default","volume":"none"}`},
		query.EndpointCapabilities: {``}, query.EndpointBackends: {`{}`}, query.EndpointWorkers: {``},
		query.EndpointPartitions: {``}, query.EndpointHealth: {``},
	} {
		schema, err := query.ReplySchema(endpoint)
		if err != nil {
			t.Fatal(err)
		}
		for _, request := range data {
			reply := w.ask(endpoint, request)
			if reply.Header.Get(micro.ErrorHeader) != "" {
				t.Errorf("%s: got error %s", endpoint, reply.Data)
			}
			query.Conform(t, schema, reply.Data)
		}
	}
}

func TestService_TwoWorkers_ShareTheRequests(t *testing.T) {
	server := natstest.Start(t)
	w := worldOn(t, server.Connect(t), 1)
	w.serve(server.Connect(t), "w1")
	w.serve(server.Connect(t), "w2")
	answered := map[string]int{}
	for range 200 {
		health, err := w.client.Backends(w.ctx)
		if err != nil {
			t.Fatal(err)
		}
		answered[health.Worker]++
	}
	// The server draws one of two: that one of them gets less than 20 of 200 does not happen.
	if answered["w1"] < 20 || answered["w2"] < 20 || answered["w1"]+answered["w2"] != 200 {
		t.Errorf("got %v, want both to answer", answered)
	}
}

func TestService_Stopped_NobodyAnswers(t *testing.T) {
	w := newWorld(t)
	service := w.serve(w.nc, "w1")
	if _, err := w.client.Workers(w.ctx); err != nil {
		t.Fatal(err)
	}
	for range 2 {
		if err := service.Stop(); err != nil {
			t.Fatal(err)
		}
	}
	var err error
	for err == nil { // until the server has heard of it
		_, err = w.client.Workers(w.ctx)
	}
	if !errors.Is(err, query.ErrNobodyAnswers) || !errors.Is(err, volume.Unavailable) || !strings.Contains(err.Error(), "jetvol worker") {
		t.Errorf("got %v, want %v with a hint", err, query.ErrNobodyAnswers)
	}
}

func TestWithFallback_NobodyAnswers_ReadsTheBucket(t *testing.T) {
	w := newWorld(t)
	w.put(record("db-01"))
	notes := 0
	reader := query.WithFallback(w.client, query.NewLocal(w.js, fsm.RetryPolicy{}), func() { notes++ })
	for range 3 {
		got, err := reader.Get(w.ctx, query.GetRequest{Project: "default", Volume: "db-01"})
		if err != nil || got.Volume.Name != "db-01" {
			t.Errorf("got %+v, %v", got, err)
		}
	}
	if notes != 1 {
		t.Errorf("got %d notes, want 1", notes)
	}
	// What a worker refuses is not asked again.
	w.serve(w.nc, "w1")
	reader = query.WithFallback(w.client, nil, func() { t.Error("it was answered") })
	if _, err := reader.Get(w.ctx, query.GetRequest{Project: "default", Volume: "none"}); !errors.Is(err, volume.ErrVolumeNotFound) {
		t.Errorf("got %v, want %v", err, volume.ErrVolumeNotFound)
	}
}

func TestClient_WorkerThatHangs_NobodyAnswers(t *testing.T) {
	w := newWorld(t)
	subscription, err := w.nc.SubscribeSync(query.EndpointGet.Subject())
	if err != nil {
		t.Fatal(err)
	}
	client := query.New(w.nc, query.WithTimeout(50*time.Millisecond))
	if _, err := client.Get(w.ctx, query.GetRequest{Project: "default", Volume: "db-01"}); !errors.Is(err, query.ErrNobodyAnswers) {
		t.Errorf("got %v, want %v", err, query.ErrNobodyAnswers)
	}
	if n, _, err := subscription.Pending(); n != 1 || err != nil {
		t.Errorf("got %d requests, %v, want 1", n, err)
	}
	ended, cancel := context.WithCancel(w.ctx)
	cancel()
	if _, err := client.Get(ended, query.GetRequest{}); !errors.Is(err, context.Canceled) || errors.Is(err, query.ErrNobodyAnswers) {
		t.Errorf("cancelled: got %v", err)
	}
}

// A reply of another program, or of a broken worker, is an error of its own.
func TestClient_ReplyThatIsNone_Refused(t *testing.T) {
	w := newWorld(t)
	var reply *nats.Msg
	subscription, err := w.nc.Subscribe(query.EndpointGet.Subject(), func(m *nats.Msg) { _ = m.RespondMsg(reply) })
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = subscription.Unsubscribe() })
	for _, c := range []struct {
		header nats.Header
		data   string
		want   volume.Class
	}{
		{nil, `not JSON`, volume.InvalidArgument},
		{nil, `{"volume":7}`, volume.InvalidArgument},
		{nats.Header{micro.ErrorCodeHeader: {"500"}, micro.ErrorHeader: {"broken"}}, `broken`, volume.Internal},
		{nats.Header{micro.ErrorCodeHeader: {"503"}}, `{"code":"unavailable","class":"unavailable","message":"m"}`, volume.Unavailable},
	} {
		reply = &nats.Msg{Header: c.header, Data: []byte(c.data)}
		if _, err := w.client.Get(w.ctx, query.GetRequest{}); volume.ClassOf(err) != c.want {
			t.Errorf("%s: got %v, want %s", c.data, err, c.want)
		}
	}
}

func TestService_Replicated_AnswersAfterALeaderIsLost(t *testing.T) {
	cluster := natstest.StartCluster(t, 3)
	w := worldOn(t, cluster.Connect(t), 3)
	w.serve(cluster.Connect(t), "w1")
	w.serve(cluster.Connect(t), "w2")
	w.client = query.New(w.nc, query.WithTimeout(2*time.Second)) // a request may be lost with its server
	for i := range 20 {
		w.put(record(fmt.Sprintf("db-%02d", i)))
	}
	for i := range 20 {
		name := volume.Name(fmt.Sprintf("db-%02d", i))
		if got, err := w.client.Get(w.ctx, query.GetRequest{Project: "default", Volume: name}); err != nil || got.Volume.Name != name {
			t.Fatalf("%s: got %q, %v", name, got.Volume.Name, err)
		}
		if _, err := w.client.Explain(w.ctx, query.ExplainRequest{Project: "default", Volume: name}); err != nil {
			t.Fatalf("%s: %v", name, err)
		}
	}
	found := map[volume.Name]bool{}
	for one, err := range w.client.All(w.ctx, query.ListRequest{Limit: 7}) {
		if err != nil {
			t.Fatal(err)
		}
		found[one.Name] = true
	}
	if len(found) != 20 {
		t.Errorf("got %d volumes, want 20", len(found))
	}
	cluster.StopLeader(t, "KV_"+kv.VolumesBucket)
	request := query.GetRequest{Project: "default", Volume: "db-07"}
	got, err := w.client.Get(w.ctx, request)
	for err != nil { // w.ctx bounds it
		if !errors.Is(err, volume.Unavailable) {
			t.Fatalf("without a leader: got %v, want %v", err, volume.Unavailable)
		}
		got, err = w.client.Get(w.ctx, request)
	}
	if got.Volume.Name != "db-07" {
		t.Errorf("got %q, want db-07", got.Volume.Name)
	}
}
