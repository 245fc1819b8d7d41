package doctor

import (
	"context"
	"fmt"
	"strings"
	"time"
	"unicode"

	"github.com/jetvol/jetvol/commands"
)

func checkDeadLetters(ctx context.Context, e *examination) []Finding {
	stream := e.streams[commands.DeadLetterStreamName]
	if stream.err != nil {
		return nil // said by the check of the streams
	}
	state := stream.value.State
	if state.Msgs == 0 {
		return []Finding{note("dead_letters.none", Finding{Text: "no dead letters"})}
	}
	f := Finding{Found: count(state.Msgs, "message"), Wanted: "none"}
	f.Text = "commands were buried, or given up, and wait for an operator"
	if newest := e.messageAt(ctx, commands.DeadLetterStreamName, state.LastSeq); newest.err == nil {
		header := newest.value.header()
		f.Object = fmt.Sprintf("letter %d", state.LastSeq)
		f.Text += fmt.Sprintf("; the newest is of %s: %s", newest.value.Message.Time.Format(time.RFC3339),
			printable(orElse(header.Get(commands.HeaderDeadCode), "the server's word")+" "+header.Get(commands.HeaderDeadReason)))
	}
	return []Finding{note("dead_letters.present", f)}
}

func orElse(text, other string) string {
	if text == "" {
		return other
	}
	return text
}

// printable makes text that came from outside fit for a terminal.
func printable(text string) string {
	return strings.TrimSpace(strings.Map(func(r rune) rune {
		if !unicode.IsPrint(r) {
			return '?'
		}
		return r
	}, strings.ToValidUTF8(text, "?")))
}
