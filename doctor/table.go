package doctor

// Check is one thing that doctor looks at, and the kinds of what it can find.
type Check struct {
	Name  string
	About string
	Kinds []Kind
}

// Kind is a kind of finding.
type Kind struct {
	Code     string // `<check>.<what>`
	Severity Severity
	When     string // what is so
	// Remedy is a command line, or what to do; {object} stands for what the finding is about.
	Remedy string
}

const objectMark = "{object}"

// Checks returns all checks in the order in which they are reported.
func Checks() []Check { return append([]Check{}, checks...) }

// What several kinds have as their remedy.
const (
	provisionRemedy = "jetvol provision --update"
	workerRemedy    = "jetvol worker -s SERVER --config FILE"
	clockRemedy     = "chronyc tracking"
	reportRemedy    = "nats stream report"
)

var checks = []Check{
	{"connectivity", "the server, and whether JetStream answers", []Kind{
		{"connectivity.server", OK, "the server was reached; its name, version and cluster, and the round trip", ""},
		{"connectivity.plain_text", Warning, "the connection to another machine is not encrypted", "use a URL with tls:// and --tlsca"},
		{"connectivity.unreachable", Error, "no server answers, or it refuses the credentials; nothing else was looked at", "start one (`jetvol up`), or look at --server, --context and --creds"},
		{"connectivity.lost", Error, "the server does not answer any more", "nats server check connection"},
		{"connectivity.no_jetstream", Error, "JetStream is not enabled, or not for this account", "add a block jetstream {} to the server's configuration"},
		{"connectivity.silent", Error, "JetStream does not answer: in a cluster, it has no leader", "`nats server report jetstream` with a user of the system account"},
	}},
	{"account", "JetStream's limits of the account", []Kind{
		{"account.room", OK, "there is room", ""},
		{"account.near_full", Warning, "80 % of a limit are used up; at the limit nothing is stored any more", "raise the account's limit, or `nats account info`"},
		{"account.unknown", Unknown, "the user may not ask for it", "nats account info"},
	}},
	{"permissions", "what the user may do, role by role; nothing is changed", []Kind{
		{"permissions.may", OK, "the user may do what the role needs", ""},
		{"permissions.lacks", Info, "the user may not do what the role needs, and need not", ""},
		{"permissions.refused", Error, "the same for a role that was asked for with --role", "allow the subject in the server's configuration"},
		{"permissions.forge", Warning, "the user may publish events that plain subscribers take for true", `add deny: "volume.event.>" to the user's publish permissions`},
		{"permissions.open", Warning, "the server lets in anybody, from other machines too", "add users, or accounts, to the server's configuration"},
		{"permissions.open_here", Info, "the server lets in anybody who reaches it, on the loopback address", ""},
		{"permissions.unknown", Unknown, "the connection broke while it was tried", ""},
	}},
	{"streams", "the settings of streams and buckets against the wanted ones", []Kind{
		{"streams.as_wanted", OK, "the stream or bucket has the wanted settings", ""},
		{"streams.missing", Error, "there is no such stream or bucket", "jetvol provision"},
		{"streams.breaks", Error, "a setting with which jetvol cannot keep its promises", provisionRemedy},
		{"streams.differs", Warning, "a setting that is not the wanted one, and may have been chosen", provisionRemedy},
		{"streams.unknown", Unknown, "the user may not ask for it", ""},
	}},
	{"replicas", "how many servers hold each stream, and how they are", []Kind{
		{"replicas.complete", OK, "every replica is there and holds what the leader does", ""},
		{"replicas.one_server", Info, "the server is alone: what its disk loses is lost", ""},
		{"replicas.one_copy", Warning, "a cluster keeps a stream on one of its servers only: without that one nothing works, and what its disk loses is lost", "jetvol provision --replicas 3 --update"},
		{"replicas.no_leader", Error, "the stream has no leader: nothing is read or stored", reportRemedy},
		{"replicas.offline", Error, "a replica is on a server that is gone", reportRemedy},
		{"replicas.behind", Warning, "a replica does not hold yet what the leader does", reportRemedy},
	}},
	{"sync", "when the servers write to disk, which only their monitoring ports show (--monitor)", []Kind{
		{"sync.always", OK, "every write is on disk before it is acknowledged", ""},
		{"sync.interval", Warning, "a power cut of the one server that holds the streams may lose acknowledged writes", "set jetstream { sync_interval: always }, for `jetvol up` --sync-always"},
		{"sync.interval_replicated", Info, "a power cut may lose acknowledged writes, if it strikes most servers at once", ""},
		{"sync.interval_long", Warning, "the interval is longer than the server's default of 2 minutes", `sync_interval: "2m", with the quotes: without them 2m is two million seconds`},
		{"sync.unknown", Unknown, "no monitoring port was given", "jetvol doctor --monitor http://HOST:8222"},
		{"sync.unreachable", Warning, "the monitoring port does not answer", "curl {object}/varz"},
		{"sync.storage", OK, "the server has room for JetStream", ""},
		{"sync.storage_near_full", Warning, "the server uses 80 % of what it has for JetStream", "a greater max_file_store, or another disk"},
	}},
	{"clock", "this machine's clock against the servers', and the workers' against them", []Kind{
		{"clock.here", OK, "this machine and the server agree", ""},
		{"clock.here_off", Warning, "they differ by more than 1 s: deadlines and --since mean another time", clockRemedy},
		{"clock.here_far_off", Error, "they differ by more than the longest wait for a retry", clockRemedy},
		{"clock.worker", OK, "the workers' clocks and the servers' agree, as far as leases and events tell", ""},
		{"clock.worker_off", Warning, "they differ by more than 1 s: times in records and events are wrong", clockRemedy},
		{"clock.worker_far_off", Error, "they differ by more than the longest wait for a retry", clockRemedy},
		{"clock.unknown", Unknown, "no server told its time", ""},
	}},
	{"workers", "live workers and their partitions", []Kind{
		{"workers.live", OK, "the worker is alive; its partitions", ""},
		{"workers.none", Error, "no worker is alive: commands are stored and wait", workerRemedy},
		{"workers.draining", Info, "the worker takes nothing any more", ""},
		{"workers.unowned", Warning, "partitions that no worker takes commands from; right after a worker left this passes", workerRemedy},
		{"workers.twice", Warning, "a partition that two workers say to serve; at a handover this passes", "nats kv watch leases"},
		{"workers.versions", Warning, "workers of several versions", "bring all workers to one version"},
		{"workers.unreadable", Warning, "a lease that cannot be read", "nats kv ls leases -v"},
		{"workers.unknown", Unknown, "the leases cannot be read", ""},
	}},
	{"consumers", "the consumers of the 16 partitions, and commands that wait", []Kind{
		{"consumers.fine", OK, "every partition's consumer is there and is asked for commands", ""},
		{"consumers.lag", Info, "how many commands wait, and how many are worked on", ""},
		{"consumers.missing", Warning, "a partition has no consumer: no worker has ever served it", workerRemedy},
		{"consumers.settings", Error, "a consumer has another setting than workers give it; the next takeover sets it", "restart the worker that serves the partition"},
		{"consumers.paused", Error, "somebody has paused the consumer", "nats consumer resume VOLUME_COMMANDS {object}"},
		{"consumers.no_interest", Warning, "nobody asks for commands although a worker says to serve the partition", "nats consumer info VOLUME_COMMANDS {object}"},
		{"consumers.full", Warning, "as many commands as may be are not ended yet: the partition's others wait", "nats consumer report VOLUME_COMMANDS"},
		{"consumers.old_command", Warning, "a command has waited, or run, for long", "jetvol explain {object}"},
		{"consumers.unknown", Unknown, "the consumers cannot be listed", ""},
	}},
	{"dead_letters", "commands that could not be carried out", []Kind{
		{"dead_letters.none", OK, "there are none", ""},
		{"dead_letters.present", Warning, "there are some; the newest one", "jetvol dead list --newest"},
	}},
	{"volumes", "volumes that need somebody: the 1000 that were changed longest ago, with --deep all", []Kind{
		{"volumes.fine", OK, "none of those looked at needs anybody", ""},
		{"volumes.error", Warning, "a volume is in the state error", "jetvol volume reconcile {object}"},
		{"volumes.stuck", Error, "an operation has not moved for long, and its worker is gone", "jetvol volume reconcile {object}"},
		{"volumes.slow", Info, "an operation has not moved for long; its worker is alive", "jetvol explain {object}"},
		{"volumes.drifted", Warning, "the backend differs from the record", "jetvol drift show {object}"},
		{"volumes.unreadable", Error, "a record cannot be read", "upgrade jetvol if it says so; else compare the record with the volume's events"},
		{"volumes.bounded", Info, "there are more than were looked at", "jetvol doctor --deep"},
		{"volumes.unknown", Unknown, "the records cannot be read", ""},
	}},
	{"orphans", "what sweeps of workers found at backends and no record knows; 1000 are counted, with --deep all", []Kind{
		{"orphans.none", OK, "no object without a record was found", ""},
		{"orphans.present", Warning, "there are objects without a record; how many, and where", "jetvol drift list --kind orphan"},
		{"orphans.unreadable", Warning, "a finding cannot be read", "upgrade jetvol if it says so; else `jetvol drift scan --config FILE --repair --yes`"},
		{"orphans.unknown", Unknown, "the findings cannot be read", ""},
	}},
	{"backends", "how the backends are: opened here with --config or --dir, else as the workers tell", []Kind{
		{"backends.up", OK, "the backend answers", ""},
		{"backends.down", Error, "the backend does not answer", "jetvol config check FILE"},
		{"backends.unknown", Unknown, "nobody who could tell was asked, or answers", "`jetvol doctor --config FILE`, or the metric jetvol_backend_up of each worker"},
	}},
}
