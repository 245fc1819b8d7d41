package bench

import (
	"fmt"
	"os"

	"github.com/prometheus/procfs"
)

// CPU is processor time in seconds, user and system, by who used it. Servers is 0 for a
// given server, whose processes are not known.
type CPU struct {
	Workers float64 `json:"workers"`
	Servers float64 `json:"servers"`
	Client  float64 `json:"client"`
}

// per returns the time of each 1,000 commands since the earlier reading.
func (c CPU) per1000(earlier CPU, commands int) CPU {
	share := func(now, then float64) float64 { return (now - then) * 1000 / float64(max(1, commands)) }
	return CPU{share(c.Workers, earlier.Workers), share(c.Servers, earlier.Servers), share(c.Client, earlier.Client)}
}

// Total is that of all.
func (c CPU) Total() float64 { return c.Workers + c.Servers + c.Client }

// cpu reads what the servers, this process and the given ones have used so far.
func (s *stage) cpu(workers []int) (used CPU, err error) {
	var servers []int
	for _, p := range s.servers {
		servers = append(servers, p.Pid())
	}
	for _, part := range []struct {
		into *float64
		pids []int
	}{{&used.Workers, workers}, {&used.Servers, servers}, {&used.Client, []int{os.Getpid()}}} {
		if *part.into, err = cpuOf(part.pids); err != nil {
			return used, err
		}
	}
	return used, nil
}

func cpuOf(pids []int) (float64, error) {
	sum := 0.0
	for _, pid := range pids {
		process, err := procfs.NewProc(pid)
		if err != nil {
			return 0, fmt.Errorf("processor time of process %d: %w", pid, err)
		}
		stat, err := process.Stat()
		if err != nil {
			return 0, fmt.Errorf("processor time of process %d: %w", pid, err)
		}
		sum += stat.CPUTime()
	}
	return sum, nil
}
