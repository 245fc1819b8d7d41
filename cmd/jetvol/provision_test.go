package main

import (
	"runtime/debug"
	"strings"
	"testing"

	"github.com/jetvol/jetvol/commands"
	"github.com/jetvol/jetvol/internal/natstest"
)

func TestProvision_Difference_ToldUntilUpdated(t *testing.T) {
	server := natstest.Start(t)
	t.Setenv("NATS_URL", server.URL())
	config := commands.StreamConfig(1)
	config.MaxMsgs, config.MaxBytes = 10, 1<<20
	if _, err := server.JetStream(t).CreateStream(t.Context(), config); err != nil {
		t.Fatal(err)
	}
	jetvol(t, "provision").want(t, exitFailed,
		"existing  VOLUME_COMMANDS\n", "created   KV_volumes\n",
		"differs   stream VOLUME_COMMANDS: max_bytes is 1048576, wanted -1\n",
		"differs   stream VOLUME_COMMANDS: max_msgs is 10, wanted -1 (fatal)\n",
		"2 settings differ, `jetvol provision --update` changes them")
	end := jetvol(t, "provision", "--json")
	end.want(t, exitFailed, `"field":"max_msgs","wanted":-1,"existing":10,"fatal":true}`)
	jetvol(t, "worker", "--dir", t.TempDir()).want(t, exitFailed, "max_msgs is 10", "`jetvol provision --update`")
	jetvol(t, "provision", "--update").want(t, exitSucceeded, "updated   VOLUME_COMMANDS\n")
	end = jetvol(t, "provision")
	if end.want(t, exitSucceeded); strings.Contains(end.stdout, "differs") {
		t.Errorf("got %s, want no difference", end.stdout)
	}
}

func TestProvision_NoJetStream_Unavailable(t *testing.T) {
	jetvol(t, "-s", deadServer, "provision").want(t, exitUnavailable)
}

func TestShowVersion_BuildInfo_NamesWhatMatters(t *testing.T) {
	info := &debug.BuildInfo{Deps: []*debug.Module{
		{Path: "github.com/nats-io/nats.go", Version: "v1.2.3"}, {Path: "example.com/other", Version: "v9.9.9"},
	}}
	for given, want := range map[string]string{"": "jetvol (devel)\n", "v0.1.0": "jetvol v0.1.0\n"} {
		version = given
		var out strings.Builder
		showVersion(&out, info)
		version = ""
		if got := out.String(); !strings.HasPrefix(got, want) || !strings.HasSuffix(got, "\ngithub.com/nats-io/nats.go v1.2.3\n") {
			t.Errorf("got %q, want %q first and nats.go last", got, want)
		}
	}
}
