package main

import (
	"errors"
	"flag"
	"fmt"
	"io"
	"strings"
	"time"

	"github.com/jetvol/jetvol/backends/local"
	"github.com/jetvol/jetvol/internal/trial"
)

// Defaults and bounds of the flags.
const (
	defaultServers     = 1
	defaultWorkers     = 3
	maxWorkers         = 8
	defaultKills       = 8
	defaultStops       = 3
	defaultServerKills = 3
	defaultClients     = 24
	defaultVolumes     = 96
	defaultPace        = 900 * time.Millisecond
)

// options are the flags.
type options struct {
	servers     int
	workers     int
	kills       int
	stops       int
	longStops   int
	serverKills int
	commands    int
	clients     int
	volumes     int
	pace        time.Duration
	seed        uint64
	binary      string
	backend     string
	dir         string
	keep        bool
}

func parseOptions(args []string, stderr io.Writer) (options, error) {
	var o options
	flags := flag.NewFlagSet("chaos", flag.ContinueOnError)
	flags.SetOutput(stderr)
	flags.IntVar(&o.servers, "servers", defaultServers, "NATS servers: 1, or 3 with every stream on all of them")
	flags.IntVar(&o.workers, "workers", defaultWorkers, "workers at the beginning, 1 to 8")
	flags.IntVar(&o.kills, "kills", defaultKills, "how often to kill a worker; joins, drains and cuts come along")
	flags.IntVar(&o.stops, "stops", defaultStops, "how often to SIGSTOP a worker for 0.5 to 8 s")
	flags.IntVar(&o.longStops, "long-stops", 0, "how often to SIGSTOP a worker for 30 s")
	flags.IntVar(&o.serverKills, "server-kills", defaultServerKills, "how often to kill a server; stops of servers come along")
	flags.IntVar(&o.commands, "commands", 0, "go on until so many commands were given")
	flags.IntVar(&o.clients, "clients", defaultClients, "concurrent clients")
	flags.IntVar(&o.volumes, "volumes", defaultVolumes, "volumes that the clients share")
	flags.DurationVar(&o.pace, "pace", defaultPace, "mean time between two disturbances")
	flags.Uint64Var(&o.seed, "seed", uint64(time.Now().UnixNano()), "of every random choice")
	flags.StringVar(&o.binary, "binary", "", "jetvol binary (default: build ./cmd/jetvol)")
	flags.StringVar(&o.backend, "backend", local.DriverName, "driver that the volumes are on: "+strings.Join(trial.Drivers(), " or "))
	flags.StringVar(&o.dir, "dir", "", "empty directory to work in (default: a temporary one)")
	flags.BoolVar(&o.keep, "keep", false, "keep the directory of a clean run too")
	if err := flags.Parse(args); err != nil {
		if errors.Is(err, flag.ErrHelp) {
			return o, err
		}
		return o, fmt.Errorf("%w: %w", errUsage, err)
	}
	if err := trial.CheckDriver(o.backend); err != nil {
		return o, fmt.Errorf("%w: -backend: %w", errUsage, err)
	}
	return o, o.validate(flags.Args())
}

func (o options) validate(rest []string) error {
	switch {
	case len(rest) > 0:
		return fmt.Errorf("%w: unexpected argument %q", errUsage, rest[0])
	case o.servers != 1 && o.servers != 3:
		return fmt.Errorf("%w: -servers %d: want 1 or 3", errUsage, o.servers)
	case o.workers < 1 || o.workers > maxWorkers:
		return fmt.Errorf("%w: -workers %d: want 1 to %d", errUsage, o.workers, maxWorkers)
	case min(o.kills, o.stops, o.longStops, o.serverKills, o.commands) < 0:
		return fmt.Errorf("%w: want no negative numbers", errUsage)
	case o.clients < 1 || o.volumes < 1 || o.pace <= 0:
		return fmt.Errorf("%w: want -clients, -volumes and -pace of more than 0", errUsage)
	}
	return nil
}
