// The command cephcluster keeps a throw-away Ceph cluster in a directory, for tests and
// for people who write jetvol; see internal/cephproc for what that is.
//
//	go run ./internal/cephcluster up DIR         make it, or start what has died in it
//	go run ./internal/cephcluster status DIR     a line for each daemon; fails if not all is well
//	go run ./internal/cephcluster down DIR       end its daemons and delete what up made
//	go run ./internal/cephcluster start DIR [mon|mgr|osd]
//	go run ./internal/cephcluster stop DIR [mon|mgr|osd]
//	go run ./internal/cephcluster kill DIR mon|mgr|osd
//	go run ./internal/cephcluster freeze DIR mon|mgr|osd
//	go run ./internal/cephcluster resume DIR mon|mgr|osd
//
// Up prints the path of the configuration file, which is all that a client needs, and
// nothing else.
package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/signal"
	"slices"
	"syscall"
	"time"

	"github.com/jetvol/jetvol/internal/cephproc"
)

// answerTimeout bounds how long status waits for the pool.
const answerTimeout = 10 * time.Second

// usage is told when the arguments make no sense.
const usage = `usage: cephcluster up|down|status DIR
       cephcluster start|stop DIR [mon|mgr|osd]
       cephcluster kill|freeze|resume DIR mon|mgr|osd`

// errUsage says that the arguments make no sense.
var errUsage = errors.New(usage)

func main() {
	if err := run(os.Args[1:], os.Stdout); err != nil {
		fmt.Fprintln(os.Stderr, "cephcluster:", err)
		os.Exit(1)
	}
}

func run(args []string, stdout io.Writer) error {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	if len(args) < 2 || len(args) > 3 {
		return errUsage
	}
	command, dir := args[0], args[1]
	switch {
	case len(args) == 3:
		return runDaemon(ctx, command, dir, args[2])
	case command == "up":
		cluster, err := cephproc.Up(ctx, dir)
		if err == nil {
			fmt.Fprintln(stdout, cluster.Conf())
		}
		return err
	case command == "down":
		return cephproc.Down(ctx, dir)
	case command == "status":
		return status(ctx, dir, stdout)
	case command == "start", command == "stop":
		return runAll(ctx, command, dir)
	}
	return errUsage
}

// runAll starts or stops all daemons, the ones first that the others need.
func runAll(ctx context.Context, command, dir string) error {
	daemons := cephproc.Daemons()
	if command == "stop" {
		slices.Reverse(daemons)
	}
	for _, daemon := range daemons {
		if err := runDaemon(ctx, command, dir, string(daemon)); err != nil {
			return err
		}
	}
	return nil
}

func runDaemon(ctx context.Context, command, dir, name string) error {
	daemon, err := cephproc.ParseDaemon(name)
	if err != nil {
		return err
	}
	cluster, err := cephproc.Open(dir)
	if err != nil {
		return err
	}
	switch command {
	case "start":
		return cluster.Start(ctx, daemon)
	case "stop":
		return cluster.Stop(ctx, daemon)
	case "kill":
		return cluster.Kill(ctx, daemon)
	case "freeze":
		return cluster.Freeze(ctx, daemon)
	case "resume":
		return cluster.Resume(daemon)
	}
	return errUsage
}

func status(ctx context.Context, dir string, stdout io.Writer) error {
	cluster, err := cephproc.Open(dir)
	if err != nil {
		return err
	}
	states, err := cluster.States()
	if err != nil {
		return err
	}
	for _, state := range states {
		fmt.Fprintln(stdout, state)
	}
	fmt.Fprintln(stdout, "conf", cluster.Conf())
	ctx, cancel := context.WithTimeout(ctx, answerTimeout)
	defer cancel()
	if err := cluster.Answers(ctx); err != nil {
		return err
	}
	fmt.Fprintln(stdout, "pool", cephproc.Pool, "answers")
	return nil
}
