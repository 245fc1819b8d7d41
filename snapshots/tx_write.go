package snapshots

import (
	"context"
	"fmt"

	"github.com/google/uuid"

	"github.com/jetvol/jetvol/snapshots/fieldpath"
	"github.com/jetvol/jetvol/volume"
)

// Option says more about an entry that is created or committed.
type Option func(*options)

type options struct {
	labels volume.Labels
	id     string
	parent Key
	size   volume.Bytes

	volumeID string
}

// WithLabels gives the entry these labels; one with an empty value is left out.
func WithLabels(labels volume.Labels) Option { return func(o *options) { o.labels = labels } }

// WithID gives a created entry this id instead of a random one. The caller answers for
// its being unique.
func WithID(id string) Option { return func(o *options) { o.id = id } }

// WithParent makes a commit give the entry this parent, if it has none yet.
func WithParent(parent Key) Option { return func(o *options) { o.parent = parent } }

// WithVolumeSize notes the size of the volume that a snapshot is taken of.
func WithVolumeSize(size volume.Bytes) Option { return func(o *options) { o.size = size } }

// OfVolume says which volume a snapshot is of. It then stands on what the volume's entry
// does only if that has this id, and on nothing beside the entry of an earlier volume of
// the name.
func OfVolume(id string) Option { return func(o *options) { o.volumeID = id } }

func collect(opts []Option) (options, error) {
	var o options
	for _, option := range opts {
		option(&o)
	}
	labels, err := validateLabels(o.labels)
	o.labels = labels
	return o, err
}

// Create makes an active entry or a view on parent, or on nothing if that is the zero
// Key, and returns it. It returns an error of code
//
//   - invalid_argument for another kind or malformed labels, invalid_name for a
//     malformed key;
//   - snapshot_not_found if the parent does not exist, and of class failed_precondition if
//     it is not committed; [ErrRemoving] if it is being removed;
//   - snapshot_exists if the key is in use.
func (tx *Tx) Create(ctx context.Context, kind Kind, key, parent Key, opts ...Option) (Info, error) {
	if kind != Active && kind != View {
		return Info{}, volume.Errorf(volume.ErrInvalidArgument, "create %s: kind %q: want %s or %s", key, kind, Active, View)
	}
	return tx.insert(ctx, kind, key, parent, Usage{}, opts)
}

// insert is Create for any kind.
func (tx *Tx) insert(ctx context.Context, kind Kind, key, parent Key, usage Usage, opts []Option) (Info, error) {
	unlock, err := tx.lock(true)
	if err != nil {
		return Info{}, err
	}
	defer unlock()
	o, err := collect(opts)
	if err != nil {
		return Info{}, fmt.Errorf("create %s: %w", key, err)
	}
	if err := tx.checkParent(ctx, "create", key, parent); err != nil {
		return Info{}, err
	}
	if err := tx.checkFree(ctx, "create", key); err != nil {
		return Info{}, err
	}
	if o.id == "" {
		id, err := uuid.NewV7()
		if err != nil {
			return Info{}, fmt.Errorf("create %s: %w", key, err)
		}
		o.id = id.String()
	}
	now := tx.store.now()
	e := entry{
		SchemaVersion: volume.SchemaVersion, Usage: usage,
		Info: Info{Kind: kind, Name: key, ID: o.id, Parent: parent, Labels: o.labels, Created: now, Updated: now, VolumeSize: o.size},
	}
	tx.written[key] = &e
	return e.clone().Info, nil
}

// checkParent makes sure that parent, if there is one, may have children, and that the
// transaction fails if that changes.
func (tx *Tx) checkParent(ctx context.Context, operation string, key, parent Key) error {
	if parent.IsZero() {
		return nil
	}
	p, err := tx.mustLookUp(ctx, operation+" "+key.String()+": parent", parent)
	switch {
	case err != nil:
		return err
	case p.Kind != Committed:
		return precondition("%s %s: parent %s is %s, not %s", operation, key, parent, p.Kind, Committed)
	case p.RemovedBy != "":
		return fmt.Errorf("%s %s: parent %s: %w", operation, key, parent, ErrRemoving)
	}
	return nil
}

func (tx *Tx) checkFree(ctx context.Context, operation string, key Key) error {
	if err := key.Validate(); err != nil {
		return err
	}
	_, found, err := tx.lookUp(ctx, key)
	if err != nil {
		return fmt.Errorf("%s %s: %w", operation, key, err)
	}
	if found {
		return exists(operation, key)
	}
	tx.expected[key] = true
	return nil
}

