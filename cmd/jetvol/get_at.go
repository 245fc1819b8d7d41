package main

import (
	"strings"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"

	"github.com/jetvol/jetvol/audit"
	"github.com/jetvol/jetvol/volume"
)

var _ pflag.Value = (*pastFlag)(nil)

// pastFlag is a time of RFC 3339 or a generation.
type pastFlag struct{ audit.Moment }

func (f *pastFlag) String() string { return "" }
func (f *pastFlag) Type() string   { return "TIME|GENERATION" }

func (f *pastFlag) Set(text string) (err error) {
	f.Moment, err = audit.ParseMoment(text)
	return err
}

// getAt shows a volume as it was. An argument that is an id means that life of the name.
func (a *app) getAt(c *cobra.Command, argument string, when audit.Moment, deleted, asJSON bool) error {
	id := volume.ID("")
	if strings.Count(argument, ".") > 1 {
		id = volume.ID(argument)
		key, err := id.Key()
		if err != nil {
			return &usageError{cause: err}
		}
		argument = key.String()
	}
	key, err := a.keyOf(argument)
	if err != nil {
		return err
	}
	conn, js, err := a.openJetStream(c.Flags())
	if err != nil {
		return err
	}
	defer conn.Close()
	record, event, err := audit.At(c.Context(), js, key, when)
	switch {
	case err != nil:
		return err
	case id != "" && record.ID != id:
		return volume.Errorf(volume.ErrVolumeNotFound, "volume id %s at %s: the name was of %s", id, when, record.ID)
	case !deleted && !record.Exists():
		return volume.Errorf(volume.ErrVolumeNotFound, "volume %s at %s: it was %s", key, when, record.State)
	case asJSON:
		return printJSON(a.stdout, struct {
			volume.Record
			Event volume.Event `json:"event"`
		}{record, event.Data.Event})
	}
	showRecord(a.stdout, record)
	return nil
}
