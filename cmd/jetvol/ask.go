package main

import (
	"context"
	"fmt"
	"time"

	"github.com/spf13/cobra"

	"github.com/jetvol/jetvol/fsm"
	"github.com/jetvol/jetvol/query"
)

// askTimeout is how long workers may take to answer before the buckets are read instead.
const askTimeout = 2 * time.Second

// read asks the workers, or reads the buckets itself if none answers, and says so.
func (a *app) read(c *cobra.Command, question func(context.Context, query.Reader) error) error {
	conn, js, err := a.openJetStream(c.Flags())
	if err != nil {
		return err
	}
	defer conn.Close()
	client := query.New(conn, query.WithTimeout(min(askTimeout, a.connection.timeout)))
	local := query.NewLocal(js, fsm.RetryPolicy{})
	return question(c.Context(), query.WithFallback(client, local, func() {
		fmt.Fprintln(a.stderr, "no worker answers: reading the buckets directly")
	}))
}

// ask asks what only a worker knows.
func (a *app) ask(c *cobra.Command, question func(context.Context, *query.Client) error) error {
	conn, err := a.connect(c.Flags())
	if err != nil {
		return err
	}
	defer conn.Close()
	return question(c.Context(), query.New(conn, query.WithTimeout(a.connection.timeout)))
}
