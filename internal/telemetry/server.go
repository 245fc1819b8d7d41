package telemetry

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net"
	"net/http"
	"net/http/pprof"
	"sync"
	"syscall"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/promhttp"
	"github.com/rs/zerolog"

	"github.com/jetvol/jetvol/volume"
)

// Timings of the server.
const (
	headerTimeout = 5 * time.Second
	// checkTimeout bounds all checks of one question together: probes ask often.
	checkTimeout = 2 * time.Second
)

// Check is one thing that must hold for the process to be ready.
type Check struct {
	Name string
	// Group, if set, is what the check has in common with others: the process is ready
	// while one check of each group holds, since the rest of its work goes on.
	Group string
	// Run returns what there is to know, or why the process is not ready.
	Run func(ctx context.Context) (detail string, err error)
}

// Options say what the server tells. Listen and Gatherer are required.
type Options struct {
	Listen   string // HOST:PORT; port 0 takes a free one
	Gatherer prometheus.Gatherer
	Checks   []Check // of being ready
	Alive    []Check // of being alive: what a restart of the process would mend
	Profiles bool    // the profiles of net/http/pprof too
	Logger   zerolog.Logger
}

// Server answers GET on these paths:
//
//	/metrics       the metrics, in the format of Prometheus
//	/healthz       200 if every check of being alive holds, and 503 if not
//	/readyz        200 if every check of being ready holds, or one of each group, and 503 if
//	               not; as /healthz with one line of JSON either way
//	/debug/pprof/  profiles of the process, if Options ask for them
type Server struct {
	http   *http.Server
	url    string
	done   chan struct{} // closed when no request is accepted any more
	logger zerolog.Logger
}

// Start listens and answers until [Server.Shutdown]. It returns a [volume.Busy] if
// another process has the address, and the system's error if it cannot be used.
func Start(o Options) (*Server, error) {
	listener, err := (&net.ListenConfig{}).Listen(context.Background(), "tcp", o.Listen)
	if errors.Is(err, syscall.EADDRINUSE) {
		return nil, fmt.Errorf("serve metrics on %s: address in use by another process: %w", o.Listen, volume.Busy)
	}
	if err != nil {
		return nil, fmt.Errorf("serve metrics: %w", err)
	}
	s := &Server{
		http:   &http.Server{Handler: handler(o), ReadHeaderTimeout: headerTimeout},
		url:    "http://" + listener.Addr().String(),
		done:   make(chan struct{}),
		logger: o.Logger,
	}
	go s.serve(listener)
	return s, nil
}

func (s *Server) serve(listener net.Listener) {
	defer close(s.done)
	if err := s.http.Serve(listener); !errors.Is(err, http.ErrServerClosed) {
		s.logger.Error().Err(err).Msg("metrics server ended")
	}
}

// URL returns where the server answers, without a path: "http://127.0.0.1:9090".
func (s *Server) URL() string { return s.url }

// Shutdown lets running requests end and stops. If ctx ends first it closes their
// connections and returns ctx's error.
func (s *Server) Shutdown(ctx context.Context) error {
	err := s.http.Shutdown(ctx)
	if err != nil {
		err = errors.Join(fmt.Errorf("shut down metrics server: %w", err), s.http.Close())
	}
	<-s.done
	return err
}

func handler(o Options) http.Handler {
	mux := http.NewServeMux()
	mux.Handle("GET /metrics", promhttp.HandlerFor(o.Gatherer, promhttp.HandlerOpts{}))
	mux.HandleFunc("GET /healthz", o.answer(o.Alive, func(r *report, ok bool) { r.Alive = &ok }))
	mux.HandleFunc("GET /readyz", o.answer(o.Checks, func(r *report, ok bool) { r.Ready = &ok }))
	if o.Profiles {
		// Not by the package's own mux, which every import of it adds to.
		mux.HandleFunc("GET /debug/pprof/", pprof.Index) // and each profile by its name
		mux.HandleFunc("GET /debug/pprof/cmdline", pprof.Cmdline)
		mux.HandleFunc("GET /debug/pprof/profile", pprof.Profile)
		mux.HandleFunc("GET /debug/pprof/symbol", pprof.Symbol)
		mux.HandleFunc("GET /debug/pprof/trace", pprof.Trace)
	}
	return mux
}

// answer returns what carries out the checks and tells how they ended, of which say is for
// all together.
func (o Options) answer(checks []Check, say func(*report, bool)) http.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) {
		ctx, cancel := context.WithTimeout(r.Context(), checkTimeout)
		defer cancel()
		report, ok := run(ctx, checks)
		say(&report, ok)
		w.Header().Set("Content-Type", "application/json")
		if !ok {
			w.WriteHeader(http.StatusServiceUnavailable)
		}
		if err := json.NewEncoder(w).Encode(report); err != nil {
			o.Logger.Debug().Err(err).Str("path", r.URL.Path).Msg("answer probe")
		}
	}
}

// report is the body of /healthz and of /readyz.
type report struct {
	Alive *bool `json:"alive,omitempty"` // of /healthz
	Ready *bool `json:"ready,omitempty"` // of /readyz
	// Degraded says that it is ready although a check fails.
	Degraded bool     `json:"degraded,omitempty"`
	Checks   []result `json:"checks"`
}

type result struct {
	Name   string `json:"name"`
	OK     bool   `json:"ok"`
	Detail string `json:"detail,omitempty"`
	Error  string `json:"error,omitempty"`
}

// run carries out the checks, all at once: one that hangs takes no time from the others.
func run(ctx context.Context, checks []Check) (_ report, ok bool) {
	results := make([]result, len(checks))
	var all sync.WaitGroup
	for i, check := range checks {
		all.Go(func() {
			detail, err := check.Run(ctx)
			results[i] = result{Name: check.Name, OK: err == nil, Detail: detail}
			if err != nil {
				results[i].Error = err.Error()
			}
		})
	}
	all.Wait()
	ready, failing := true, false
	holds := map[string]bool{} // by group
	for i, one := range results {
		group := checks[i].Group
		holds[group] = holds[group] || one.OK
		failing = failing || !one.OK
		if group == "" && !one.OK {
			ready = false
		}
	}
	delete(holds, "")
	for _, one := range holds {
		ready = ready && one
	}
	return report{Degraded: ready && failing, Checks: results}, ready
}
