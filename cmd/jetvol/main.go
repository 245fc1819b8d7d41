// Command jetvol is a volume control plane on NATS JetStream: the server (`jetvol up`,
// `jetvol worker`) and the client (`jetvol volume`, `jetvol events`) in one binary.
//
// Its exit codes are part of its interface:
//
//	0  succeeded
//	1  failed: the backend or something within jetvol; of a command that looks for faults
//	   (drift list and scan, quota verify, audit verify, doctor, provision): it found some
//	2  usage: an unknown command, a bad flag or argument; nothing was sent
//	3  rejected: the volume's state or a precondition does not allow the command
//	4  pending: gave up waiting; the command may still be carried out
//	5  unavailable: no server, no stream, no leader; trying again later may help
//	6  unconfirmed: the plan was shown and nothing was done; --yes carries it out
package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/signal"
	"strings"
	"syscall"

	"github.com/jetvol/jetvol/internal/telemetry"
)

// version is set at build time: -ldflags "-X main.version=v1.2.3".
var version string

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	// The first signal drains. From then on signals have their usual effect, so that the
	// second one kills.
	context.AfterFunc(ctx, stop)
	err := run(ctx, os.Args[1:], os.Stdout, os.Stderr)
	if err != nil {
		fmt.Fprintln(os.Stderr, describe(err))
	}
	os.Exit(exitCode(err))
}

// app is what all commands share.
type app struct {
	stdout, stderr io.Writer
	// program is how people call this binary, for examples that can be pasted.
	program    string
	connection connection
	project    string
	tracing    *telemetry.Tracing // of the commands that are sent; nil if there is none
	// running is set once a command has been found and its flags and arguments parsed.
	running bool
}

// run carries out one command line. What it returns is told to people by describe and
// to scripts by exitCode.
func run(ctx context.Context, args []string, stdout, stderr io.Writer) error {
	a := &app{stdout: stdout, stderr: stderr, program: programName()}
	root := a.rootCommand()
	root.SetArgs(args)
	root.SetOut(stdout)
	root.SetErr(stderr)
	defer a.stopTracing()
	command, err := root.ExecuteContextC(ctx)
	if err != nil && !a.running {
		err = &usageError{cause: err}
	}
	if usage, ok := errors.AsType[*usageError](err); ok {
		usage.command = command.CommandPath()
	}
	return err
}

// programName returns the path of the binary if it was called by one, and else jetvol.
func programName() string {
	if strings.HasSuffix(os.Args[0], "/jetvol") {
		return os.Args[0]
	}
	return "jetvol"
}
