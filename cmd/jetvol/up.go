package main

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"path/filepath"
	"strings"
	"syscall"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"
	"github.com/rs/zerolog"
	"github.com/spf13/cobra"

	"github.com/jetvol/jetvol/commands"
	"github.com/jetvol/jetvol/internal/embednats"
	"github.com/jetvol/jetvol/internal/provision"
	"github.com/jetvol/jetvol/internal/telemetry"
	"github.com/jetvol/jetvol/volume"
)

// natsDir is where the embedded server keeps its streams, within --dir.
const natsDir = "nats"

// serverShutdown bounds how long the embedded server may write its streams to disk.
const serverShutdown = 30 * time.Second

const upLong = `Runs everything in one process: a NATS server with JetStream on disk and a real
port, one worker, and a backend. There is no authentication: keep the server on a
loopback address unless the network is trusted.

After the ready line it works until Ctrl-C or SIGTERM, which drains: running backend
calls end, the rest stays stored for the next start. A second signal kills.`

const upExample = `  jetvol up
  jetvol up --dir /srv/jetvol --listen 127.0.0.1:4333 --metrics 127.0.0.1:9090
  jetvol up --demo`

type upFlags struct {
	workerFlags
	listen     string
	syncAlways bool
	update     bool
	demo       bool
	exitAfter  bool
}

func (a *app) upCommand() *cobra.Command {
	var f upFlags
	command := &cobra.Command{
		Use:     "up",
		Short:   "Run a NATS server, a worker and a backend in this process",
		Long:    upLong,
		Example: upExample,
		Args:    cobra.NoArgs,
		RunE: func(c *cobra.Command, _ []string) error {
			if c.Flags().Changed("server") || c.Flags().Changed("context") {
				return usagef("up runs a server of its own: use `jetvol worker` with an existing one")
			}
			return a.up(c.Context(), &f)
		},
	}
	f.alone = true
	f.register(command, "warn")
	flags := command.Flags()
	flags.StringVar(&f.listen, "listen", fmt.Sprintf("%s:%d", embednats.DefaultHost, embednats.DefaultPort),
		"HOST:PORT of the NATS server; port 0 takes a free one")
	flags.BoolVar(&f.syncAlways, "sync-always", false, "have each write on disk before it counts: survives a power cut, slower")
	flags.BoolVar(&f.update, "update", false, "change existing streams that differ from what is wanted")
	flags.BoolVar(&f.demo, "demo", false, "take a volume through its life on screen once ready")
	flags.BoolVar(&f.exitAfter, "exit-after-demo", false, "with the demo: end after it")
	return command
}

func (a *app) up(ctx context.Context, f *upFlags) (err error) {
	if err := f.validate(); err != nil {
		return err
	}
	log := telemetry.NewLogger(a.stderr, f.logLevel)
	server, err := embednats.Start(embednats.Options{
		Dir: filepath.Join(f.dir, natsDir), Listen: f.listen, Logger: log, SyncAlways: f.syncAlways,
	})
	if err != nil {
		return explainStart(err)
	}
	defer func() {
		ctx, cancel := context.WithTimeout(context.Background(), serverShutdown)
		defer cancel()
		err = errors.Join(err, server.Shutdown(ctx))
		if err == nil {
			fmt.Fprintln(a.stdout, "jetvol stopped: drained")
		}
	}()
	conn, err := server.Connect(workerOptions(log)...)
	if err != nil {
		return fmt.Errorf("connect to the embedded server: %w", err)
	}
	defer conn.Close()
	if err := a.upProvision(ctx, conn, f); err != nil {
		return err
	}
	return a.serve(ctx, conn, &f.workerFlags, log, func(ctx context.Context, s *service) (bool, error) {
		a.announce(s, server.URL(), f.dir)
		if !f.demo && !f.exitAfter {
			return true, nil
		}
		if err := a.demo(ctx, conn, server.URL()); err != nil && ctx.Err() == nil { // not merely interrupted
			return false, err
		}
		return !f.exitAfter, nil
	})
}

// upProvision makes the streams, and changes those that differ only if it is asked to.
func (a *app) upProvision(ctx context.Context, conn *nats.Conn, f *upFlags) error {
	err := a.provisionStreams(ctx, conn, provision.Options{Update: f.update})
	if _, differ := errors.AsType[*streamsDifferError](err); differ {
		return fmt.Errorf("%w\nwhile this server is down, `%s up --update --dir %s` does the same", err, a.program, f.dir)
	}
	return err
}

// streamsDifferError says that existing streams are not fit for jetvol.
type streamsDifferError struct{ cause error }

