package embednats

import "github.com/nats-io/nats-server/v2/server"

// User is one who may connect, with a password, and what that user may publish.
type User struct {
	Name, Password string
	// PublishAllow lists the subjects that the user may publish to; nil means all.
	// PublishDeny takes some of them away.
	PublishAllow, PublishDeny []string
}

func serverUsers(users []User) []*server.User {
	var all []*server.User
	for _, u := range users {
		user := &server.User{Username: u.Name, Password: u.Password}
		if u.PublishAllow != nil || u.PublishDeny != nil {
			user.Permissions = &server.Permissions{
				Publish: &server.SubjectPermission{Allow: u.PublishAllow, Deny: u.PublishDeny},
			}
		}
		all = append(all, user)
	}
	return all
}
