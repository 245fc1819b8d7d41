// Package volume is jetvol's vocabulary: the names, states, events, commands and
// records that every other package speaks of. It imports the standard library only
// and holds no behaviour beyond parsing, printing and validating its own types.
//
// A volume is known by its [Key] (project and name). Its [Record] says in which
// [State] it is; a [Command] asks for a change; every change is one [Transition].
// Codes and names in this package cross the wire: they are append-only.
package volume
