package commands_test

import (
	"errors"
	"fmt"
	"strings"
	"testing"

	"github.com/jetvol/jetvol/commands"
	"github.com/jetvol/jetvol/volume"
)

func TestParseSubject(t *testing.T) {
	key := volume.Key{Project: "default", Name: "db-01"}
	for _, test := range []struct {
		stored string
		want   commands.Address
		code   error
	}{
		{"volume.command.7.default.db-01.create", commands.Address{Partition: 7, Key: key, Verb: volume.VerbCreate}, nil},
		{"volume.command.0.default.db-01.cancel", commands.Address{Partition: 0, Key: key, Verb: volume.VerbCancel}, nil},
		{"volume.command.15.default.db-01.rename", commands.Address{Partition: 15, Key: key, Verb: "rename"}, volume.ErrUnknownVerb},
		{"volume.command.1.default.DB.create", commands.Address{Partition: 1, Key: volume.Key{Project: "default", Name: "DB"}, Verb: volume.VerbCreate}, volume.ErrInvalidName},
		{"volume.command.1.-x.db.create", commands.Address{Partition: 1, Key: volume.Key{Project: "-x", Name: "db"}, Verb: volume.VerbCreate}, volume.ErrInvalidName},
		{"volume.command.16.default.db-01.create", commands.Address{}, volume.ErrInvalidArgument},
		{"volume.command.-1.default.db-01.create", commands.Address{}, volume.ErrInvalidArgument},
		{"volume.command.07.default.db-01.create", commands.Address{}, volume.ErrInvalidArgument},
		{"volume.command.x.default.db-01.create", commands.Address{}, volume.ErrInvalidArgument},
		{"volume.command.default.db-01.create", commands.Address{}, volume.ErrInvalidArgument},
		{"volume.command.1.default.db-01.create.now", commands.Address{}, volume.ErrInvalidArgument},
		{"volume.event.1.default.db-01.create", commands.Address{}, volume.ErrInvalidArgument},
		{"", commands.Address{}, volume.ErrInvalidArgument},
	} {
		got, err := commands.ParseSubject(test.stored)
		if !errors.Is(err, test.code) {
			t.Errorf("%s: got error %v, want %v", test.stored, err, test.code)
		}
		if got != test.want {
			t.Errorf("%s: got %+v, want %+v", test.stored, got, test.want)
		}
		if err == nil && got.Subject() != test.stored {
			t.Errorf("%s: subject of its address is %s", test.stored, got.Subject())
		}
	}
}

func TestDeadSubject_AlwaysPublishable(t *testing.T) {
	for _, test := range []struct {
		address commands.Address
		want    string
	}{
		{commands.Address{Key: db01, Verb: volume.VerbCreate}, "volume.dead.default.db-01.create"},
		{commands.Address{Key: volume.Key{Project: "Default", Name: "db_1"}, Verb: "rename"}, "volume.dead.Default.db_1.rename"},
		{commands.Address{Key: volume.Key{Project: "*", Name: ">"}, Verb: ""}, "volume.dead._._._"},
		{commands.Address{Key: volume.Key{Project: "a b", Name: "x\x00"}, Verb: volume.Verb(strings.Repeat("x", 64))}, "volume.dead._._._"},
	} {
		if got := commands.DeadSubject(test.address); got != test.want {
			t.Errorf("%+v: got %s, want %s", test.address, got, test.want)
		}
	}
}

func ExampleSubject() {
	key := volume.Key{Project: "default", Name: "db-01"}
	fmt.Println(commands.Subject(key, volume.VerbCreate))
	// Output: volume.command.default.db-01.create
}

func ExampleParseSubject() {
	address, err := commands.ParseSubject("volume.command.7.default.db-01.create")
	fmt.Println(address.Partition, address.Key, address.Verb, err)
	// Output: 7 default.db-01 create <nil>
}
