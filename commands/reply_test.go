package commands

import (
	"encoding/json"
	"errors"
	"reflect"
	"testing"

	"github.com/jetvol/jetvol/volume"
)

func TestReply_TellsTheOutcome(t *testing.T) {
	schema := compileSchema(t, "urn:jetvol:reply:1", ReplySchema())
	key := volume.Key{Project: "default", Name: "db-01"}
	exists := volume.NewFailure(volume.Errorf(volume.ErrVolumeExists, "create volume default.db-01: it exists"))
	busy := volume.NewFailure(volume.Errorf(volume.ErrBackendBusy, "delete volume default.db-01: in use"))
	inUse := volume.NewFailure(volume.Errorf(volume.ErrSnapshotInUse, "delete snapshot db-01@monday: clones need it"))
	inUse.BlockedBy = []volume.Blocker{{Kind: volume.BlockedByChild, Name: "db-02"}}
	monday := &volume.Snapshot{Name: "monday", ID: "default.db-01.3", Size: volume.MiB}
	evictions := map[volume.Result]*volume.Eviction{
		volume.Succeeded: {Node: "n1", Reason: "lost power", Clients: []string{"127.0.0.1:0/3948123"}, More: 2},
		volume.Failed:    {Node: "n1", Reason: "lost power"},
	}
	for _, test := range []struct {
		outcome   volume.Outcome
		retryable bool
		text      string // of Err
	}{
		{volume.Outcome{Result: volume.Succeeded, State: volume.StateAvailable, Generation: 2, VolumeID: "default.db-01.1"}, false, ""},
		{volume.Outcome{Result: volume.Valid}, false, ""},
		{volume.Outcome{Result: volume.Rejected, Failure: exists}, false, "create volume default.db-01: it exists: volume_exists"},
		{volume.Outcome{Result: volume.Failed, State: volume.StateError, Generation: 9, Failure: busy}, true, "delete volume default.db-01: in use: backend_busy"},
		{volume.Outcome{Result: volume.Rejected, Failure: inUse}, false, "delete snapshot db-01@monday: clones need it: snapshot_in_use"},
		{volume.Outcome{Result: volume.Succeeded, State: volume.StateAvailable, Generation: 4, Snapshot: monday}, false, ""},
		{volume.Outcome{Result: volume.Succeeded, State: volume.StateDeleted, Generation: 4, Image: "web-disk"}, false, ""},
		{volume.Outcome{Result: volume.Failed, State: volume.StateAvailable, Failure: busy, Snapshot: &volume.Snapshot{Name: "monday"}}, true, "delete volume default.db-01: in use: backend_busy"},
	} {
		test.outcome.CommandID, test.outcome.Eviction = "order-1", evictions[test.outcome.Result]
		reply := NewReply(key, test.outcome, true)
		if reply.Key() != key || !reply.Repeat || reply.Retryable != test.retryable || reply.Snapshot != test.outcome.Snapshot ||
			reply.Image != test.outcome.Image {
			t.Errorf("%+v: got %+v", test.outcome, reply)
		}
		data, err := json.Marshal(reply)
		if err != nil {
			t.Fatal(err)
		}
		if err := validate(t, schema, data); err != nil {
			t.Errorf("%s: %v", data, err)
		}
		got, err := DecodeReply(data)
		if err != nil || !reflect.DeepEqual(got, reply) {
			t.Errorf("%s: got %+v and %v", data, got, err)
		}
		checkReplyErr(t, got, test.text)
	}
}

func checkReplyErr(t *testing.T, reply Reply, text string) {
	t.Helper()
	err := reply.Err()
	if text == "" {
		if err != nil {
			t.Errorf("%s: got %v, want none", reply.Outcome, err)
		}
		return
	}
	if err == nil || err.Error() != text || !errors.Is(err, reply.Failure.Code) || !errors.Is(err, reply.Failure.Class) {
		t.Errorf("%s: got %v, want %s", reply.Outcome, err, text)
	}
}

// A worker that is newer than the client may know more codes and outcomes.
func TestReply_FromNewerWorker(t *testing.T) {
	reply, err := DecodeReply([]byte(`{"command_id":"a","outcome":"failed","error":{"code":"sun_spots","class":"busy","message":"x"},"moon":1}`))
	if err != nil || !errors.Is(reply.Err(), volume.Busy) || volume.CodeOf(reply.Err()) != "sun_spots" {
		t.Errorf("got %v and %v, want code sun_spots of class busy", reply.Err(), err)
	}
	reply, err = DecodeReply([]byte(`{"command_id":"a","outcome":"postponed"}`))
	if err != nil || !errors.Is(reply.Err(), volume.ErrInternal) {
		t.Errorf("got %v and %v, want %v", reply.Err(), err, volume.ErrInternal)
	}
}

func TestDecodeReply_Refuses(t *testing.T) {
	for _, data := range []string{``, `null`, `[]`, `{}`, `{"command_id":"a"}`, `{"outcome":"failed"}`, `{"command_id":1,"outcome":"valid"}`, `{"command_id":"a","outcome":"valid","generation":-1}`} {
		if reply, err := DecodeReply([]byte(data)); !errors.Is(err, volume.ErrInvalidPayload) {
			t.Errorf("%s: got %+v and %v, want %v", data, reply, err, volume.ErrInvalidPayload)
		}
	}
}

// The reply schema must be able to refuse: a failed reply without a reason is not one.
func TestReplySchema_RefusesContradictions(t *testing.T) {
	schema := compileSchema(t, "urn:jetvol:reply:1", ReplySchema())
	for _, outcome := range []string{
		`"failed"`, `"rejected"`, `"succeeded","error":{"code":"a","class":"b","message":"c"}`, `"perhaps"`,
		`"failed","error":{"code":"a","class":"b","message":"c","blocked_by":[]}`,
		`"failed","error":{"code":"a","class":"b","message":"c","blocked_by":[{"name":"db-02"}]}`,
		`"succeeded","snapshot":{"id":"default.db-01.3"}`,
	} {
		data := `{"command_id":"a","project":"p","volume":"v","generation":1,"retryable":false,"repeat":false,"outcome":` + outcome + `}`
		if validate(t, schema, []byte(data)) == nil {
			t.Errorf("%s: accepted", data)
		}
	}
}
