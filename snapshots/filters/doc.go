// Package filters is the language in which a walk of the snapshot store is told which
// entries to visit. It is containerd's (github.com/containerd/containerd, pkg/filters),
// so that filters written for it go on working:
//
//	kind==committed,labels.team==storage
//
// A filter is a list of terms, all of which must hold. Several filters given together
// are alternatives: one of them must hold. In one text they stand on lines of their own.
//
//	filters  = filter { newline filter }
//	filter   = term { "," term }
//	term     = path [ operator value ]
//	path     = field { "." field }
//	field    = bare | quoted             bare: letters, digits, "_" and inner "-"
//	operator = "==" | "!=" | "~="
//	value    = word | quoted | pattern   word: no blank, no comma
//	quoted   = a Go string in double quotes
//	pattern  = /…/ or |…|                after "~=" only, escapes as in a Go string
//
// Blanks may stand around terms and operators. What a term asks of the field:
//
//	path          it is there
//	path==value   it is there and is the value
//	path!=value   it is not the value
//	path~=value   it matches the value, an RE2 expression; unanchored
//
// A field that is not there reads as the empty text, also for != and ~=: they hold of
// entries without the label too, unless the value says otherwise.
//
// What containerd reads and this package refuses: a field that nobody knows, if the caller
// says which there are ([Fields]), for a typo would silently match nothing; an expression
// that does not compile, when it is read; \b in a pattern, where Go sees a backspace and
// people a word boundary; a value in single quotes; and whatever is beyond the limits.
// What is read here only: hyphens in bare fields, and several filters in one text.
package filters
