package commands

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"regexp"
	"slices"
	"strings"
	"time"

	"github.com/jetvol/jetvol/volume"
)

// shape says which fields a verb's payload has of its own.
type shape struct {
	required []string
	either   []string // at least one of them is required
	optional []string
}

// shapes is the one table of the payloads' fields; the schemas are compared with it.
var shapes = map[volume.Verb]shape{
	volume.VerbCreate:    {either: []string{"size", "source"}, optional: []string{"backend", "labels", "read_only"}},
	volume.VerbAttach:    {required: []string{"node"}, optional: []string{"mode"}},
	volume.VerbDetach:    {optional: []string{"node"}},
	volume.VerbResize:    {required: []string{"size"}},
	volume.VerbDelete:    {},
	volume.VerbReconcile: {optional: []string{"believe"}},
	volume.VerbCancel:    {optional: []string{"target"}},
	volume.VerbNodeGone:  {required: []string{"node", "reason"}},

	volume.VerbSnapshot:       {required: []string{"snapshot"}, optional: []string{"labels"}},
	volume.VerbDeleteSnapshot: {required: []string{"snapshot"}},
	volume.VerbRestore:        {required: []string{"snapshot"}},
	volume.VerbFlatten:        {},

	volume.VerbAdopt:    {optional: []string{"backend", "id", "image"}},
	volume.VerbUnmanage: {optional: []string{"name"}},
}

// commonFields are those of every verb: the preconditions.
var commonFields = []string{"if_state", "if_generation", "deadline", "validate_only"}

// payloadFields are the fields of each verb's payload, required ones first.
var payloadFields = func() map[volume.Verb][]string {
	fields := map[volume.Verb][]string{}
	for verb, own := range shapes {
		fields[verb] = slices.Concat(own.required, own.either, own.optional, commonFields)
	}
	return fields
}()

// setters reads each field into a command.
var setters = map[string]func(*volume.Command, json.RawMessage) error{
	"size":          setSize,
	"backend":       setBackend,
	"labels":        setLabels,
	"node":          setNode,
	"mode":          setMode,
	"target":        setTarget,
	"reason":        setReason,
	"snapshot":      setSnapshot,
	"source":        setSource,
	"read_only":     setReadOnly,
	"id":            setID,
	"believe":       setBelieve,
	"name":          setName,
	"image":         setImage,
	"if_state":      setIfState,
	"if_generation": setIfGeneration,
	"deadline":      setDeadline,
	"validate_only": setValidateOnly,
}

// setField reads one field and names it in the error.
func setField(draft *volume.Command, name string, raw json.RawMessage) error {
	if string(raw) == "null" {
		return volume.Errorf(faultOf(name), "field %q: null", name)
	}
	err := setters[name](draft, raw)
	if err == nil {
		return nil
	}
	message := err.Error()
	if fault, ok := errors.AsType[*volume.Error](err); ok {
		message = fault.Message // without the code, which stands at the end once
	}
	return &volume.Error{Code: faultOf(name), Message: fmt.Sprintf("field %q: %s", name, message), Cause: err}
}

// faultOf returns the code of whatever is wrong with a field's value.
func faultOf(name string) volume.Code {
	switch name {
	case "size":
		return volume.ErrInvalidSize
	case "snapshot", "source", "id":
		return volume.ErrInvalidName
	default:
		return volume.ErrInvalidArgument
	}
}

// maxText bounds every text field before it is looked at and quoted, in bytes.
const maxText = 255

func text[T ~string](raw json.RawMessage) (T, error) {
	value, err := unquote(raw)
	if err != nil {
		return "", fmt.Errorf("%.40s: want a text", raw)
	}
	if len(value) > maxText {
		return "", fmt.Errorf("text of %d bytes: at most %d", len(value), maxText)
	}
	return T(value), nil
}

// unquote returns the text that raw, a JSON value in UTF-8, is. Most are without escapes and
// stand there as they are.
func unquote(raw json.RawMessage) (string, error) {
	if raw[0] == '"' && bytes.IndexByte(raw, '\\') < 0 {
		return string(raw[1 : len(raw)-1]), nil
	}
	var value string
	err := json.Unmarshal(raw, &value)
	return value, err
}

func setSize(draft *volume.Command, raw json.RawMessage) error {
	if err := draft.Args.Size.UnmarshalJSON(raw); err != nil {
		return err
	}
	return draft.Args.Size.ValidateSize()
}

func setBackend(draft *volume.Command, raw json.RawMessage) (err error) {
	if draft.Args.Backend, err = text[string](raw); err != nil {
		return err
	}
	return volume.ValidateBackend(draft.Args.Backend)
}

func setLabels(draft *volume.Command, raw json.RawMessage) error {
	var values map[string]*string // pointers, because null would pass for ""
	if err := json.Unmarshal(raw, &values); err != nil {
		return fmt.Errorf("%.40s: want an object of texts", raw)
	}
	labels := make(volume.Labels, len(values))
	for key, value := range values {
		if value == nil {
			return fmt.Errorf("label %.64q: null", key)
		}
		if len(key) > volume.MaxLabelKeyLength {
			return fmt.Errorf("label key of %d bytes: at most %d", len(key), volume.MaxLabelKeyLength)
		}
		labels[key] = *value
	}
	if len(labels) > 0 {
		draft.Args.Labels = labels
	}
	return labels.Validate()
}