// Commit makes of the active entry key the committed entry name and returns it. It
// keeps its id, the key is free, and its labels are those of the options. It returns an
// error of code
//
//   - snapshot_exists if the name is in use, also by key itself;
//   - snapshot_not_found if there is no key, and of class failed_precondition if it is not
//     active;
//   - with [WithParent] the errors that Create has for the parent, and one of class
//     failed_precondition if the entry has another parent;
//   - invalid_argument for negative usage or malformed labels, invalid_name for a
//     malformed key.
func (tx *Tx) Commit(ctx context.Context, key, name Key, usage Usage, opts ...Option) (Info, error) {
	unlock, err := tx.lock(true)
	if err != nil {
		return Info{}, err
	}
	defer unlock()
	o, err := collect(opts)
	if err == nil {
		err = usage.validate()
	}
	if err != nil {
		return Info{}, fmt.Errorf("commit %s: %w", key, err)
	}
	if err := tx.checkFree(ctx, "commit "+key.String()+" as", name); err != nil {
		return Info{}, err
	}
	e, err := tx.mustLookUp(ctx, "commit", key)
	if err != nil {
		return Info{}, err
	}
	if e.Kind != Active {
		return Info{}, precondition("commit %s: it is %s, not %s", key, e.Kind, Active)
	}
	if e.RemovedBy != "" {
		return Info{}, fmt.Errorf("commit %s: %w", key, ErrRemoving)
	}
	if !o.parent.IsZero() && o.parent != e.Parent {
		if !e.Parent.IsZero() {
			return Info{}, precondition("commit %s on %s: it stands on %s", key, o.parent, e.Parent)
		}
		if err := tx.checkParent(ctx, "commit", key, o.parent); err != nil {
			return Info{}, err
		}
		e.Parent = o.parent
	}
	e.Kind, e.Name, e.Labels, e.Usage = Committed, name, o.labels, usage
	e.Created = tx.store.now()
	e.Updated = e.Created
	tx.written[key], tx.written[name] = nil, &e
	return e.clone().Info, nil
}

// Remove removes the entry and returns what it was. It returns an error of code
// snapshot_not_found if there is none, a [*BlockedError] if it has children, and
// [ErrRemoving] if somebody has begun to remove it. A committed entry costs what
// [Tx.Children] does.
func (tx *Tx) Remove(ctx context.Context, key Key) (Info, error) {
	return tx.remove(ctx, key, "")
}

// remove removes an entry that owner, or nobody if that is empty, has marked.
func (tx *Tx) remove(ctx context.Context, key Key, owner string) (Info, error) {
	unlock, err := tx.lock(true)
	if err != nil {
		return Info{}, err
	}
	defer unlock()
	e, err := tx.mustLookUp(ctx, "remove", key)
	if err != nil {
		return Info{}, err
	}
	if e.RemovedBy != owner {
		return Info{}, fmt.Errorf("remove %s: %w", key, ErrRemoving)
	}
	if err := tx.checkChildless(ctx, e); err != nil {
		return Info{}, err
	}
	tx.written[key] = nil
	return e.Info, nil
}

// checkChildless returns a [*BlockedError] if e has children, and makes sure that the
// transaction fails if it gets some. One that is not committed cannot have any.
func (tx *Tx) checkChildless(ctx context.Context, e entry) error {
	if e.Kind != Committed {
		return nil
	}
	children, last, err := tx.children(ctx, e.Name)
	if err != nil {
		return fmt.Errorf("remove %s: %w", e.Name, err)
	}
	if len(children) > 0 {
		return &BlockedError{Key: e.Name, Children: children}
	}
	tx.guards[e.Name] = last
	return nil
}

// Update changes the labels of the entry info.Name at the paths given, as [fieldpath.ApplyLabels]
// says, and returns it: all labels without a path, otherwise those at `labels` or
// `labels.KEY`; an empty value removes a label. Nothing else of an entry can be changed,
// and the rest of info is ignored. It returns an error of code snapshot_not_found if there
// is none, and invalid_argument for another path or malformed labels.
func (tx *Tx) Update(ctx context.Context, info Info, paths ...string) (Info, error) {
	unlock, err := tx.lock(true)
	if err != nil {
		return Info{}, err
	}
	defer unlock()
	e, err := tx.mustLookUp(ctx, "update", info.Name)
	if err != nil {
		return Info{}, err
	}
	labels, err := fieldpath.ApplyLabels(e.Labels, info.Labels, paths...)
	if err != nil {
		return Info{}, fmt.Errorf("update %s: %w", info.Name, err)
	}
	e.Labels, e.Updated = labels, tx.store.now()
	tx.written[info.Name] = &e
	return e.clone().Info, nil
}
