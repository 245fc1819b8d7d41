package worker

import (
	"encoding/json"
	"time"

	"github.com/jetvol/jetvol/commands"
	"github.com/jetvol/jetvol/volume"
)

// reply answers a command to whom it asked to be answered. A reply that gets lost can
// be had again by sending the same command again.
func (w *Worker) reply(envelope commands.Envelope, outcome volume.Outcome, repeat bool) {
	if envelope.Reply == "" {
		return
	}
	data, err := json.Marshal(commands.NewReply(envelope.Key, outcome, repeat))
	// gofail: var beforeReply string
	// killAt(beforeReply, "reply", envelope.ID)

	if err == nil {
		err = w.nc.Publish(envelope.Reply, data)
	}
	// gofail: var afterReply string
	// flushAndKillAt(w.nc, afterReply, "reply", envelope.ID)

	if err != nil {
		w.log.Warn().Err(err).Str("command", string(outcome.CommandID)).Msg("reply")
	}
}

// observed counts a transition that is stored.
func (w *Worker) observed(t *volume.Transition) {
	w.metrics.transitions.WithLabelValues(string(t.Event)).Inc()
	event := w.log.Debug()
	if !event.Enabled() {
		return
	}
	event.Str("volume", t.Key.String()).Str("event", string(t.Event)).Str("from", string(t.From)).
		Str("to", string(t.To)).Uint64("generation", t.Generation).Int("attempt", t.Attempt).
		Str("command", string(t.CommandID)).Msg("transition")
}

// ended logs and counts a command once, at its end.
func (w *Worker) ended(e *execution, outcome volume.Outcome, repeat bool) {
	result, code := string(outcome.Result), ""
	if repeat {
		result = "repeat"
	}
	event := w.log.Info()
	if outcome.Failure != nil {
		code = string(outcome.Failure.Code)
		event = event.Str("code", code).Str("error", outcome.Failure.Message)
	}
	w.metrics.commands.WithLabelValues(string(outcome.Verb), result, code).Inc()
	w.metrics.duration.WithLabelValues(string(outcome.Verb)).Observe(time.Since(e.taken).Seconds())
	e.span.Ended(outcome, result)
	w.metrics.lag.Observe(e.taken.Sub(e.delivery.StoredAt).Seconds())
	if !event.Enabled() {
		return
	}
	event.Str("volume", e.command.Key.String()).Str("verb", string(outcome.Verb)).Str("outcome", result).
		Str("state", string(outcome.State)).Uint64("generation", outcome.Generation).
		Str("command", string(e.command.ID)).Str("actor", e.command.Actor).
		Dur("took", time.Since(e.taken)).Msg("command ended")
}
