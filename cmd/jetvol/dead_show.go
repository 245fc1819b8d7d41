package main

import (
	"fmt"
	"io"
	"maps"
	"slices"
	"strconv"
	"strings"
	"unicode"
	"unicode/utf8"

	"github.com/spf13/cobra"

	"github.com/jetvol/jetvol/commands"
	"github.com/jetvol/jetvol/volume"
)

const deadShowLong = `Shows one dead letter with all its headers and its payload. What a terminal could
misunderstand is quoted, and a long payload cut: --payload prints it byte for byte.`

func (a *app) deadShowCommand() *cobra.Command {
	var asJSON, payload bool
	command := &cobra.Command{
		Use:   "show SEQUENCE",
		Short: "Show a dead letter",
		Long:  deadShowLong,
		Example: `  jetvol dead show 12
  jetvol dead show 12 --payload > payload.json`,
		Args:              cobra.ExactArgs(1),
		ValidArgsFunction: cobra.NoFileCompletions,
		RunE: func(c *cobra.Command, args []string) error {
			sequences, err := parseSequences(args)
			if err != nil {
				return err
			}
			return a.deadShow(c, sequences[0], asJSON, payload)
		},
	}
	command.Flags().BoolVar(&asJSON, "json", false, "print the letter as one line of JSON")
	command.Flags().BoolVar(&payload, "payload", false, "print the payload only, as it is")
	command.MarkFlagsMutuallyExclusive("json", "payload")
	return command
}

func (a *app) deadShow(c *cobra.Command, sequence uint64, asJSON, payload bool) error {
	letters, done, err := a.openDeadLetters(c)
	if err != nil {
		return err
	}
	defer done()
	l, err := letters.Get(c.Context(), sequence)
	switch {
	case err != nil:
		return err
	case asJSON:
		return printJSON(a.stdout, withPayload(newShownLetter(l), l))
	case payload && l.Lost:
		return volume.Errorf(volume.ErrPreconditionFailed, "dead letter %d: its command is no longer stored", sequence)
	case payload:
		_, err := a.stdout.Write(l.Command.Data)
		return err
	}
	showLetter(a.stdout, l)
	return nil
}

func withPayload(shown shownLetter, l commands.DeadLetter) shownLetter {
	switch text := string(l.Command.Data); {
	case l.Lost:
	case utf8.ValidString(text):
		shown.Payload = &text
	default:
		shown.PayloadBase64 = l.Command.Data
	}
	return shown
}

// maxShownPayload is how much of a payload is shown, in bytes.
const maxShownPayload = 256

// showLetter prints a dead letter for people.
func showLetter(w io.Writer, l commands.DeadLetter) {
	row := func(name, format string, values ...any) {
		fmt.Fprintf(w, "  %-9s "+format+"\n", append([]any{name}, values...)...)
	}
	fmt.Fprintf(w, "dead letter %d\n", l.Sequence)
	row("kind", "%s", l.Kind)
	if l.Code != "" {
		row("code", "%s (%s)", plain(string(l.Code)), plain(string(l.Class)))
	}
	row("reason", "%s", plain(l.Reason))
	row("attempts", "%d", l.Attempts)
	row("buried", "%s", stamp(l.BuriedAt))
	if l.Command.Sequence > 0 {
		row("sequence", "%d of %s", l.Command.Sequence, commands.StreamName)
	}
	if !l.Command.StoredAt.IsZero() {
		row("stored", "%s", stamp(l.Command.StoredAt))
	}
	if l.Command.Subject != "" {
		row("subject", "%s", plain(l.Command.Subject))
	}
	if id := l.CommandID(); id != "" {
		row("command", "%s", plain(string(id)))
	}
	for _, name := range slices.Sorted(maps.Keys(l.Command.Header)) {
		for _, value := range l.Command.Header[name] {
			row("header", "%s: %s", plain(name), shortened(plain(value), maxShownPayload))
		}
	}
	if l.Lost {
		row("payload", "no longer stored")
		return
	}
	row("payload", "%s", payloadText(l.Command.Data))
}

// payloadText is the size of a payload and the payload, quoted unless it is plain text,
// and cut if it is long.
func payloadText(data []byte) string {
	shown, cut := data[:min(len(data), maxShownPayload)], ""
	if len(shown) < len(data) {
		cut = fmt.Sprintf(" … and %d more (--payload prints all)", len(data)-len(shown))
	}
	text := string(shown)
	unfit := func(r rune) bool { return !unicode.IsPrint(r) }
	if !utf8.ValidString(text) || strings.ContainsFunc(text, unfit) {
		text = strconv.Quote(text)
	}
	return strings.TrimRight(fmt.Sprintf("%d bytes  %s%s", len(data), text, cut), " ")
}
