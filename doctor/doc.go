// Package doctor looks at a NATS server and at what jetvol keeps there, and tells what an
// operator should know: what is wrong, what that means, and the command that helps.
//
// It changes nothing. It asks for information, and where the server does not tell what a
// user may do, it publishes what the server is bound to refuse.
//
// [Examine] makes all [Checks]. What a check can find is listed in its [Kind]s: how grave
// that is and what helps stands there, not where it is found, so that docs/doctor.md, which
// is written from the same table, says what the program does.
package doctor
