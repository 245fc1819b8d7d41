package doctor

import (
	"context"
	"encoding/json"
	"fmt"
	"slices"
	"strings"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"
)

// userInfoSubject is where a server tells a user who it is and what it may do.
const userInfoSubject = "$SYS.REQ.USER.INFO"

// forgeSubject is one on which nobody may publish: only the stream does.
const forgeSubject = "volume.event.%s.doctor.ready"

// rights are what a user may do. Nil lists allow everything.
type rights struct {
	Publish   *list `json:"publish"`
	Subscribe *list `json:"subscribe"`
}

// list says which subjects are allowed and which of these are not.
type list struct {
	Allow []string `json:"allow"`
	Deny  []string `json:"deny"`
}

func (l *list) allows(subject string) bool {
	covers := func(pattern string) bool { return matches(pattern, subject) }
	if l == nil {
		return true
	}
	return (len(l.Allow) == 0 || slices.ContainsFunc(l.Allow, covers)) && !slices.ContainsFunc(l.Deny, covers)
}

// matches reports whether a permission's pattern covers a subject. A pattern that is for
// queue groups, "subject group", says nothing of plain subscriptions.
func matches(pattern, subject string) bool {
	if strings.Contains(pattern, " ") {
		return false
	}
	want, have := strings.Split(pattern, "."), strings.Split(subject, ".")
	for i, token := range want {
		switch {
		case token == ">":
			return len(have) > i
		case i >= len(have), token != "*" && token != have[i]:
			return false
		}
	}
	return len(want) == len(have)
}

func checkPermissions(ctx context.Context, e *examination) []Finding {
	findings := e.openness()
	allowed, told := e.rights(ctx)
	if told && e.conn.AuthRequired() && allowed.Publish.allows(fmt.Sprintf(forgeSubject, e.Project)) {
		findings = append(findings, note("permissions.forge", Finding{
			Object: "this user", Found: "may publish volume.event.>",
			Text: "what it publishes there reaches plain subscribers as if it had happened; the stream of events has none of it",
		}))
	}
	for _, role := range Roles() {
		refused, err := e.refusals(ctx, role, allowed, told)
		if err != nil {
			return append(findings, note("permissions.unknown", Finding{Object: string(role), Text: why(err)}))
		}
		findings = append(findings, e.roleFinding(role, refused))
	}
	return findings
}

// openness tells of a server that asks nobody who he is.
func (e *examination) openness() []Finding {
	switch {
	case e.conn.AuthRequired():
		return nil
	case onLoopback(e.conn.ConnectedAddr()):
		return []Finding{note("permissions.open_here", Finding{Text: "the server asks nobody who it is; it was reached on the loopback address"})}
	default:
		return []Finding{note("permissions.open", Finding{
			Found: "no authentication", Text: "the server asks nobody who it is, and other machines reach it",
		})}
	}
}

// rights asks the server what the user may do. A user who may not ask is told nothing.
func (e *examination) rights(ctx context.Context) (allowed rights, told bool) {
	msg, err := e.request(ctx, userInfoSubject, nil)
	if err != nil {
		return rights{}, false
	}
	var answer struct {
		Data *struct {
			Permissions rights `json:"permissions"`
		} `json:"data"`
	}
	if err := json.Unmarshal(msg.Data, &answer); err != nil || answer.Data == nil {
		return rights{}, false
	}
	return answer.Data.Permissions, true
}

// refusals returns what the user may not do of what the role needs.
func (e *examination) refusals(ctx context.Context, role Role, allowed rights, told bool) ([]string, error) {
	var refused []string
	for _, n := range role.needs(e.Project, e.APIPrefix, e.conn.NewInbox()) {
		may := true
		switch {
		case told && n.subscribe:
			may = allowed.Subscribe.allows(n.subject)
		case told:
			may = allowed.Publish.allows(n.subject)
		case !n.untried:
			no, err := e.refused(ctx, func() error { return e.try(n) })
			if err != nil {
				return nil, err
			}
			may = !no
		}
		if !may {
			refused = append(refused, n.String())
		}
	}
	return refused, nil
}

// nowhere is the name of no stream. What is published for it is stored in none.
const nowhere = "JETVOL_DOCTOR"

// try does what is needed in a way that has no effect: a message that every stream has to
// refuse, a request of the API that is no JSON, a subscription that ends at once.
func (e *examination) try(n need) error {
	if n.subscribe {
		sub, err := e.conn.SubscribeSync(n.subject)
		if err != nil {
			return err
		}
		return sub.Unsubscribe()
	}
	return e.conn.PublishMsg(&nats.Msg{
		Subject: n.subject, Data: []byte("{"), Header: nats.Header{jetstream.ExpectedStreamHeader: {nowhere}},
	})
}

func (e *examination) roleFinding(role Role, refused []string) Finding {
	f := Finding{Object: string(role)}
	if len(refused) == 0 {
		f.Text = "this user may do what the role needs"
		return note("permissions.may", f)
	}
	f.Found, f.Text = "refused: "+strings.Join(refused, ", "), "this user cannot fill the role: it may not "+refused[0]
	if more := len(refused) - 1; more > 0 {
		f.Text += fmt.Sprintf(", and %d more", more)
	}
	if slices.Contains(e.Roles, role) {
		return note("permissions.refused", f)
	}
	return note("permissions.lacks", f)
}
