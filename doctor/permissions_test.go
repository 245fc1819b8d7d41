package doctor_test

import (
	"testing"

	"github.com/nats-io/nats.go"

	"github.com/jetvol/jetvol/doctor"
)

// users of every kind: who may ask the server for its rights, and who may not.
const limitedUsers = `accounts { A {
	jetstream: enabled
	users [
		{user: admin, password: a}
		{user: publisher, password: a, permissions: {
			publish: ["volume.command.default.>"], subscribe: ["_INBOX.>"]}}
		{user: asking, password: a, permissions: {
			publish: ["volume.command.default.>", "$SYS.REQ.USER.INFO"], subscribe: ["_INBOX.>"]}}
		{user: before, password: a, permissions: {publish: {deny: ["$KV.drift.>", "$KV.quotas.>", "$KV.checkpoints.>"]}}}
		{user: denied, password: a, permissions: {publish: {deny: ["volume.event.>", "volume.tx.>"]}}}
		{user: auditor, password: a, permissions: {
			publish: ["$JS.API.INFO", "$JS.API.STREAM.INFO.>", "$JS.API.CONSUMER.CREATE.VOLUME_EVENTS.>",
				"$JS.API.CONSUMER.MSG.NEXT.VOLUME_EVENTS.>", "$JS.API.STREAM.MSG.GET.*"],
			subscribe: ["_INBOX.>", "volume.event.>"]}}
	] } }`

func TestPermissions_LimitedUsers_RolesTold(t *testing.T) {
	s := configured(t, limitedUsers)
	admin := admit(t, connect(t, s.ClientURL(), nats.UserInfo("admin", "a")))
	admin.provision(1)
	before := admin.state()

	for user, roles := range map[string]struct {
		may   []doctor.Role
		lacks map[doctor.Role]string // what it is refused
	}{
		"admin": {may: doctor.Roles()},
		"publisher": {may: []doctor.Role{doctor.Publisher}, lacks: map[doctor.Role]string{
			doctor.Worker: "publish on volume.tx.default.doctor.ready", doctor.Auditor: "subscribe to volume.event.default.doctor.ready",
			doctor.Operator: "publish on $JS.API.STREAM.MSG.DELETE.VOLUME_DEAD_LETTERS", doctor.Provisioner: "publish on $JS.API.STREAM.UPDATE.VOLUME_EVENTS",
		}},
		"asking": {may: []doctor.Role{doctor.Publisher}, lacks: map[doctor.Role]string{
			doctor.Worker: "publish on $JS.API.CONSUMER.UNPIN.VOLUME_COMMANDS.partition-0", doctor.Auditor: "subscribe to volume.event.default.doctor.ready",
		}},
		"before": {may: []doctor.Role{doctor.Publisher, doctor.Auditor, doctor.Provisioner}, lacks: map[doctor.Role]string{
			doctor.Worker: "publish on $KV.drift.default.doctor, publish on $KV.quotas.default", doctor.Operator: "publish on $KV.checkpoints.a.default.doctor",
		}},
		"denied":  {may: []doctor.Role{doctor.Publisher, doctor.Auditor, doctor.Operator, doctor.Provisioner}, lacks: map[doctor.Role]string{doctor.Worker: "volume.tx."}},
		"auditor": {may: []doctor.Role{doctor.Auditor}, lacks: map[doctor.Role]string{doctor.Publisher: "publish on volume.command.default.doctor.create"}},
	} {
		t.Run(user, func(t *testing.T) {
			report := look(t, connect(t, s.ClientURL(), nats.UserInfo(user, "a")), doctor.Options{})
			for _, role := range roles.may {
				report.want("permissions.may", string(role))
			}
			for role, refused := range roles.lacks {
				report.want("permissions.lacks", string(role), refused)
			}
			if got := len(report.find("permissions.may")); got != len(roles.may) {
				t.Errorf("got %d roles, want %d:\n%s", got, len(roles.may), report.text())
			}
		})
	}
	if after := admin.state(); after != before {
		t.Errorf("got\n%s\nwant nothing changed\n%s", after, before)
	}
}

func TestPermissions_WantedRoleRefused_Error(t *testing.T) {
	s := configured(t, limitedUsers)
	conn := connect(t, s.ClientURL(), nats.UserInfo("publisher", "a"))
	report := look(t, conn, doctor.Options{Roles: []doctor.Role{doctor.Worker, doctor.Publisher}})
	report.want("permissions.refused", "worker")
	report.want("permissions.may", "publisher")
	report = look(t, conn, doctor.Options{Project: "billing", Roles: []doctor.Role{doctor.Publisher}})
	report.want("permissions.refused", "publisher", "volume.command.billing.doctor.create")
}

func TestPermissions_MayForgeEvents_Warning(t *testing.T) {
	s := configured(t, limitedUsers)
	look(t, connect(t, s.ClientURL(), nats.UserInfo("admin", "a")), doctor.Options{}).want("permissions.forge", "volume.event.>")
	for _, user := range []string{"denied", "asking"} {
		look(t, connect(t, s.ClientURL(), nats.UserInfo(user, "a")), doctor.Options{}).none("permissions.forge")
	}
}

// Who may not ask is told so at once, and waits for no answer.
func TestExamine_UserWhoMayNotAsk_UnknownNotError(t *testing.T) {
	s := configured(t, limitedUsers)
	admit(t, connect(t, s.ClientURL(), nats.UserInfo("admin", "a"))).provision(1)
	report := look(t, connect(t, s.ClientURL(), nats.UserInfo("publisher", "a")), doctor.Options{Timeout: patience})
	for _, code := range []string{"account.unknown", "streams.unknown", "consumers.unknown", "workers.unknown", "volumes.unknown", "orphans.unknown"} {
		report.want(code, "may not ask")
	}
	if report.Errors != 0 {
		t.Errorf("got %s, want no error:\n%s", report, report.text())
	}
}

// No probe may reach those who listen.
func TestPermissions_Tried_NobodyHearsACommandOrAnEvent(t *testing.T) {
	s := configured(t, limitedUsers)
	c := admit(t, connect(t, s.ClientURL(), nats.UserInfo("admin", "a")))
	c.provision(1)
	heard, err := c.conn.SubscribeSync("volume.event.>")
	c.must(err)
	look(t, connect(t, s.ClientURL(), nats.UserInfo("publisher", "a")), doctor.Options{})
	c.must(c.conn.FlushWithContext(c.ctx))
	if n, _, err := heard.Pending(); err != nil || n != 0 {
		t.Errorf("got %d events, %v, want none", n, err)
	}
}

func TestMatches(t *testing.T) {
	for _, c := range []struct {
		pattern, subject string
		want             bool
	}{
		{"a.b", "a.b", true},
		{"a.b", "a.c", false},
		{"a.b", "a.b.c", false},
		{"a.b.c", "a.b", false},
		{"a.*", "a.b", true},
		{"a.*", "a", false},
		{"a.*", "a.b.c", false},
		{"a.>", "a.b.c", true},
		{"a.>", "a", false},
		{">", "a", true},
		{"a.b group", "a.b", false},
	} {
		if got := doctor.Matches(c.pattern, c.subject); got != c.want {
			t.Errorf("%s, %s: got %v, want %v", c.pattern, c.subject, got, c.want)
		}
	}
}
