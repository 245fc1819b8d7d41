package bench

import (
	"context"
	"fmt"
	"net/http"

	"github.com/prometheus/common/expfmt"
	"github.com/prometheus/common/model"
	"github.com/prometheus/procfs"
)

// Names of the metrics that are read.
const (
	goroutinesMetric = "go_goroutines"
	lanesMetric      = "jetvol_lanes"
)

// footprint reads what the arena's worker takes now.
func (a *arena) footprint(ctx context.Context) (f Footprint, err error) {
	gauges, err := readGauges(ctx, "http://"+a.metrics+"/metrics", goroutinesMetric, lanesMetric)
	if err != nil {
		return f, fmt.Errorf("metrics of the worker: %w", err)
	}
	f.Goroutines, f.Lanes = int(gauges[0]), int(gauges[1])
	f.RSS, f.Peak, err = memoryOf(a.stage.workers[0].Pid())
	return f, err
}

// memoryOf returns the resident memory of a process and the most that it had, in bytes.
func memoryOf(pid int) (now, peak uint64, err error) {
	process, err := procfs.NewProc(pid)
	if err != nil {
		return 0, 0, fmt.Errorf("memory of process %d: %w", pid, err)
	}
	status, err := process.NewStatus()
	if err != nil {
		return 0, 0, fmt.Errorf("memory of process %d: %w", pid, err)
	}
	return status.VmRSS, status.VmHWM, nil
}

// readGauges returns the values of gauges without labels, in the order of their names. It
// returns an error if one of them is not there.
func readGauges(ctx context.Context, url string, names ...string) ([]float64, error) {
	request, err := http.NewRequestWithContext(ctx, http.MethodGet, url, http.NoBody)
	if err != nil {
		return nil, err
	}
	answer, err := http.DefaultClient.Do(request)
	if err != nil {
		return nil, err
	}
	defer answer.Body.Close() //nolint:errcheck // it was only read
	parser := expfmt.NewTextParser(model.UTF8Validation)
	families, err := parser.TextToMetricFamilies(answer.Body)
	if err != nil {
		return nil, err
	}
	var values []float64
	for _, name := range names {
		family := families[name]
		if family == nil || len(family.GetMetric()) != 1 {
			return nil, fmt.Errorf("no gauge %s in %s", name, url)
		}
		values = append(values, family.GetMetric()[0].GetGauge().GetValue())
	}
	return values, nil
}
