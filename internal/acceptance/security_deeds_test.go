package acceptance

import (
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"

	"github.com/nats-io/nats.go"

	"github.com/jetvol/jetvol/internal/provision"
)

// deed is something that a user may try, and who may do it.
type deed struct {
	subscribe bool // or publish
	subject   string
	may       []string
}

func (d deed) String() string {
	if d.subscribe {
		return "subscribe " + d.subject
	}
	return "publish " + d.subject
}

// allDeeds is the table of what may be done. It says by role what the example says by
// user in the server's words.
func allDeeds() []deed {
	deeds := []deed{
		{subject: "volume.command.default.deed.create", may: []string{"publisher", "operator"}},
		{subject: "volume.command.3.default.deed.create", may: []string{"publisher", "operator"}}, // no stream takes it
		{subject: "volume.tx.default.deed.ready", may: []string{"worker"}},
		{subject: "volume.event.default.deed.ready"},
		{subject: "volume.dead.default.deed.create", may: []string{"worker"}},
		{subject: "volume.query.get", may: []string{"publisher", "operator", "auditor"}},
		{subject: "$SRV.INFO", may: []string{"publisher", "operator", "auditor"}},
		{subscribe: true, subject: "volume.query.>", may: []string{"worker"}}, // or a wrong answer could be given
		{subscribe: true, subject: "$SRV.>", may: []string{"worker"}},
		{subject: "$JS.API.ACCOUNT.PURGE.JETVOL"},
		{subject: "$JS.API.META.LEADER.STEPDOWN"},
		{subject: "$SYS.REQ.SERVER.PING"},
		{subscribe: true, subject: ">"},
		{subscribe: true, subject: "volume.>"},
		{subscribe: true, subject: "volume.command.>"},
		{subscribe: true, subject: "volume.tx.>"},
		{subscribe: true, subject: "volume.dead.>"},
		{subscribe: true, subject: "volume.event.>", may: []string{"publisher", "operator", "auditor"}},
		{subscribe: true, subject: "_INBOX.>"},
		{subscribe: true, subject: "$KV.>"},
		{subscribe: true, subject: "$JS.>"},
		{subscribe: true, subject: "$SYS.>"},
	}
	for _, owner := range roles {
		answers := deed{subject: "_INBOX." + owner + ".deed"}
		if owner == "publisher" || owner == "operator" {
			answers.may = []string{"worker"} // it answers their commands
		}
		deeds = append(deeds, answers, deed{subscribe: true, subject: "_INBOX." + owner + ".>", may: []string{owner}})
	}
	for _, config := range provision.Configs(provision.Options{}) {
		deeds = append(deeds, deedsOfStream(config.Name)...)
	}
	return deeds
}

// deedsOfStream are the deeds of the JetStream API and those of a bucket.
func deedsOfStream(stream string) []deed {
	var deeds []deed
	// In the account of auditors the API has another prefix.
	auditorReads := map[string][]string{
		"STREAM.INFO.STREAM_NAME":          {stream},
		"STREAM.MSG.GET.STREAM_NAME":       {"VOLUME_EVENTS", "KV_volumes", "KV_snapshots", "KV_drift", "KV_quotas"},
		"CONSUMER.CREATE.STREAM_NAME.deed": {"VOLUME_EVENTS", "KV_volumes", "KV_drift"},
		"CONSUMER.DELETE.STREAM_NAME.deed": {"VOLUME_EVENTS", "KV_volumes", "KV_drift"},
	}
	add := func(request string, may ...string) {
		subject := strings.ReplaceAll(request, "STREAM_NAME", stream)
		abroad := deed{subject: "JETVOL.API." + subject}
		if slices.Contains(auditorReads[request], stream) {
			abroad.may = []string{"auditor"}
		}
		deeds = append(deeds, deed{subject: "$JS.API." + subject, may: may}, abroad)
	}
	bucket, isBucket := strings.CutPrefix(stream, "KV_")
	when := func(condition bool, role string) (may []string) {
		if condition {
			may = append(may, role)
		}
		return may
	}
	is := func(names ...string) bool { return slices.Contains(names, stream) }
	add("STREAM.CREATE.STREAM_NAME", "provisioner")
	add("STREAM.UPDATE.STREAM_NAME", "provisioner")
	for _, destroying := range []string{
		"STREAM.DELETE", "STREAM.PURGE", "STREAM.SNAPSHOT", "STREAM.RESTORE", "STREAM.LEADER.STEPDOWN", "STREAM.PEER.REMOVE",
	} {
		add(destroying + ".STREAM_NAME")
	}
	add("STREAM.INFO.STREAM_NAME", "worker", "provisioner", "operator")
	add("STREAM.MSG.GET.STREAM_NAME", append(when(!is("VOLUME_DEAD_LETTERS"), "worker"), "operator")...)
	add("STREAM.MSG.DELETE.STREAM_NAME",
		append(when(is("VOLUME_COMMANDS"), "worker"), when(is("VOLUME_COMMANDS", "VOLUME_DEAD_LETTERS"), "operator")...)...)
	workerReads := is("VOLUME_COMMANDS", "KV_volumes", "KV_leases", "KV_snapshots", "KV_drift", "KV_quotas")
	operatorReads := isBucket && !is("KV_outcomes") || is("VOLUME_EVENTS", "VOLUME_DEAD_LETTERS")
	add("CONSUMER.CREATE.STREAM_NAME.deed", append(when(workerReads, "worker"), when(operatorReads, "operator")...)...)
	add("CONSUMER.DELETE.STREAM_NAME.deed",
		append(when(workerReads && isBucket, "worker"), when(operatorReads, "operator")...)...)
	add("CONSUMER.UNPIN.STREAM_NAME.deed", when(workerReads, "worker")...)
	if !isBucket {
		add("CONSUMER.PAUSE.STREAM_NAME.deed")
		deeds = append(deeds, deed{subject: "$JS.ACK." + stream + ".deed.1.1.1.1.0", may: append(
			when(is("VOLUME_COMMANDS"), "worker"), when(is("VOLUME_DEAD_LETTERS"), "operator")...)})
		return deeds
	}
	record := deed{subject: "$KV." + bucket + ".default.deed", may: []string{"worker"}}
	if slices.Contains([]string{"snapshots", "drift", "quotas"}, bucket) {
		record.may = append(record.may, "operator") // it changes labels and limits, and repairs
	}
	return append(deeds, record)
}

