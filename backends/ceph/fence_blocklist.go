//go:build ceph

package ceph

import (
	"context"
	"encoding/json"
	"fmt"
	"strconv"
	"time"

	"github.com/ceph/go-ceph/rados"
)

// blocklist makes the OSDs refuse, for the given time, all that the clients with the given
// addresses send, also what is under way: those get ESHUTDOWN. An address is written as
// rados_getaddrs and the list of watchers have it, "127.0.0.1:0/3948123"; it names one
// connection, not a host, so that a process may go on with a new one.
//
// When it returns nil, conn has an OSD map with the entries. Every OSD that gets a request
// over conn takes over that map first: what conn reads or changes afterwards is not
// changed by those clients any more. A repeat is success and changes nothing: the time of
// an entry is the first that it was given, as long as it lasts. It needs `profile rbd` on the
// monitors, and is bounded by rados_mon_op_timeout for each address, not by ctx.
func blocklist(ctx context.Context, conn *rados.Conn, expiry time.Duration, addresses ...string) error {
	for _, address := range addresses {
		if err := ctx.Err(); err != nil {
			return err
		}
		if err := blocklistOne(conn, expiry, address); err != nil {
			return fmt.Errorf("blocklist client %s: %w", address, err)
		}
	}
	return awaitMap(conn)
}

// awaitMap returns when conn has the latest OSD map. The wait itself has no timeout in
// librados: it lasts until some monitor answers. A command, which has one, comes first and
// finds out whether any does.
func awaitMap(conn *rados.Conn) error {
	if _, _, err := conn.MonCommand([]byte(`{"prefix":"osd stat"}`)); err != nil { // rados_mon_command
		return fmt.Errorf("ask for the OSD map: %w", err)
	}
	if err := conn.WaitForLatestOSDMap(); err != nil { // rados_wait_for_latest_osdmap
		return fmt.Errorf("wait for the latest OSD map: %w", err)
	}
	return nil
}

func blocklistOne(conn *rados.Conn, expiry time.Duration, address string) error {
	command, err := json.Marshal(struct {
		Prefix  string      `json:"prefix"`
		Op      string      `json:"blocklistop"`
		Address string      `json:"addr"`
		Expire  json.Number `json:"expire"`
	}{
		Prefix: "osd blocklist", Op: "add", Address: address,
		// The monitor refuses a whole number: it wants a float, with its point.
		Expire: json.Number(strconv.FormatFloat(expiry.Seconds(), 'f', 1, 64)),
	})
	if err != nil {
		return err
	}
	_, _, err = conn.MonCommand(command) // rados_mon_command
	return err
}
