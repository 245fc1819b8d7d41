package doctor

import (
	"context"
	"encoding/json"
	"errors"
	"strings"
	"sync"

	"github.com/nats-io/nats.go"

	"github.com/jetvol/jetvol/volume"
)

// backendsQuery is the endpoint of the service that tells how the workers' backends are.
const backendsQuery = "volume.query.backends"

func checkBackends(ctx context.Context, e *examination) []Finding {
	if len(e.Backends) == 0 {
		return e.askWorkers(ctx)
	}
	findings := make([]Finding, len(e.Backends))
	var all sync.WaitGroup
	for i, b := range e.Backends {
		all.Go(func() {
			health, err := b.Health(ctx)
			if err != nil {
				findings[i] = note("backends.down", Finding{Object: b.Name, Found: err.Error(), Wanted: "an answer", Text: "it does not answer here: " + printable(err.Error())})
				return
			}
			findings[i] = note("backends.up", Finding{Object: b.Name, Found: health, Text: "answers here: " + health})
		})
	}
	all.Wait()
	return findings
}

// healthy is how the service calls a backend that works.
const healthy = "ok"

// backendsAnswer is what is read of the service's answer.
type backendsAnswer struct {
	Backends []struct {
		Name    string          `json:"name"`
		Driver  string          `json:"driver"`
		Version string          `json:"version"`
		Health  string          `json:"health"` // "ok", or another word
		Failure *volume.Failure `json:"error"`
	} `json:"backends"`
}

// askWorkers asks the service for the backends. An answer that says nothing of a backend's
// health is none.
func (e *examination) askWorkers(ctx context.Context) []Finding {
	msg, err := e.request(ctx, backendsQuery, nil)
	var answer backendsAnswer
	if err == nil {
		err = json.Unmarshal(msg.Data, &answer)
	}
	if err != nil || len(answer.Backends) == 0 {
		text := "no worker tells"
		if err != nil && !errors.Is(err, nats.ErrNoResponders) {
			text += " (" + why(err) + ")"
		}
		return []Finding{note("backends.unknown", Finding{Text: text + ": each worker tells its own by /readyz and the metric jetvol_backend_up"})}
	}
	var findings []Finding
	for _, b := range answer.Backends {
		f := Finding{Object: b.Name, Found: strings.TrimSpace(b.Driver + " " + b.Version)}
		switch {
		case b.Health == "":
			f.Text = "the worker that was asked does not tell how it is"
			findings = append(findings, note("backends.unknown", f))
		case b.Health == healthy:
			f.Text = "answers, says a worker: " + f.Found
			findings = append(findings, note("backends.up", f))
		default:
			f.Wanted, f.Text = healthy, b.Health+", says a worker"
			if b.Failure != nil {
				f.Text += ": " + printable(b.Failure.Message)
			}
			findings = append(findings, note("backends.down", f))
		}
	}
	return findings
}