// stray tries the deeds as every user on a server with the config, and returns what is
// not as they say.
func stray(t *testing.T, config string, deeds []deed) (found []string) {
	t.Helper()
	g := startGuarded(t, config)
	for _, role := range roles {
		for _, d := range deeds {
			done, may := g.try(t, role, d), slices.Contains(d.may, role)
			if done != may {
				found = append(found, fmt.Sprintf("%s: %s: done %v, want %v", role, d, done, may))
			}
		}
	}
	return found
}

// try reports whether the server lets the user do it. Nothing is there that could break:
// no stream has been made.
func (g *guarded) try(t *testing.T, role string, d deed) bool {
	t.Helper()
	conn := g.as(t, role)
	defer conn.Close()
	var err error
	if d.subscribe {
		_, err = conn.SubscribeSync(d.subject)
	} else {
		err = conn.Publish(d.subject, nil)
	}
	if err == nil {
		err = conn.Flush()
	}
	if err != nil {
		t.Fatalf("%s: %s: %v", role, d, err)
	}
	// The server's refusal comes before the answer to the flush.
	switch err := conn.LastError(); {
	case err == nil:
		return true
	case errors.Is(err, nats.ErrPermissionViolation):
		return false
	default:
		t.Fatalf("%s: %s: %v", role, d, err)
		return false
	}
}

// Whatever is not a user's work is refused.
func TestSecurity_Example_EveryOtherDeedIsRefused(t *testing.T) {
	for _, fault := range stray(t, readDocument(t, exampleConfig), allDeeds()) {
		t.Error(fault)
	}
}

// A checker that misses a planted fault checks nothing.
func TestSecurity_PlantedPermission_IsNamed(t *testing.T) {
	for _, plant := range []struct{ name, old, new, want string }{
		{
			"a publisher who may forge events", `publish: [ "volume.command.>", "volume.query.>", "$SRV.>" ]`, `publish: [ "volume.>", "$SRV.>" ]`,
			"publisher: publish volume.event.default.deed.ready: done true, want false",
		},
		{
			"a publisher who reads commands", `[ "_INBOX.publisher.>", "volume.event.>" ]`, `[ "_INBOX.publisher.>", "volume.>" ]`,
			"publisher: subscribe volume.command.>: done true, want false",
		},
		{
			"an auditor with another's inbox", `[ "_INBOX.auditor.>", "volume.event.>" ]`, `[ "_INBOX.*.>", "volume.event.>" ]`,
			"auditor: subscribe _INBOX.worker.>: done true, want false",
		},
		{
			"a worker who deletes streams", `"$JS.API.STREAM.INFO.VOLUME_COMMANDS"`, `"$JS.API.STREAM.*.VOLUME_COMMANDS"`,
			"worker: publish $JS.API.STREAM.DELETE.VOLUME_COMMANDS: done true, want false",
		},
		{
			"a worker that cannot tell events", `"volume.tx.>", "volume.dead.>"`, `"volume.dead.>"`,
			"worker: publish volume.tx.default.deed.ready: done false, want true",
		},
	} {
		t.Run(plant.name, func(t *testing.T) {
			config := readDocument(t, exampleConfig)
			if strings.Count(config, plant.old) != 1 {
				t.Fatalf("the example has %q %d times, want once", plant.old, strings.Count(config, plant.old))
			}
			touched := slices.DeleteFunc(allDeeds(), func(d deed) bool { return !strings.Contains(plant.want, d.String()+":") })
			found := stray(t, strings.Replace(config, plant.old, plant.new, 1), touched)
			if !slices.Equal(found, []string{plant.want}) {
				t.Errorf("got %q, want only %q", found, plant.want)
			}
		})
	}
}
