package worker

import (
	"context"
	"time"

	"github.com/jetvol/jetvol/backends"
	"github.com/jetvol/jetvol/fsm"
	"github.com/jetvol/jetvol/volume"
)

// evictable refuses a node_gone over a backend that cannot carry it out. To end the node's
// reservation without a fence would let two nodes write.
func (w *Worker) evictable(record volume.Record, command volume.Command) error {
	backend, err := w.backend(record.Backend)
	if err != nil {
		return err
	}
	if !backend.CanEvict() {
		return volume.Errorf(volume.ErrBackendUnsupported,
			"node_gone volume %s: backend %s cannot fence a node: make sure that node %s has stopped, then detach the volume",
			record.Key, record.Backend, command.Args.Node)
	}
	return nil
}

// evict takes the volume from the node that is gone, and looks what the backend has then. A
// node_gone also comes to a volume in error, of which the record does not know where it is.
func (e *execution) evict(ctx context.Context, backend *backends.Backend) (end, error) {
	record := e.head.record
	node := record.Op.Args.Node
	eviction, err := backend.Evict(ctx, refOf(record), node)
	// Beside an error too: the next attempt does not find again what is fenced by now.
	e.head.record = fsm.Fenced(e.head.record, eviction.Clients)
	if err != nil {
		return nil, backendError(err)
	}
	seen, err := e.observe(ctx)
	if err != nil {
		return nil, err
	}
	if err := evicted(record, node, seen); err != nil {
		return nil, volume.BackendError(err)
	}
	return func(record volume.Record, now time.Time) (fsm.Decision, error) {
		return fsm.Evicted(record, seen, now)
	}, nil
}

// evicted returns an error if the volume is not as an eviction leaves it.
func evicted(record volume.Record, node volume.Node, seen fsm.Observation) error {
	if !seen.Present {
		return backends.Errorf(volume.NotFound, "volume %s is missing after the eviction of node %s", record.Key, node)
	}
	if _, held := seen.Attachments.Of(node); held {
		return backends.Errorf(volume.Internal, "volume %s is still held by node %s after its eviction", record.Key, node)
	}
	return nil
}
