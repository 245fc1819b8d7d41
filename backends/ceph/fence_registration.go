//go:build ceph

package ceph

import (
	"encoding/json"
	"errors"
	"fmt"
	"sync"
	"time"

	"github.com/ceph/go-ceph/rados"

	"github.com/jetvol/jetvol/volume"
)

// registration is a connection's place among those that a fence has to reach.
type registration struct {
	cluster *rados.Conn
	io      *rados.IOContext
	id      uint64 // what Ceph calls the connection: client.<id>
	guard   *guard

	watcher *rados.Watcher
	stop    chan struct{}  // closed when nothing comes from the watcher any more
	work    sync.WaitGroup // the listener and the answers in progress

	evicting sync.Mutex
	seen     map[uint64]bool // guarded by evicting; whose evictions this connection's OSD map has
}

// register makes a connection known before its first call. The pool and the namespace of
// io are those of the calls. On an error nothing of it is left in this process; what may
// be left in the registry is evicted by the next fence.
func register(cluster *rados.Conn, io *rados.IOContext, address string) (*registration, error) {
	r := &registration{
		cluster: cluster, io: io, id: cluster.GetInstanceID(),
		guard: newGuard(), stop: make(chan struct{}), seen: make(map[uint64]bool),
	}
	if err := io.Create(registryObject, rados.CreateIdempotent); err != nil {
		return nil, fmt.Errorf("object %s: %w", registryObject, err)
	}
	var err error
	if r.watcher, err = io.Watch(registryObject); err != nil { // rados_watch3
		return nil, fmt.Errorf("watch object %s: %w", registryObject, err)
	}
	r.work.Go(r.listen)
	if err := r.enter(address); err != nil {
		r.close()
		return nil, err
	}
	return r, nil
}

// enter writes the entry and then loads the fences: one that is stored later finds the
// entry, and its notice the watch.
func (r *registration) enter(address string) error {
	if err := writeMember(r.io, newMember(r.id, address)); err != nil {
		return fmt.Errorf("object %s: %w", registryObject, err)
	}
	stored, err := loadFences(r.io)
	if err != nil {
		return err
	}
	for _, f := range stored {
		r.guard.raise(f.key, f.epoch)
	}
	members, err := r.members()
	if err != nil {
		return err
	}
	return r.forget(members, stored, time.Now())
}

// close ends the registration, when no call uses the connection any more. An entry that
// cannot be removed, or must not because a call was lost, is evicted by the next fence.
func (r *registration) close() {
	r.guard.shut(errors.New("closed"))
	// The entry goes before the watch, or a fence between the two would evict us.
	if r.guard.clean() {
		_ = r.io.RmOmapKeys(registryObject, []string{member{id: r.id}.entry()})
	}
	_ = unwatch(r.cluster, r.io, r.watcher) // if it fails the watch ends with the connection
	close(r.stop)
	r.work.Wait()
}

// listen answers notices until stop. After an error of the watch fences may have been
// missed: no call may begin on the connection.
func (r *registration) listen() {
	events, failures := r.watcher.Events(), r.watcher.Errors()
	for {
		select {
		case event := <-events:
			r.work.Go(func() { r.answer(event) })
		case err := <-failures:
			r.guard.shut(fmt.Errorf("watch of object %s: %w", registryObject, err))
		case <-r.stop:
			return
		}
	}
}

// answer tells a fencer how far its fence has come here. A notice that cannot be read gets
// none: its sender will evict this connection, which is right, for it wanted something.
func (r *registration) answer(event rados.NotifyEvent) {
	n, err := decodeNotice(event.Data)
	if err != nil {
		return
	}
	own := uint64(event.NotifierID) == r.id
	_ = event.Ack([]byte(r.guard.yield(n, own, r.stop))) // rados_notify_ack; no answer is one too
}

// noticeVersion is the schema version that this code writes and the only one it reads.
const noticeVersion = 1

// notice tells of a fence.
type notice struct {
	SchemaVersion int        `json:"schema_version"`
	Key           volume.Key `json:"key"`
	Epoch         uint64     `json:"epoch"`
}

func (n notice) encode() []byte {
	n.SchemaVersion = noticeVersion
	data, err := json.Marshal(n)
	if err != nil {
		panic(err) // strings and numbers only
	}
	return data
}

func decodeNotice(data []byte) (notice, error) {
	var n notice
	if err := json.Unmarshal(data, &n); err != nil {
		return notice{}, err
	}
	switch {
	case n.SchemaVersion != noticeVersion:
		return notice{}, fmt.Errorf("schema version %d: want %d", n.SchemaVersion, noticeVersion)
	case n.Epoch == 0:
		return notice{}, fmt.Errorf("epoch 0: fences nothing")
	}
	return n, n.Key.Validate()
}
