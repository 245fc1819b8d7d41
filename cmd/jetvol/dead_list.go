package main

import (
	"cmp"
	"fmt"
	"io"
	"text/tabwriter"
	"time"
	"unicode/utf8"

	"github.com/nats-io/nats.go"
	"github.com/spf13/cobra"

	"github.com/jetvol/jetvol/commands"
	"github.com/jetvol/jetvol/volume"
)

const deadListLong = `Lists dead letters, oldest first, in pages. A page that is not the last one ends with
the line "next: --after N", which goes to stderr with --json. CODE is the kind of a letter
that has no code.`

// deadPageSize is how many letters a page has if nobody says.
const deadPageSize = 100

type deadListFlags struct {
	deadFilterFlags
	newest bool
	limit  int
	after  sequence
	asJSON bool
}

func (a *app) deadListCommand() *cobra.Command {
	var f deadListFlags
	command := &cobra.Command{
		Use:     "list",
		Aliases: []string{"ls"},
		Short:   "List dead letters",
		Long:    deadListLong,
		Example: `  jetvol dead list --newest --limit 10
  jetvol dead list -p billing --volume ledger --code unknown_field --since 24h --json`,
		Args: cobra.NoArgs,
		RunE: func(c *cobra.Command, _ []string) error { return a.deadList(c, &f) },
	}
	f.register(command)
	flags := command.Flags()
	flags.BoolVar(&f.newest, "newest", false, "the latest letters first")
	flags.IntVar(&f.limit, "limit", deadPageSize, "letters in a page; 0 is all")
	flags.Var(&f.after, "after", "go on where the page with this cursor ended")
	flags.BoolVar(&f.asJSON, "json", false, "print one letter as JSON per line, without its payload")
	return command
}

func (a *app) deadList(c *cobra.Command, f *deadListFlags) error {
	if f.limit < 0 {
		return usagef("limit %d: want 0 or more", f.limit)
	}
	letters, done, err := a.openDeadLetters(c)
	if err != nil {
		return err
	}
	defer done()
	filter := f.filter(a, c)
	filter.Newest, filter.After, filter.Limit = f.newest, uint64(f.after), f.limit
	found, next, err := letters.List(c.Context(), filter)
	if err != nil {
		return err
	}
	if f.asJSON {
		for _, l := range found {
			if err := printJSON(a.stdout, newShownLetter(l)); err != nil {
				return err
			}
		}
	} else if err := showLetters(a.stdout, found); err != nil {
		return err
	}
	if next > 0 {
		out := a.stdout
		if f.asJSON {
			out = a.stderr
		}
		fmt.Fprintf(out, "next: --after %d\n", next)
	}
	return nil
}

// maxShownReason is how much of a reason a table shows, in characters.
const maxShownReason = 60

func showLetters(w io.Writer, letters []commands.DeadLetter) error {
	table := tabwriter.NewWriter(w, 0, 0, 2, ' ', 0)
	fmt.Fprintln(table, "SEQUENCE\tBURIED\tVOLUME\tVERB\tCODE\tATTEMPTS\tBYTES\tREASON")
	for _, l := range letters {
		fmt.Fprintf(table, "%d\t%s\t%s\t%s\t%s\t%d\t%s\t%s\n", l.Sequence, stamp(l.BuriedAt), target(l),
			cmp.Or(plain(string(l.Address().Verb)), "-"), why(l), l.Attempts, sizeText(l), shortened(plain(l.Reason), maxShownReason))
	}
	return table.Flush()
}

func sizeText(l commands.DeadLetter) string {
	if l.Lost {
		return "lost"
	}
	return fmt.Sprint(l.Size)
}

func shortened(text string, limit int) string {
	if utf8.RuneCountInString(text) <= limit {
		return text
	}
	return string([]rune(text)[:limit-1]) + "…"
}

// shownLetter is a dead letter as JSON.
type shownLetter struct {
	Sequence uint64            `json:"sequence"`
	Kind     commands.DeadKind `json:"kind"`
	BuriedAt time.Time         `json:"buried_at"`
	Code     volume.Code       `json:"code,omitempty"`
	Class    volume.Class      `json:"class,omitempty"`
	Reason   string            `json:"reason"`
	Attempts uint64            `json:"attempts"`

	Project         volume.Project   `json:"project,omitempty"`
	Volume          volume.Name      `json:"volume,omitempty"`
	Verb            volume.Verb      `json:"verb,omitempty"`
	CommandID       volume.CommandID `json:"command_id,omitempty"`
	CommandSequence uint64           `json:"command_sequence,omitempty"`
	StoredAt        time.Time        `json:"stored_at,omitzero"`
	Subject         string           `json:"subject,omitempty"`
	Headers         nats.Header      `json:"headers,omitempty"`

	Size  int  `json:"size_bytes"`
	Parts int  `json:"parts"`
	Lost  bool `json:"lost"`

	Payload       *string `json:"payload,omitempty"`        // of one that is text
	PayloadBase64 []byte  `json:"payload_base64,omitempty"` // of one that is not
}

func newShownLetter(l commands.DeadLetter) shownLetter {
	address := l.Address()
	return shownLetter{
		Sequence: l.Sequence, Kind: l.Kind, BuriedAt: l.BuriedAt,
		Code: l.Code, Class: l.Class, Reason: l.Reason, Attempts: l.Attempts,
		Project: address.Key.Project, Volume: address.Key.Name, Verb: address.Verb,
		CommandID: l.CommandID(), CommandSequence: l.Command.Sequence, StoredAt: l.Command.StoredAt,
		Subject: l.Command.Subject, Headers: l.Command.Header,
		Size: l.Size, Parts: l.Parts, Lost: l.Lost,
	}
}