func setNode(draft *volume.Command, raw json.RawMessage) (err error) {
	if draft.Args.Node, err = text[volume.Node](raw); err != nil {
		return err
	}
	return draft.Args.Node.Validate()
}

func setMode(draft *volume.Command, raw json.RawMessage) (err error) {
	if draft.Args.Mode, err = text[volume.Mode](raw); err != nil {
		return err
	}
	return draft.Args.Mode.Validate()
}

// derivedPrefix begins the ids of [volume.DerivedCommandID]. Publishers may not give
// such an id to a command, but they may cancel a command that has one.
const derivedPrefix = "seq-"

func setTarget(draft *volume.Command, raw json.RawMessage) (err error) {
	if draft.Args.Target, err = text[volume.CommandID](raw); err != nil {
		return err
	}
	return volume.CommandID(strings.TrimPrefix(string(draft.Args.Target), derivedPrefix)).Validate()
}

func setReason(draft *volume.Command, raw json.RawMessage) (err error) {
	if draft.Args.Reason, err = text[string](raw); err != nil {
		return err
	}
	return volume.ValidateReason(draft.Args.Reason)
}

func setSnapshot(draft *volume.Command, raw json.RawMessage) (err error) {
	if draft.Args.Snapshot, err = text[volume.SnapshotName](raw); err != nil {
		return err
	}
	return draft.Args.Snapshot.Validate()
}

func setSource(draft *volume.Command, raw json.RawMessage) error {
	key, err := text[string](raw)
	if err != nil {
		return err
	}
	draft.Args.Source, err = volume.ParseSnapshotKey(key)
	return err
}

func setReadOnly(draft *volume.Command, raw json.RawMessage) error {
	return setBool(&draft.Args.ReadOnly, raw)
}

func setID(draft *volume.Command, raw json.RawMessage) (err error) {
	if draft.Args.ID, err = text[volume.ID](raw); err != nil {
		return err
	}
	_, err = draft.Args.ID.Key()
	return err
}

func setBelieve(draft *volume.Command, raw json.RawMessage) (err error) {
	if draft.Args.Believe, err = text[volume.Side](raw); err != nil {
		return err
	}
	if draft.Args.Believe == "" {
		return fmt.Errorf("side %q: want %q", "", volume.BelieveBackend)
	}
	return draft.Args.Believe.Validate()
}

func setName(draft *volume.Command, raw json.RawMessage) (err error) {
	if draft.Args.Name, err = text[volume.Image](raw); err != nil {
		return err
	}
	return draft.Args.Name.Validate()
}

func setImage(draft *volume.Command, raw json.RawMessage) (err error) {
	if draft.Args.Image, err = text[volume.Image](raw); err != nil {
		return err
	}
	return draft.Args.Image.Validate()
}

func setIfState(draft *volume.Command, raw json.RawMessage) (err error) {
	if draft.IfState, err = text[volume.State](raw); err != nil {
		return err
	}
	if !slices.Contains(volume.States(), draft.IfState) {
		return fmt.Errorf("state %.40q: want one of %s", draft.IfState, list(volume.States()))
	}
	return nil
}

func setIfGeneration(draft *volume.Command, raw json.RawMessage) error {
	if err := json.Unmarshal(raw, &draft.IfGeneration); err != nil {
		return fmt.Errorf("%.40s: want an integer of 64 bits, 0 or more", raw)
	}
	return nil
}

// deadlinePattern is the form of RFC 3339 to the letter. Package time also takes an hour
// of one digit and a comma before the fraction.
var deadlinePattern = regexp.MustCompile(`^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(?:\.\d+)?(?:Z|[+-]\d\d:\d\d)$`)

// setDeadline keeps the deadline in UTC, as it is written again.
func setDeadline(draft *volume.Command, raw json.RawMessage) error {
	stamp, err := text[string](raw)
	if err != nil {
		return err
	}
	var deadline time.Time
	if err := deadline.UnmarshalText([]byte(stamp)); err != nil || !deadlinePattern.MatchString(stamp) {
		return fmt.Errorf("%.40q: want a time of RFC 3339 like 2030-01-31T12:00:00Z", stamp)
	}
	draft.Deadline = deadline.UTC()
	if year := draft.Deadline.Year(); draft.Deadline.IsZero() || year < 1 || year > 9999 {
		return fmt.Errorf("%.40q: out of range", stamp)
	}
	return nil
}

func setValidateOnly(draft *volume.Command, raw json.RawMessage) error {
	return setBool(&draft.ValidateOnly, raw)
}

func setBool(value *bool, raw json.RawMessage) error {
	if err := json.Unmarshal(raw, value); err != nil {
		return fmt.Errorf("%.40s: want true or false", raw)
	}
	return nil
}
