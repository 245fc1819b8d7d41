package backendtest

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os"

	"github.com/jetvol/jetvol/backends"
	"github.com/jetvol/jetvol/volume"
)

// Call is one change as data, so that another process can make it.
type Call struct {
	Method   string              `json:"method"`
	Ref      backends.Ref        `json:"ref"`
	Size     volume.Bytes        `json:"size,omitempty"`
	Node     volume.Node         `json:"node,omitempty"`
	Mode     volume.Mode         `json:"mode,omitempty"`
	Snapshot volume.SnapshotName `json:"snapshot,omitempty"`
	Target   backends.Ref        `json:"target,omitzero"` // of a clone, whose source is Ref
	Image    volume.Image        `json:"image,omitempty"`
}

// Methods of calls that some cases treat in their own way.
const (
	methodCreate         = "create"
	methodDelete         = "delete"
	methodClone          = "clone"
	methodDeleteSnapshot = "delete_snapshot"
)

// methods are what a Call can be, with what the driver must be able to do for it.
var methods = map[string]struct {
	needs func(backends.Capabilities) bool
	do    func(ctx context.Context, d backends.Driver, c Call) error
}{
	methodCreate: {nothing, func(ctx context.Context, d backends.Driver, c Call) error { return d.Create(ctx, c.Ref, c.Size) }},
	methodDelete: {nothing, func(ctx context.Context, d backends.Driver, c Call) error { return d.Delete(ctx, c.Ref) }},
	"attach": {nothing, func(ctx context.Context, d backends.Driver, c Call) error {
		_, err := d.Attach(ctx, c.Ref, c.Node, c.Mode)
		return err
	}},
	"detach": {nothing, func(ctx context.Context, d backends.Driver, c Call) error { return d.Detach(ctx, c.Ref, c.Node) }},
	"resize": {resizes, func(ctx context.Context, d backends.Driver, c Call) error {
		return d.(backends.Resizer).Resize(ctx, c.Ref, c.Size)
	}},
	"create_snapshot": {snapshots, func(ctx context.Context, d backends.Driver, c Call) error {
		_, err := d.(backends.Snapshotter).CreateSnapshot(ctx, c.Ref, c.Snapshot)
		return err
	}},
	methodDeleteSnapshot: {snapshots, func(ctx context.Context, d backends.Driver, c Call) error {
		return d.(backends.Snapshotter).DeleteSnapshot(ctx, c.Ref, c.Snapshot)
	}},
	"restore": {snapshots, func(ctx context.Context, d backends.Driver, c Call) error {
		return d.(backends.Snapshotter).Restore(ctx, c.Ref, c.Snapshot)
	}},
	methodClone: {clones, func(ctx context.Context, d backends.Driver, c Call) error {
		return d.(backends.Cloner).Clone(ctx, c.Ref, c.Snapshot, c.Target, c.Size)
	}},
	"flatten": {clones, func(ctx context.Context, d backends.Driver, c Call) error {
		return d.(backends.Cloner).Flatten(ctx, c.Ref)
	}},
	"release": {imports, func(ctx context.Context, d backends.Driver, c Call) error {
		return d.(backends.Importer).Release(ctx, c.Ref, c.Image)
	}},
	"import": {imports, func(ctx context.Context, d backends.Driver, c Call) error {
		_, err := d.(backends.Importer).Import(ctx, c.Ref, c.Image)
		return err
	}},
}

func nothing(backends.Capabilities) bool     { return true }
func resizes(c backends.Capabilities) bool   { return c.Resize }
func snapshots(c backends.Capabilities) bool { return c.Snapshot }
func clones(c backends.Capabilities) bool    { return c.Clone }
func imports(c backends.Capabilities) bool   { return c.Import }

// Do makes the call. It returns InvalidArgument for an unknown method, Unsupported if d
// is not able, and otherwise what the driver returns.
func (c Call) Do(ctx context.Context, d backends.Driver) error {
	method, known := methods[c.Method]
	switch {
	case !known:
		return backends.Errorf(volume.InvalidArgument, "method %q is unknown", c.Method)
	case !method.needs(abilities(d)):
		return backends.Errorf(volume.Unsupported, "driver is not able to %s", c.Method)
	}
	return method.do(ctx, d, c)
}

// in is the call as made by a caller with the given epoch.
func (c Call) in(epoch uint64) Call {
	c.Ref.Epoch = epoch
	if c.Method == methodClone {
		c.Target.Epoch = epoch
	}
	return c
}

// abilities are those of the driver, also of the one within a Backend, which has the
// methods of all.
func abilities(d backends.Driver) backends.Capabilities {
	if backend, is := d.(*backends.Backend); is {
		return backend.Capabilities()
	}
	return backends.CapabilitiesOf(d)
}

// script is every change that the driver is able to make, in an order in which each
// succeeds; at its end both volumes are gone.
func script(able backends.Capabilities, ref, clone backends.Ref) []Call {
	const name = "monday"
	all := []Call{
		{Method: methodCreate, Ref: ref, Size: small},
		{Method: "create_snapshot", Ref: ref, Snapshot: name},
		{Method: "resize", Ref: ref, Size: large},
		{Method: "attach", Ref: ref, Node: nodeA, Mode: volume.ReadWrite},
		{Method: methodClone, Ref: ref, Snapshot: name, Target: clone, Size: large},
		{Method: "detach", Ref: ref, Node: nodeA},
		{Method: "restore", Ref: ref, Snapshot: name},
		{Method: "flatten", Ref: clone},
		{Method: methodDeleteSnapshot, Ref: ref, Snapshot: name},
		{Method: "release", Ref: ref, Image: volume.ReleasedImage(ref.ID)},
		{Method: "import", Ref: ref, Image: volume.ReleasedImage(ref.ID)},
		{Method: methodDelete, Ref: ref},
	}
	if able.Clone {
		all = append(all, Call{Method: methodDelete, Ref: clone})
	}
	var calls []Call
	for _, c := range all {
		if methods[c.Method].needs(able) {
			calls = append(calls, c)
		}
	}
	return calls
}

// callVariable carries a request to the process that is to serve it.
const callVariable = "JETVOL_BACKENDTEST_CALL"

// request is what a process is asked to do.
type request struct {
	Call   Call `json:"call"`
	KillAt int  `json:"kill_at"`
}

// begun is what the process writes when the driver is open, and ended when the call has
// succeeded.
const (
	begun = "begun\n"
	ended = "ended\n"
)

// ServeCall makes the call that the environment asks for and reports whether there was
// one. A [Crasher] calls it first thing in TestMain and ends the process if it was served.
//
// Open opens the driver over the store. If killAt is 1 or more the driver must kill its
// process with SIGKILL before its change number killAt to the store; a driver that cannot
// count its changes ignores killAt, and is killed at random moments only.
func ServeCall(open func(killAt int) (backends.Driver, error)) (served bool, err error) {
	text, asked := os.LookupEnv(callVariable)
	if !asked {
		return false, nil
	}
	var asks request
	if err := json.Unmarshal([]byte(text), &asks); err != nil {
		return true, fmt.Errorf("read %s: %w", callVariable, err)
	}
	d, err := open(asks.KillAt)
	if err != nil {
		return true, err
	}
	if _, err := os.Stdout.WriteString(begun); err != nil {
		return true, err
	}
	if err := asks.Call.Do(context.Background(), d); err != nil {
		return true, err
	}
	_, err = os.Stdout.WriteString(ended)
	return true, errors.Join(err, d.Close())
}
