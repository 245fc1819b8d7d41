package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"maps"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/spf13/cobra"

	"github.com/jetvol/jetvol/backends"
	"github.com/jetvol/jetvol/internal/config"
)

// configExtensions are those of configuration files, for the shell.
var configExtensions = []string{"yaml", "yml"}

func (a *app) configCommand() *cobra.Command {
	command := group(&cobra.Command{
		Use:   "config",
		Short: "Look at the configuration file of a worker",
	})
	command.AddCommand(a.configCheckCommand(), a.configKeysCommand())
	return command
}

const configCheckLong = `Reads the configuration file of ` + "`jetvol worker --config FILE`" + ` and tells every fault
in it, with line and column. If there is none, each backend is opened, as a worker would
open it, and asked how it is and what it is able to do.

The exit code is 2 if the file has faults, 5 if a backend is unavailable, and 1 if one
cannot be used for another reason.`

type configCheckFlags struct {
	readOnly bool
	timeout  time.Duration
	asJSON   bool
}

func (a *app) configCheckCommand() *cobra.Command {
	var f configCheckFlags
	command := &cobra.Command{
		Use:   "check FILE",
		Short: "Tell what is wrong with a file, and how its backends are",
		Long:  configCheckLong,
		Example: `  jetvol config check /etc/jetvol/jetvol.yaml
  jetvol config check jetvol.yaml --read-only
  jetvol config check jetvol.yaml --json`,
		Args: cobra.ExactArgs(1),
		ValidArgsFunction: func(*cobra.Command, []string, string) ([]string, cobra.ShellCompDirective) {
			return configExtensions, cobra.ShellCompDirectiveFilterFileExt
		},
		RunE: func(c *cobra.Command, args []string) error { return a.checkConfig(c.Context(), &f, args[0]) },
	}
	flags := command.Flags()
	flags.BoolVar(&f.readOnly, "read-only", false, "only read the file: open no backend")
	flags.DurationVar(&f.timeout, "within", backends.DefaultTimeout, "how long to wait for the answers of the backends")
	flags.BoolVar(&f.asJSON, "json", false, "print the report as one line of JSON")
	return command
}

// configReport is what a file holds and how its backends are.
type configReport struct {
	File           string          `json:"file"`
	DefaultBackend string          `json:"default_backend,omitempty"`
	Backends       []backendReport `json:"backends"`
	Faults         []config.Fault  `json:"faults,omitempty"`
}

// backendReport tells of one backend. It has no health if it was not asked.
type backendReport struct {
	Name         string                 `json:"name"`
	Driver       string                 `json:"driver"`
	OK           *bool                  `json:"ok,omitempty"`
	Error        string                 `json:"error,omitempty"`
	Version      string                 `json:"version,omitempty"`
	Facts        map[string]string      `json:"facts,omitempty"`
	Capabilities *backends.Capabilities `json:"capabilities,omitempty"`
}

func (a *app) checkConfig(ctx context.Context, f *configCheckFlags, path string) error {
	if f.timeout <= 0 {
		return usagef("within %s: want more than 0", f.timeout)
	}
	c, err := loadConfig(path)
	report := configReport{File: path, DefaultBackend: c.DefaultBackend, Backends: []backendReport{}}
	if faults, ok := errors.AsType[*config.FaultsError](err); ok {
		report.Faults = faults.Faults
	} else if err != nil {
		return err
	}
	if err == nil {
		ctx, cancel := context.WithTimeout(ctx, f.timeout)
		defer cancel()
		report.Backends, err = askAll(ctx, c, f.readOnly)
	}
	if f.asJSON {
		return errors.Join(printJSON(a.stdout, report), err)
	}
	if len(report.Faults) == 0 {
		showConfig(a.stdout, report)
	}
	return err
}

// askAll opens and asks all backends at once, each for itself.
func askAll(ctx context.Context, c config.Config, readOnly bool) ([]backendReport, error) {
	reports, faults := make([]backendReport, len(c.Backends)), make([]error, len(c.Backends))
	var all sync.WaitGroup
	for i, b := range c.Backends {
		reports[i] = backendReport{Name: b.Name, Driver: b.Settings.Driver()}
		if !readOnly {
			all.Go(func() { faults[i] = reports[i].ask(ctx, b) })
		}
	}
	all.Wait()
	return reports, errors.Join(faults...)
}

// ask fills in what the backend says.
func (r *backendReport) ask(ctx context.Context, b config.Backend) (err error) {
	defer func() {
		fine := err == nil
		r.OK = &fine
		if err != nil {
			r.Error = err.Error()
		}
	}()
	driver, err := b.Open(ctx, false)
	if err != nil {
		return err
	}
	backend := backends.New(b.Name, driver, backends.Options{Timeout: b.Timeout, Concurrency: b.Concurrency})
	able := backend.Capabilities()
	r.Capabilities = &able
	health, err := backend.Health(ctx)
	r.Version, r.Facts = health.Version, health.Facts
	return errors.Join(err, backend.Close())
}

func showConfig(w io.Writer, report configReport) {
	for _, b := range report.Backends {
		isDefault := ""
		if b.Name == report.DefaultBackend {
			isDefault = " (default)"
		}
		fmt.Fprintf(w, "%s%s: driver %s%s\n", b.Name, isDefault, b.Driver, b.text())
		for _, fact := range slices.Sorted(maps.Keys(b.Facts)) {
			fmt.Fprintf(w, "  %s: %s\n", fact, b.Facts[fact])
		}
	}
}

// text is what the first line tells besides names: health and abilities.
func (r *backendReport) text() string {
	if r.OK == nil {
		return ", not asked"
	}
	text := ", broken"
	if *r.OK {
		text = strings.TrimRight(" "+r.Version, " ") + ", ok"
	}
	if r.Capabilities != nil {
		text += ", can " + strings.Join(abilities(*r.Capabilities), ", ")
	}
	return text
}

// abilities returns the names of those that there are, as JSON has them.
func abilities(able backends.Capabilities) []string {
	data, err := json.Marshal(able)
	if err != nil {
		return nil
	}
	var byName map[string]bool
	if err := json.Unmarshal(data, &byName); err != nil {
		return nil
	}
	maps.DeleteFunc(byName, func(_ string, has bool) bool { return !has })
	return slices.Sorted(maps.Keys(byName))
}

func (a *app) configKeysCommand() *cobra.Command {
	return &cobra.Command{
		Use:     "keys",
		Short:   "List the keys that a configuration file may have",
		Example: "  jetvol config keys",
		Args:    cobra.NoArgs,
		RunE: func(*cobra.Command, []string) error {
			for _, section := range config.Reference() {
				fmt.Fprintf(a.stdout, "%s\n", section.Title)
				for _, k := range section.Keys {
					fmt.Fprintf(a.stdout, "  %-16s %s%s: %s\n", k.Name, k.Wants, rule(k), k.About)
				}
			}
			return nil
		},
	}
}

// rule says whether a key must be there, or what holds if it is not.
func rule(k config.Key) string {
	switch {
	case k.Required:
		return ", required"
	case k.Default != "":
		return ", default " + k.Default
	}
	return ""
}
