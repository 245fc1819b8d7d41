package ownership

import (
	"regexp"
	"slices"
	"time"

	"github.com/jetvol/jetvol/volume"
)

// Lease is what a live worker tells all others, under `worker.<id>`. It expires unless
// the worker renews it.
type Lease struct {
	SchemaVersion int    `json:"schema_version"`
	Worker        string `json:"worker"`
	// Instance is another one each time the worker is started.
	Instance string    `json:"instance"`
	JoinedAt time.Time `json:"joined_at"`
	// Draining says that the worker takes nothing any more.
	Draining bool `json:"draining,omitempty"`
	// Partitions are those that the worker takes commands from, in ascending order.
	Partitions []int `json:"partitions"`
	// Busy are volumes of partitions given up, with which it is still occupied.
	Busy []volume.Key `json:"busy,omitempty"`
}

func (l Lease) holds(partition int) bool { return slices.Contains(l.Partitions, partition) }

const keyPrefix = "worker."

// LeaseKey returns the key of a worker's lease.
func LeaseKey(worker string) string { return keyPrefix + worker }

// maxWorkerID bounds the name of a worker, which stands in every event.
const maxWorkerID = 128

var workerID = regexp.MustCompile(`^[A-Za-z0-9_-]+(\.[A-Za-z0-9_-]+)*$`)

// ValidateID returns a [volume.ErrInvalidArgument] unless id can name a worker: letters,
// digits, '-' and '_', and single dots between them, as in a host's name.
func ValidateID(id string) error {
	if len(id) > maxWorkerID || !workerID.MatchString(id) {
		return volume.Errorf(volume.ErrInvalidArgument,
			"worker id %.140q: want at most %d letters, digits, '-', '_' and single dots", id, maxWorkerID)
	}
	return nil
}
