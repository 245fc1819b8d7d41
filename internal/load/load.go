// Package load puts jetvol under the load of many clients with connections of their own,
// who command a shared set of volumes with all verbs: with repeats, reused IDs, malformed
// and validate_only commands, cancels, and commands for whose answer nobody waits. A
// [Ledger] keeps what each of them asked and was told.
package load

import (
	"context"
	"time"

	"golang.org/x/sync/errgroup"

	"github.com/jetvol/jetvol/volume"
)

// Options say who commands what.
type Options struct {
	URL      string           // of the servers, separated by commas
	Projects []volume.Project // that the volumes are in, in turn; nobody else may use them
	Clients  int
	Volumes  int    // of all projects
	Seed     uint64 // of every random choice

	// Waiting is for how many answers one client waits at the same time.
	Waiting int
	// ResendAfter is the silence after which a client sends a command again, and again
	// after twice that. AskAgainAfter is when it stops waiting and asks anew under the same
	// ID, as one that was started again would. With many answers to wait for, short times
	// make more load of repeats than can be carried, and it never ends: every answer comes
	// when nobody waits for it any more.
	ResendAfter, AskAgainAfter time.Duration
}

// Clients are connected and ask nothing yet.
type Clients struct {
	ledger  *Ledger
	clients []*client
}

// Connect connects all clients. It returns an error if the server cannot be reached.
func Connect(o Options) (*Clients, error) {
	all := &Clients{ledger: newLedger()}
	for number := range o.Clients {
		c, err := newClient(o, number, all.ledger)
		if err != nil {
			for _, open := range all.clients {
				open.conn.Close()
			}
			return nil, err
		}
		all.clients = append(all.clients, c)
	}
	return all, nil
}

// Ledger returns the ledger of all clients. It may be asked how far they are while they
// run.
func (c *Clients) Ledger() *Ledger { return c.ledger }

// Run lets the clients give commands until issuing ends, and wait for the last answers
// until waiting does. Afterwards their connections are closed. It returns an error only
// if the program itself is wrong; then all of them end early.
func (c *Clients) Run(issuing, waiting context.Context) error {
	group, waiting := errgroup.WithContext(waiting)
	for _, client := range c.clients {
		group.Go(func() error {
			return client.run(issuing, waiting)
		})
	}
	return group.Wait()
}
