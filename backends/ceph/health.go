//go:build ceph

package ceph

import (
	"context"
	"encoding/json"
	"fmt"
	"maps"
	"slices"
	"strconv"
	"strings"

	"github.com/jetvol/jetvol/backends"
	"github.com/jetvol/jetvol/volume"
)

// Health tells of the cluster what its monitors say, after having read from the pool, so
// that a pool whose OSDs do not answer is an error here as it is to users. A full pool is
// a fact only: what is there can be used and deleted.
func (d *driver) Health(ctx context.Context) (backends.Health, error) {
	health := backends.Health{Driver: DriverName, Facts: map[string]string{
		"pool": d.cfg.Pool, "user": d.cfg.User, "conf": d.cfg.Conf,
	}}
	err := d.use(ctx, func(c *conn) error {
		if _, err := c.listed(imagePrefix); absent(err) {
			if err := d.confirmAbsence(c); err != nil {
				return err
			}
		} else if err != nil {
			return fmt.Errorf("read from pool %s: %w", d.cfg.Pool, err)
		}
		health.Facts["monitors"] = c.monitors
		health.Facts["addresses"] = strings.Join(c.addrs, " ")
		return d.askMonitors(c, &health)
	})
	if err != nil {
		return backends.Health{}, err
	}
	return health, nil
}

func (d *driver) askMonitors(c *conn, health *backends.Health) error {
	var version struct {
		Version string `json:"version"`
	}
	var cluster clusterStatus
	var free poolSpace
	for prefix, answer := range map[string]any{"version": &version, "status": &cluster, "df": &free} {
		if err := c.ask(prefix, answer); err != nil {
			return err
		}
	}
	health.Version = shortVersion(version.Version)
	maps.Copy(health.Facts, cluster.facts())
	maps.Copy(health.Facts, free.facts(d.cfg.Pool))
	if d.cfg.DataPool != "" {
		for fact, value := range free.facts(d.cfg.DataPool) {
			health.Facts["data_"+fact] = value
		}
	}
	return nil
}

// ask sends a command to the monitors (rados_mon_command).
func (c *conn) ask(prefix string, answer any) error {
	command, err := json.Marshal(map[string]string{"prefix": prefix, "format": "json"})
	if err != nil {
		return err
	}
	reply, _, err := c.cluster.MonCommand(command)
	if err != nil {
		return misconfigured(err, "monitor command %s", prefix)
	}
	if err := json.Unmarshal(reply, answer); err != nil {
		return backends.Errorf(volume.Internal, "answer to monitor command %s: %w", prefix, err)
	}
	return nil
}

// shortVersion leaves "16.2.15" of "ceph version 16.2.15 (…) pacific (stable)".
func shortVersion(full string) string {
	if words := strings.Fields(full); len(words) > 2 {
		return words[2]
	}
	return full
}

// clusterStatus is of `ceph status`.
type clusterStatus struct {
	FSID   string `json:"fsid"`
	Health struct {
		Status string `json:"status"`
		Checks map[string]struct {
			Summary struct {
				Message string `json:"message"`
			} `json:"summary"`
		} `json:"checks"`
	} `json:"health"`
	OSDMap struct {
		Total int `json:"num_osds"`
		Up    int `json:"num_up_osds"`
		In    int `json:"num_in_osds"`
	} `json:"osdmap"`
	Quorum []string `json:"quorum_names"`
}

func (s clusterStatus) facts() map[string]string {
	facts := map[string]string{
		"fsid":   s.FSID,
		"health": s.Health.Status,
		"osds":   fmt.Sprintf("%d, %d up, %d in", s.OSDMap.Total, s.OSDMap.Up, s.OSDMap.In),
		"quorum": strings.Join(s.Quorum, " "),
	}
	if len(s.Health.Checks) > 0 {
		facts["checks"] = strings.Join(slices.Sorted(maps.Keys(s.Health.Checks)), " ")
	}
	return facts
}

// poolSpace is of `ceph df`.
type poolSpace struct {
	Pools []struct {
		Name  string `json:"name"`
		Stats struct {
			Used  int64 `json:"bytes_used"`
			Avail int64 `json:"max_avail"`
		} `json:"stats"`
	} `json:"pools"`
}

func (s poolSpace) facts(pool string) map[string]string {
	for _, found := range s.Pools {
		if found.Name == pool {
			return map[string]string{
				"used_bytes": strconv.FormatInt(found.Stats.Used, 10),
				"free_bytes": strconv.FormatInt(found.Stats.Avail, 10),
			}
		}
	}
	return nil
}
