package query

import (
	"slices"

	"github.com/jetvol/jetvol/snapshots/filters"
	"github.com/jetvol/jetvol/volume"
)

// The number of volumes or events in one reply. A reply holds fewer if they do not fit
// into one message.
const (
	DefaultLimit = 100
	MaxLimit     = 1000
)

// GetRequest asks for one volume, by project and name or by id.
type GetRequest struct {
	Project volume.Project `json:"project,omitempty"`
	Volume  volume.Name    `json:"volume,omitempty"`
	ID      volume.ID      `json:"id,omitempty"`
	// IncludeDeleted asks for a deleted volume too, while its record is kept.
	IncludeDeleted bool `json:"include_deleted,omitempty"`
}

// Validate returns an error of class [volume.InvalidArgument] unless the request names one
// volume, in one way.
func (r GetRequest) Validate() error {
	if r.ID == "" {
		return volume.Key{Project: r.Project, Name: r.Volume}.Validate()
	}
	if r.Project != "" || r.Volume != "" {
		return volume.Errorf(volume.ErrInvalidArgument, `field "id": want it alone, or "project" and "volume"`)
	}
	_, err := r.ID.Key()
	return err
}

// ListRequest asks for a page of the volumes that are all of what it says; the zero one
// asks for volumes of every project.
type ListRequest struct {
	Project volume.Project `json:"project,omitempty"`
	States  []volume.State `json:"states,omitempty"` // one of them
	Node    volume.Node    `json:"node,omitempty"`   // that holds the volume
	Backend string         `json:"backend,omitempty"`
	Labels  volume.Labels  `json:"labels,omitempty"`  // all of them
	Drifted bool           `json:"drifted,omitempty"` // only those that differ from their backend
	// NamePrefix is how the name begins.
	NamePrefix string `json:"name_prefix,omitempty"`
	// Filter are texts in the language of package filters, of which one has to hold. The
	// fields are project, name, id, state, backend, node (all holders, joined by commas),
	// drift, source, owner, verb and labels.KEY; what there is none of is the empty text.
	Filter []string `json:"filter,omitempty"`
	// IncludeDeleted asks for deleted volumes too. Without it they are listed only if
	// States names that state.
	IncludeDeleted bool `json:"include_deleted,omitempty"`
	// After is the cursor: the Next of the page before.
	After uint64 `json:"after,omitempty"`
	// Limit is the most volumes in the page, [DefaultLimit] if it is 0, at most [MaxLimit].
	Limit int `json:"limit,omitempty"`
}

// Validate returns an error of class [volume.InvalidArgument] that names what is wrong.
func (r ListRequest) Validate() error {
	if err := r.validateNames(); err != nil {
		return err
	}
	for _, state := range r.States {
		if !slices.Contains(volume.States(), state) {
			return volume.Errorf(volume.ErrInvalidArgument, `field "states": %.40q: want some of %s`, state, list(volume.States()))
		}
	}
	if len(r.NamePrefix) > volume.MaxNameLength {
		return volume.Errorf(volume.ErrInvalidArgument, `field "name_prefix": %d bytes, at most %d`, len(r.NamePrefix), volume.MaxNameLength)
	}
	if err := r.Labels.Validate(); err != nil {
		return err
	}
	if _, err := r.filter(); err != nil {
		return err
	}
	return validateLimit(r.Limit)
}

func (r ListRequest) validateNames() error {
	if r.Project != "" {
		if err := anyVolume(r.Project).Validate(); err != nil {
			return err
		}
	}
	if r.Node != "" {
		if err := r.Node.Validate(); err != nil {
			return err
		}
	}
	if r.Backend != "" {
		return volume.ValidateBackend(r.Backend)
	}
	return nil
}

// filterFields are those of a volume that a filter may name.
var filterFields = filters.Fields{
	Plain: []string{"project", "name", "id", "state", "backend", "node", "drift", "source", "owner", "verb"},
	Keyed: []string{"labels"},
}

func (r ListRequest) filter() (filters.Filter, error) { return filterFields.Parse(r.Filter...) }

// anyVolume is a key that is valid if the project is.
func anyVolume(project volume.Project) volume.Key { return volume.Key{Project: project, Name: "any"} }

func validateLimit(limit int) error {
	if limit < 0 || limit > MaxLimit {
		return volume.Errorf(volume.ErrInvalidArgument, `field "limit": %d: want 1 to %d, or 0 for %d`, limit, MaxLimit, DefaultLimit)
	}
	return nil
}

func limitOf(limit int) int {
	if limit == 0 {
		return DefaultLimit
	}
	return limit
}

// ExplainRequest asks what goes on with a volume.
type ExplainRequest struct {
	Project volume.Project `json:"project"`
	Volume  volume.Name    `json:"volume"`
}

func (r ExplainRequest) key() volume.Key { return volume.Key{Project: r.Project, Name: r.Volume} }

// Validate returns a [volume.ErrInvalidName] unless the request names a volume.
func (r ExplainRequest) Validate() error { return r.key().Validate() }

// HistoryRequest asks for the events of a volume, of all its lives, oldest first.
type HistoryRequest struct {
	Project volume.Project `json:"project"`
	Volume  volume.Name    `json:"volume"`
	// After is the cursor: the Next of the reply before, or the sequence of an event.
	After uint64 `json:"after,omitempty"`
	// Limit is the most events in the reply, [DefaultLimit] if it is 0, at most [MaxLimit].
	Limit int `json:"limit,omitempty"`
}

// Validate returns an error of class [volume.InvalidArgument] that names what is wrong.
func (r HistoryRequest) Validate() error {
	if err := (volume.Key{Project: r.Project, Name: r.Volume}).Validate(); err != nil {
		return err
	}
	return validateLimit(r.Limit)
}

// NoRequest is the request of an endpoint that asks for everything.
type NoRequest struct{}

// Validate returns nil.
func (NoRequest) Validate() error { return nil }
