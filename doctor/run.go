package doctor

import "context"

// inspection is the code of a check.
type inspection struct {
	// needsJetStream leaves the check out where that does not answer.
	needsJetStream bool
	run            func(ctx context.Context, e *examination) []Finding
}

// inspections has one for each check.
var inspections = map[string]inspection{
	"connectivity": {false, checkConnectivity},
	"account":      {true, checkAccount},
	"permissions":  {false, checkPermissions},
	"streams":      {true, checkStreams},
	"replicas":     {true, checkReplicas},
	"sync":         {false, checkSync},
	"clock":        {true, checkClock},
	"workers":      {true, checkWorkers},
	"consumers":    {true, checkConsumers},
	"dead_letters": {true, checkDeadLetters},
	"volumes":      {true, checkVolumes},
	"orphans":      {true, checkOrphans},
	"backends":     {false, checkBackends},
}
