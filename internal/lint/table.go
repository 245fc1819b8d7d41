package lint

// A layer is a floor of the house: a package may import what lies below its own.
type layer int

const (
	vocabulary layer = iota // L0
	contracts               // L1
	storage                 // L2
	engine                  // L3
	systems                 // L4
	service                 // L5
	program                 // L6
)

// A rule says what one package may import. Its tests may import the same, packages
// that are for tests, and what is listed for them in addition.
type rule struct {
	layer layer
	// peers are the packages of the same layer that it may import.
	peers []string
	// only, if not nil, takes the place of layer and peers: these packages, no others.
	only []string
	// outside, if not nil, lists the modules that it may import besides the standard
	// library. Nil allows all but the reserved ones.
	outside []string
	// forTests marks a package that only tests, and packages like it, may import.
	forTests bool
	// tests are packages that its tests may import in addition, of whatever layer.
	tests []string
}

const (
	natsGo     = "github.com/nats-io/nats.go"
	natsServer = "github.com/nats-io/nats-server/v2"
	goCeph     = "github.com/ceph/go-ceph"
	stateless  = "github.com/qmuntal/stateless"
)

// none is an empty list that is not nil: nothing of this kind is allowed.
var none = []string{}

// table has a row for every package of the module, also for those still to come. The
// names are paths within the module.
var table = map[string]rule{
	"volume": {layer: vocabulary, outside: none},

	"fsm":      {layer: contracts, outside: []string{stateless}},
	"commands": {layer: contracts, outside: []string{natsGo}, tests: []string{"internal/provision"}},
	"events":   {layer: contracts, outside: []string{natsGo}, tests: []string{"internal/provision"}},
	"backends": {layer: contracts, tests: []string{"backends/null"}},

	"snapshots/filters":   {layer: contracts, only: []string{"volume"}, outside: none},
	"snapshots/fieldpath": {layer: contracts, only: []string{"volume"}, outside: none},

	"kv":                   {layer: storage, tests: []string{"internal/provision"}},
	"backends/local":       {layer: storage},
	"backends/null":        {layer: storage},
	"backends/ceph":        {layer: storage},
	"backends/lustre":      {layer: storage},
	"backends/backendtest": {layer: storage, forTests: true, tests: []string{"backends/local", "backends/null"}},

	"worker":             {layer: engine, peers: []string{"snapshots", "quotas", "worker/ownership"}, tests: []string{"internal/provision"}},
	"worker/ownership":   {layer: engine, tests: []string{"internal/provision"}},
	"internal/provision": {layer: engine},
	"audit":              {layer: engine, tests: []string{"internal/provision", "worker"}},
	// The worker drives it: design put it above, where it would drive the worker.
	"snapshots": {layer: engine, tests: []string{"internal/provision"}},

	"quotas": {layer: engine, peers: []string{"worker/ownership"}, tests: []string{"internal/provision", "worker", "backends/null"}},

	"drift":   {layer: systems, tests: []string{"internal/provision"}},
	"doctor":  {layer: systems, peers: []string{"drift"}},
	"nodes":   {layer: systems, tests: []string{"internal/provision"}},
	"groups":  {layer: systems, tests: []string{"internal/provision"}},
	"rollout": {layer: systems, tests: []string{"internal/provision"}},
	"sets":    {layer: systems, tests: []string{"internal/provision"}},

	"query": {layer: service, tests: []string{"internal/provision"}},

	"":                    {layer: program}, // tests of the documents in the root directory
	"cmd/jetvol":          {layer: program},
	"internal/acceptance": {layer: program},
	"internal/crash":      {layer: program},
	"internal/chaos":      {layer: program},
	"internal/killmatrix": {layer: program},

	"internal/cephcluster": {layer: program, only: []string{"internal/cephproc"}},

	"internal/config": {
		layer: service,
		only:  []string{"volume", "backends", "backends/local", "backends/null", "backends/ceph"},
	},
	"internal/telemetry": {layer: contracts, only: []string{"volume"}},
	"internal/otlptest":  {layer: vocabulary, only: none, forTests: true},
	"internal/embednats": {layer: service, only: []string{"volume"}},
	"internal/verify":    {layer: storage},
	"internal/load":      {layer: engine},
	"internal/bench":     {layer: service, peers: []string{"internal/embednats", "internal/natsproc", "query"}},
	"internal/trial":     {layer: engine, peers: []string{"audit", "quotas", "snapshots"}},
	"internal/history":   {layer: engine},
	"internal/natsproc":  {layer: service, only: []string{"internal/embednats"}, tests: []string{"internal/provision"}},
	"internal/cephproc":  {layer: vocabulary, only: none},
	"internal/cephtest":  {layer: service, only: []string{"internal/cephproc"}, forTests: true},
	"internal/natstest":  {layer: service, only: []string{"internal/embednats"}, forTests: true},
	"internal/lint":      {layer: program, only: none, outside: none},

	"internal/reconciletest": {layer: storage, forTests: true},

	"internal/alloctest": {layer: vocabulary, only: none, outside: none, forTests: true},
}

// reserved modules may be imported by the listed packages only; tests may import those
// marked so everywhere.
var reserved = []struct {
	module  string
	users   []string
	inTests bool
}{
	{module: goCeph, users: []string{"backends/ceph", "internal/acceptance"}},
	{module: natsServer, users: []string{"internal/embednats", "internal/natstest"}, inTests: true},
}
