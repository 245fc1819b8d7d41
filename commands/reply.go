package commands

import (
	"encoding/json"
	"strings"

	"github.com/jetvol/jetvol/volume"
)

// Reply is the answer to one command, sent when it has ended.
type Reply struct {
	CommandID  volume.CommandID `json:"command_id"`
	Outcome    volume.Result    `json:"outcome"`
	Project    volume.Project   `json:"project"`
	Volume     volume.Name      `json:"volume"`
	VolumeID   volume.ID        `json:"volume_id,omitempty"`
	State      volume.State     `json:"state,omitempty"` // empty if there is no such volume
	Generation uint64           `json:"generation"`
	Failure    *volume.Failure  `json:"error,omitempty"` // of a failed or rejected command
	// Eviction is what a node_gone has fenced.
	Eviction *volume.Eviction `json:"eviction,omitempty"`
	// Snapshot is the one that the command was about, with its id if the command made it.
	Snapshot *volume.Snapshot `json:"snapshot,omitempty"`
	// Image is the name under which the backend keeps what an unmanage has given away, or had
	// what an adopt has taken in.
	Image volume.Image `json:"image,omitempty"`
	// Plan is what an adopt of an image would do, of one that was only validated.
	Plan *volume.Plan `json:"plan,omitempty"`
	// Retryable says that the same request may succeed later, under a new command ID:
	// the old one has got its answer.
	Retryable bool `json:"retryable"`
	// Repeat marks the stored answer to a command that came again.
	Repeat bool `json:"repeat"`
}

// NewReply returns the reply that tells an outcome. Repeat says that the outcome is of
// an earlier delivery of the same command.
func NewReply(key volume.Key, outcome volume.Outcome, repeat bool) Reply {
	return Reply{
		CommandID:  outcome.CommandID,
		Outcome:    outcome.Result,
		Project:    key.Project,
		Volume:     key.Name,
		VolumeID:   outcome.VolumeID,
		State:      outcome.State,
		Generation: outcome.Generation,
		Failure:    outcome.Failure,
		Eviction:   outcome.Eviction,
		Snapshot:   outcome.Snapshot,
		Image:      outcome.Image,
		Plan:       outcome.Plan,
		Retryable:  outcome.Failure != nil && outcome.Failure.Class.Retryable(),
		Repeat:     repeat,
	}
}

// Key returns the key of the volume that the command was for.
func (r Reply) Key() volume.Key { return volume.Key{Project: r.Project, Name: r.Volume} }

// Err returns nil if the command succeeded or is valid, and else a [*volume.Error] with
// the code and class of the failure.
func (r Reply) Err() error {
	if r.Outcome == volume.Succeeded || r.Outcome == volume.Valid {
		return nil
	}
	if r.Failure == nil {
		return volume.Errorf(volume.ErrInternal, "command %s to volume %s: %q without a reason", r.CommandID, r.Key(), r.Outcome)
	}
	return &volume.Error{
		Code:    r.Failure.Code,
		Message: strings.TrimSuffix(r.Failure.Message, ": "+string(r.Failure.Code)), // Error appends it
		Cause:   r.Failure.Class,                                                    // for a code that is newer than this program
	}
}

// DecodeReply reads a reply. Members and outcomes that it does not know are taken as they
// are, so that a newer worker can be understood: [Reply.Err] tells such an outcome as an
// error. It returns [volume.ErrInvalidPayload] for anything that is not a reply.
func DecodeReply(data []byte) (Reply, error) {
	var reply Reply
	if err := json.Unmarshal(data, &reply); err != nil {
		return Reply{}, volume.Errorf(volume.ErrInvalidPayload, "reply: %w", err)
	}
	if reply.CommandID == "" || reply.Outcome == "" {
		return Reply{}, volume.Errorf(volume.ErrInvalidPayload, "reply: no command id or no outcome")
	}
	return reply, nil
}
