package acceptance

import (
	"strings"
	"syscall"
	"testing"
)

// deedsOfALife are what users do with volumes, in this order, and what they see then.
var deedsOfALife = []struct{ command, want string }{
	{"jetvol --context publisher volume create db-01 --size 8MiB", "default.db-01 available"},
	{"jetvol --context publisher volume attach db-01 --node node-1", "default.db-01 attached"},
	{"jetvol --context operator volume get db-01", "node-1"},
	{"jetvol --context publisher volume get db-01", "node-1"},
	{"jetvol --context publisher volume list", "default.db-01"},
	{"jetvol --context publisher explain db-01", "node-1"},
	{"jetvol --context publisher workers", "w2"},
	{"nats --context auditor micro ls", "jetvol"},
	{"nats --context operator micro info jetvol", "volume.query.get"},
	{"jetvol --context publisher snapshot create db-01 monday", "default.db-01 attached"},
	{"jetvol --context publisher volume create copy --from db-01@monday", "default.copy available"},
	{"jetvol --context publisher snapshot create copy inner", "default.copy available"},
	{"jetvol --context publisher volume flatten copy", "default.copy available"},
	{"jetvol --context publisher volume resize copy --size 16MiB", "default.copy available"},
	{"jetvol --context publisher volume reconcile copy", "default.copy available"},
	{"jetvol --context publisher volume cancel copy || test $? = 3", "nothing_to_cancel"},
	{"jetvol --context operator node list", "node-1"},
	{"jetvol --context operator node gone node-1 --reason 'lost power' --yes", "holds no volume: 1 taken"},
	{"jetvol --context publisher snapshot restore db-01@monday", "default.db-01 available"},
	{"jetvol --context operator snapshot label db-01@monday kept=30d", "kept=30d"},
	{"jetvol --context publisher snapshot delete db-01@monday", "default.db-01 available"},
	{"jetvol --context publisher volume delete db-01", "default.db-01 deleted"},
	{"nats --context publisher pub -J volume.command.default.db-02.create '{\"sise\":1}'", "Stored in Stream"},
	{awaiting("jetvol --context operator dead list", "db-02"), "unknown_field"},
	{"jetvol --context operator dead show 1", "unknown_field"},
	{"echo '{\"size\":\"1MiB\"}' > fixed.json; jetvol --context operator dead replay 1 --payload fixed.json", "replayed 1"},
	{awaiting("jetvol --context operator volume list", "db-02"), "db-02"},
	{"nats --context publisher pub -J volume.command.default.db-03.create junk", "Stored in Stream"},
	{awaiting("jetvol --context operator dead list", "db-03"), "invalid_payload"},
	{"jetvol --context operator dead drop 2", "dropped 2"},
	{"jetvol --context auditor events --volume copy", "flattened"},
	{"jetvol --context auditor volume list", "default.copy"},
	{"jetvol --context auditor volume get copy", "16MiB"},
	{"jetvol --context auditor snapshot tree", "copy@inner"},
	{"jetvol --context auditor explain copy", "available"},
	{"jetvol --context operator drift list; jetvol --context auditor drift list", "VOLUME"},
	{"nats --context auditor kv get volumes default.copy --raw", `"name":"copy"`},
	{"nats --context auditor stream get VOLUME_EVENTS 1", "default.db-01/1"},
	{"nats --context auditor stream subjects VOLUME_EVENTS", "volume.event.default.copy.flattened"},
	{"nats --context auditor consumer add VOLUME_EVENTS replay --pull --ephemeral --ack none --deliver all --defaults", "replay"},
	{"nats --context auditor consumer next VOLUME_EVENTS replay --count 2 --raw --no-ack", "default.db-01/2"},
}

// awaiting returns a command that repeats another one until it shows a word.
func awaiting(command, word string) string {
	return "for i in $(seq 50); do " + command + " | grep " + word + " && exit; sleep 0.1; done"
}

// Each user does all of its work without one violation, through a takeover after SIGKILL.
func TestSecurity_Example_EveryUserDoesItsWork(t *testing.T) {
	dependOnSources(t)
	g := startGuarded(t, readDocument(t, exampleConfig))
	g.provision(t)
	first := g.startWorker(t, "w1")
	g.startWorker(t, "w2")
	for i, deed := range deedsOfALife {
		if i == len(deedsOfALife)/3 {
			if err := first.cmd.Process.Signal(syscall.SIGKILL); err != nil {
				t.Fatal(err)
			}
		}
		if printed := g.shell(t, deed.command); !strings.Contains(printed, deed.want) {
			t.Errorf("$ %s printed\n%s\nwant %q in it", deed.command, printed, deed.want)
		}
	}
	// Answers that leave the record go to a bucket of their own.
	g.shell(t, `for i in $(seq 20); do
		nats --context publisher pub -q -J volume.command.default.copy.detach '' >/dev/null || exit
	done`)
	g.shell(t, awaiting("nats --context operator stream subjects KV_outcomes --json", "default.copy"))
	for _, line := range g.log.violations() {
		t.Error(line)
	}
	// The doctor finds out by trying what is refused, which is therefore looked at last.
	for _, role := range []string{"operator", "worker", "provisioner"} {
		printed := g.shell(t, "jetvol --context "+role+" doctor --role "+role+"; true")
		if want := role + ": this user may do what the role needs"; !strings.Contains(printed, want) {
			t.Errorf("doctor as %s printed\n%s\nwant %q", role, printed, want)
		}
	}
}
