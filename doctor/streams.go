package doctor

import (
	"context"
	"fmt"

	"github.com/nats-io/nats.go/jetstream"

	"github.com/jetvol/jetvol/internal/provision"
)

// fixed are settings that the server changes in no stream that exists.
var fixed = map[string]bool{"storage": true, "retention": true, "max_consumers": true, "sealed": true}

// fixedRemedy is what helps where an update does not.
const fixedRemedy = "nats stream backup, then make the stream anew with `jetvol provision` and restore into it"

// meanings say what another value of a setting means.
var meanings = map[string]string{
	"max_age":           "what is older is thrown away",
	"max_msgs":          "what is beyond the limit is refused or thrown away",
	"max_bytes":         "at the limit nothing more is stored",
	"max_msg_size":      "greater messages are refused",
	"duplicate_window":  "the server itself drops the same message id for another time",
	"deny_delete":       "messages can be deleted",
	"deny_purge":        "the stream can be emptied",
	"storage":           "what a restart of the server leaves of it",
	"allow_direct":      "reads may be stale",
	"subject_transform": "commands or events get other subjects",
	"republish":         "plain subscribers see no events, or others",
	"subjects":          "other messages are stored than should be",
	"num_replicas":      "another number of servers holds it",
}

func checkStreams(_ context.Context, e *examination) []Finding {
	var findings []Finding
	for _, config := range provision.Configs(provision.Options{}) {
		findings = append(findings, streamFindings(config.Name, e.streams[config.Name])...)
	}
	return findings
}

func streamFindings(name string, answer asked[jetstream.StreamInfo]) []Finding {
	object := objectOf(name)
	switch err := answer.err; {
	case err == nil:
	case code(err) == jetstream.JSErrCodeStreamNotFound:
		return []Finding{note("streams.missing", Finding{Object: object, Found: "missing", Text: "it is not there: no worker starts without it"})}
	case leaderless(err):
		return nil // told by the check of the replicas
	default:
		return []Finding{note("streams.unknown", Finding{Object: object, Text: why(err)})}
	}
	differences, err := provision.Differences(provision.Options{}, answer.value.Config)
	if err != nil {
		return []Finding{note("streams.unknown", Finding{Object: object, Text: err.Error()})}
	}
	if len(differences) == 0 {
		state := answer.value.State
		return []Finding{note("streams.as_wanted", Finding{Object: object, Text: "settings as wanted, " + count(state.Msgs, "message")})}
	}
	var findings []Finding
	for _, d := range differences {
		findings = append(findings, differenceFinding(object, d))
	}
	return findings
}

func differenceFinding(object string, d provision.Difference) Finding {
	f := Finding{Object: object, Found: d.Text(d.Existing), Wanted: d.Text(d.Wanted)}
	f.Text = fmt.Sprintf("%s is %s, wanted %s", d.Field, f.Found, f.Wanted)
	if meaning := meanings[d.Field]; meaning != "" {
		f.Text += ": " + meaning
	}
	if fixed[d.Field] {
		f.Remedy = fixedRemedy
	}
	if d.Fatal {
		return note("streams.breaks", f)
	}
	return note("streams.differs", f)
}
