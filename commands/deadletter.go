package commands

// Headers of a dead letter: what its command was, and why it could not be carried out.
// The command's own headers stand beside them; those that would tell the server what to
// do (Nats-…) are kept under [HeaderOriginalPrefix] and their name.
const (
	HeaderDeadCode     = "Jetvol-Dead-Code"     // a volume.Code
	HeaderDeadClass    = "Jetvol-Dead-Class"    // its volume.Class
	HeaderDeadReason   = "Jetvol-Dead-Reason"   // in words
	HeaderDeadSubject  = "Jetvol-Dead-Subject"  // under which the command was stored
	HeaderDeadSequence = "Jetvol-Dead-Sequence" // of the command stream
	HeaderDeadTime     = "Jetvol-Dead-Time"     // when the command was stored, RFC 3339
	HeaderDeadAttempts = "Jetvol-Dead-Attempts" // how often the server had delivered it
	HeaderDeadPart     = "Jetvol-Dead-Part"     // "1/2": the payload is split over several letters

	// HeaderDeadHeaders is a count of bytes: so much of the (joined) payload is the
	// command's own header, one "Name: value" a line; what follows is its payload. It is
	// set where the server could not store that header beside those above.
	HeaderDeadHeaders = "Jetvol-Dead-Headers"

	HeaderOriginalPrefix = "Jetvol-Original-"
)
