package worker

import (
	"time"

	"github.com/jetvol/jetvol/volume"
)

// ownerAfter returns who acts on a volume from now on: this worker, in a new epoch
// unless it was this run of it before.
func (w *Worker) ownerAfter(before volume.Owner, since time.Time) volume.Owner {
	instance := w.member.Instance()
	if before.Instance == instance {
		return before
	}
	return volume.Owner{Worker: w.config.ID, Instance: instance, Epoch: before.Epoch + 1, Since: since}
}
