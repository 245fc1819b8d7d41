//go:build ceph

package ceph

import (
	"encoding/json"
	"fmt"
	"os"
	"strconv"
	"strings"
	"time"

	"github.com/ceph/go-ceph/rados"

	"github.com/jetvol/jetvol/backends"
	"github.com/jetvol/jetvol/volume"
)

// registryObject is the object that all connections watch. Its omap tells who they are:
// an entry `client.<id>` for each that is open, with the number that Ceph gives to it, and
// `evicted.<id>` for each that a fence has shut out.
const registryObject = "jetvol.workers"

const (
	openPrefix    = "client."
	evictedPrefix = "evicted."
)

// memberVersion is the schema version that this code writes and the only one it reads.
const memberVersion = 1

// began is about when this process began. It is older than all that the process does.
var began = time.Now()

// member is an entry of the registry.
type member struct {
	id uint64 // of the entry's name: what a client is called, client.4123

	SchemaVersion int        `json:"schema_version"`
	Address       string     `json:"address"` // as a blocklist takes it
	Host          string     `json:"host"`    // for people
	PID           int        `json:"pid"`     // for people
	Since         time.Time  `json:"since"`   // when the process began
	Evicted       *time.Time `json:"evicted,omitempty"`
}

func newMember(id uint64, address string) member {
	host, _ := os.Hostname() // for people only
	return member{
		id: id, SchemaVersion: memberVersion, Address: address,
		Host: host, PID: os.Getpid(), Since: began.UTC(),
	}
}

func (m member) entry() string {
	prefix := openPrefix
	if m.Evicted != nil {
		prefix = evictedPrefix
	}
	return prefix + strconv.FormatUint(m.id, 10)
}

// parseMember returns an error for what member does not write: it cannot be told then
// whether, and whom, a fence has to shut out.
func parseMember(entry string, value []byte) (member, error) {
	var m member
	if err := json.Unmarshal(value, &m); err != nil {
		return member{}, err
	}
	prefix, id, _ := strings.Cut(entry, ".")
	var err error
	if m.id, err = strconv.ParseUint(id, 10, 64); err != nil {
		return member{}, err
	}
	switch {
	case m.SchemaVersion != memberVersion:
		return member{}, fmt.Errorf("schema version %d: want %d", m.SchemaVersion, memberVersion)
	case m.Address == "":
		return member{}, fmt.Errorf("no address")
	case m.entry() != entry:
		return member{}, fmt.Errorf("%q beside evicted: %t", prefix, m.Evicted != nil)
	}
	return m, nil
}

func readMembers(io *rados.IOContext) ([]member, error) {
	entries, err := io.GetAllOmapValues(registryObject, "", "", omapPage) // rados_omap_get_vals2
	if err != nil {
		return nil, fmt.Errorf("object %s: %w", registryObject, err)
	}
	members := make([]member, 0, len(entries))
	for entry, value := range entries {
		m, err := parseMember(entry, value)
		if err != nil {
			return nil, backends.Errorf(volume.Internal, "object %s: entry %s: %v", registryObject, entry, err)
		}
		members = append(members, m)
	}
	return members, nil
}

func writeMember(io *rados.IOContext, m member) error {
	value, err := json.Marshal(m)
	if err != nil {
		return err
	}
	return io.SetOmap(registryObject, map[string][]byte{m.entry(): value}) // rados_write_op_omap_set2
}

// markEvicted replaces the entries of members that are on the blocklist now.
func markEvicted(io *rados.IOContext, members []member, now time.Time) error {
	marks := make(map[string][]byte, len(members))
	var open []string
	for _, m := range members {
		open = append(open, m.entry())
		m.Evicted = &now
		value, err := json.Marshal(m)
		if err != nil {
			return err
		}
		marks[m.entry()] = value
	}
	op := rados.CreateWriteOp()
	defer op.Release()
	op.SetOmap(marks)
	op.RmOmapKeys(open)
	return op.Operate(io, registryObject, rados.OperationNoFlag) // rados_write_op_operate2
}
