package events

import (
	"bytes"
	"encoding/json"
	"fmt"
	"time"

	"github.com/jetvol/jetvol/volume"
)

// Attributes of every event, after the CloudEvents specification 1.0.
const (
	SpecVersion     = "1.0"
	Source          = "/jetvol"
	TypePrefix      = "io.jetvol.volume."
	DataContentType = "application/json"
	DataSchema      = "urn:jetvol:event:volume:1"
	// ContentType is the message's content type in structured mode.
	ContentType = "application/cloudevents+json"
)

// Envelope is an event as it lies on the stream: CloudEvents 1.0, structured JSON.
type Envelope struct {
	Attributes
	Data volume.Transition `json:"data"`
}

// Attributes are what an event says apart from its data. Source and ID together are unique;
// the ID is `<project>.<volume>/<generation>`, or `<project>.<volume>/rejected/<command id>`
// for a refused command.
type Attributes struct {
	SpecVersion     string    `json:"specversion"`
	ID              string    `json:"id"`
	Source          string    `json:"source"`
	Type            string    `json:"type"`
	Subject         string    `json:"subject"`
	Time            time.Time `json:"time"`
	DataContentType string    `json:"datacontenttype"`
	DataSchema      string    `json:"dataschema"`
	TraceParent     string    `json:"traceparent,omitempty"` // the distributed tracing extension
}

// Wrap returns the transition's event.
func Wrap(t volume.Transition) Envelope { return Envelope{Attributes: attributesOf(&t), Data: t} }

func attributesOf(t *volume.Transition) Attributes {
	return Attributes{
		SpecVersion:     SpecVersion,
		ID:              t.ID,
		Source:          Source,
		Type:            TypePrefix + string(t.Event),
		Subject:         t.Key.String(),
		Time:            t.Time,
		DataContentType: DataContentType,
		DataSchema:      DataSchema,
		TraceParent:     t.TraceParent,
	}
}

// usualSize is what most events have room in, in bytes.
const usualSize = 1024

// Encode returns the transition's event as JSON.
func Encode(t volume.Transition) ([]byte, error) {
	event, _, err := encode(&t)
	return event, err
}

// encode returns the transition's event as JSON, and of it the data. They come last, so that
// they can be put behind the attributes, and need not be encoded once more for their hash.
func encode(t *volume.Transition) (event, data []byte, err error) {
	var text bytes.Buffer
	text.Grow(usualSize)
	encoder := json.NewEncoder(&text) // which ends each value with a line feed
	if err := encoder.Encode(attributesOf(t)); err != nil {
		return nil, nil, fmt.Errorf("encode event %s: %w", t.ID, err)
	}
	text.Truncate(text.Len() - len("}\n"))
	text.WriteString(`,"data":`)
	before := text.Len()
	if err := encoder.Encode(t); err != nil {
		return nil, nil, fmt.Errorf("encode event %s: %w", t.ID, err)
	}
	event = text.Bytes()
	last := len(event) - 1
	event[last] = '}'
	return event, event[before:last], nil
}

// Decode reads an event. It returns a [volume.ErrInvalidPayload] if data is not JSON,
// not CloudEvents 1.0, not an event of jetvol, or if its envelope contradicts its data.
func Decode(data []byte) (Envelope, error) {
	var e Envelope
	if err := json.Unmarshal(data, &e); err != nil {
		return Envelope{}, volume.Errorf(volume.ErrInvalidPayload, "decode event: %w", err)
	}
	var fault string
	switch want := Wrap(e.Data); {
	case e.SpecVersion != SpecVersion:
		fault = fmt.Sprintf("specversion %q: want %q", e.SpecVersion, SpecVersion)
	case e.DataSchema != DataSchema:
		fault = fmt.Sprintf("dataschema %q: want %q", e.DataSchema, DataSchema)
	case e.ID == "" || e.ID != want.ID:
		fault = fmt.Sprintf("id %q: the data says %q", e.ID, want.ID)
	case e.Source != want.Source:
		fault = fmt.Sprintf("source %q: want %q", e.Source, want.Source)
	case e.Type != want.Type:
		fault = fmt.Sprintf("type %q: the data says %q", e.Type, want.Type)
	case e.Subject != want.Subject:
		fault = fmt.Sprintf("subject %q: the data says %q", e.Subject, want.Subject)
	case e.Data.Key.Validate() != nil:
		fault = e.Data.Key.Validate().Error()
	default:
		return e, nil
	}
	return Envelope{}, volume.Errorf(volume.ErrInvalidPayload, "decode event: %s", fault)
}