func (e *streamsDifferError) Error() string { return e.cause.Error() }
func (e *streamsDifferError) Unwrap() error { return e.cause }

// provisionStreams makes what is missing and tells on stderr how existing streams
// differ. It returns a streamsDifferError if jetvol cannot work with them.
func (a *app) provisionStreams(ctx context.Context, conn *nats.Conn, options provision.Options) error {
	js, err := jetstream.New(conn, jetstream.WithDefaultTimeout(a.connection.timeout))
	if err != nil {
		return fmt.Errorf("open jetstream: %w", err)
	}
	options.Waiting = a.tellWaiting()
	report, err := provision.Apply(ctx, js, options)
	if err != nil {
		return explainJetStream(err)
	}
	for _, difference := range report.Differences {
		if !difference.Fatal {
			fmt.Fprintln(a.stderr, "differs:", difference)
		}
	}
	if err := report.Fatal(); err != nil {
		return &streamsDifferError{err}
	}
	return nil
}

// serve runs a worker on the connection until ctx ends or ready says so.
func (a *app) serve(ctx context.Context, conn *nats.Conn, f *workerFlags, log zerolog.Logger,
	ready func(context.Context, *service) (bool, error),
) (err error) {
	s, err := newService(ctx, conn, f, log)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, s.close()) }()
	return s.run(ctx, func(ctx context.Context) (bool, error) { return ready(ctx, s) })
}

// announce prints the ready line and three commands to try.
func (a *app) announce(s *service, url, dir string) {
	example := volume.Key{Project: defaultProject, Name: "db-02"}
	jetvol, natsCLI := at(a.program, url), at("nats", url)
	fmt.Fprintf(a.stdout, "jetvol ready: %s (%s)\n", url, s.facts("dir "+filepath.Clean(dir)))
	fmt.Fprintf(a.stdout, "  %s volume create db-01 --size 64MiB\n", jetvol)
	fmt.Fprintf(a.stdout, "  %s sub 'volume.event.>'\n", natsCLI)
	fmt.Fprintf(a.stdout, "  %s pub %s '{\"size\":\"64MiB\"}'\n", natsCLI, commands.Subject(example, volume.VerbCreate))
}

// at returns the command with the server's address, unless it is the default one.
func at(command, url string) string {
	if url == fmt.Sprintf("nats://%s:%d", embednats.DefaultHost, embednats.DefaultPort) {
		return command
	}
	return command + " -s " + url
}

// explainStart adds to an error of the embedded server what to do about it.
func explainStart(err error) error {
	switch {
	case errors.Is(err, volume.ErrInvalidArgument):
		return &usageError{cause: err}
	case errors.Is(err, embednats.ErrAddressInUse):
		return fmt.Errorf("%w (--listen HOST:PORT)", err)
	case errors.Is(err, embednats.ErrDirectoryInUse):
		return fmt.Errorf("%w (--dir DIR)", err)
	case errors.Is(err, fs.ErrPermission), errors.Is(err, syscall.ENOTDIR), errors.Is(err, syscall.EROFS):
		return fmt.Errorf("%w: choose a directory that can be written to (--dir DIR)", err)
	}
	return err
}

// explainJetStream gives an error of JetStream as a whole its class.
func explainJetStream(err error) error {
	unreachable := []error{jetstream.ErrJetStreamNotEnabled, jetstream.ErrJetStreamNotEnabledForAccount, nats.ErrNoResponders}
	for _, cause := range unreachable {
		if errors.Is(err, cause) {
			return fmt.Errorf("%w: %w", err, volume.Unavailable)
		}
	}
	return err
}

// workerOptions make a connection that never gives up and tells the log what it meets.
func workerOptions(log zerolog.Logger) []nats.Option {
	return []nats.Option{
		nats.Name("jetvol worker"),
		nats.MaxReconnects(-1),
		nats.IgnoreAuthErrorAbort(),
		nats.DisconnectErrHandler(func(_ *nats.Conn, err error) {
			if err != nil {
				log.Warn().Err(err).Msg("connection lost")
			}
		}),
		nats.ReconnectHandler(func(conn *nats.Conn) {
			log.Warn().Str("server", conn.ConnectedUrlRedacted()).Msg("connected again")
		}),
		nats.ErrorHandler(func(_ *nats.Conn, subscription *nats.Subscription, err error) {
			entry := log.Warn().Err(err)
			if subscription != nil && !strings.HasPrefix(subscription.Subject, nats.InboxPrefix) {
				entry = entry.Str("subject", subscription.Subject)
			}
			entry.Msg("connection")
		}),
	}
}
