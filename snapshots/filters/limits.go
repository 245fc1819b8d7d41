package filters

import (
	"errors"
	"fmt"
	"regexp"
	"regexp/syntax"
)

// What one call of [Parse] accepts: enough for people, too little to keep a server busy.
const (
	// MaxLength bounds the texts together, a byte between each two, in bytes. It holds
	// for what was given and for what [Filter.String] makes of it.
	MaxLength = 4096
	// MaxTerms bounds the terms of all texts together.
	MaxTerms = 64
	// maxProgram bounds the instructions of all compiled expressions together. A walk
	// runs them over every entry, in a time that grows with instructions times length of
	// the value, and repetitions make large programs of short texts.
	maxProgram = 1024
)

// A budget is what is left of the limits while texts are parsed.
type budget struct {
	length, terms, program int
}

// compile returns the expression, and "" or the reason why it is refused.
func (b *budget) compile(expression string) (compiled *regexp.Regexp, refusal string) {
	parsed, err := syntax.Parse(expression, syntax.Perl)
	if fault, ok := errors.AsType[*syntax.Error](err); ok {
		return nil, fmt.Sprintf("not an RE2 expression: %s: %s", fault.Code, quoteCut(fault.Expr, shownRest))
	}
	if err != nil {
		return nil, err.Error()
	}
	program, err := syntax.Compile(parsed.Simplify())
	if err != nil {
		return nil, err.Error()
	}
	if b.program -= len(program.Inst); b.program < 0 {
		return nil, "the expressions together are too large: use fewer or smaller repetitions"
	}
	if compiled, err = regexp.Compile(expression); err != nil {
		return nil, err.Error()
	}
	return compiled, ""
}
