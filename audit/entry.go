package audit

import (
	"bytes"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"strconv"
	"strings"

	"github.com/jetvol/jetvol/events"
	"github.com/jetvol/jetvol/volume"
)

// digest is a SHA-256. The zero value stands for none.
type digest [sha256.Size]byte

func (d digest) String() string {
	if d == (digest{}) {
		return ""
	}
	return hex.EncodeToString(d[:])
}

// short is enough of it for people to tell two apart.
func (d digest) short() string { return d.String()[:min(len(d.String()), shortDigest)] }

const shortDigest = 12

// parseDigest reads 64 hexadecimal digits, or none.
func parseDigest(text string) (d digest, ok bool) {
	if text == "" {
		return d, true
	}
	if len(text) != hex.EncodedLen(len(d)) {
		return d, false
	}
	_, err := hex.Decode(d[:], []byte(text))
	return d, err == nil
}

// content is what an event and its record have to agree on: id, state and spec.
type content [16]byte

func contentOf(id volume.ID, state volume.State, spec []byte) content {
	text := make([]byte, 0, len(id)+len(state)+len(spec)+2)
	text = append(append(text, id...), 0)
	text = append(append(text, state...), 0)
	sum := sha256.Sum256(append(text, spec...))
	return content(sum[:len(content{})])
}

// entry is what an audit reads of one event.
type entry struct {
	sequence   uint64 // 0 of one that is still in the outbox
	volume     string // <project>.<name>, of the subject
	id         string
	command    volume.CommandID
	event      volume.Event
	from, to   volume.State
	generation uint64
	life       volume.ID
	previous   digest
	hash       digest
	content    content
	spec       []byte // only where one volume is looked at
	// fault is what is wrong with the event by itself.
	fault  Kind
	detail string
}

func (e *entry) rejected() bool { return e.event == volume.EventRejected }

// mayExpire reports whether the record that was written with the event may be gone: that of
// a name under which no volume lives.
func (e *entry) mayExpire() bool { return e.to == volume.StateDeleted || e.life == "" }

// wire is the part of an event that is read. Data is taken as it stands: its bytes are what
// is hashed.
type wire struct {
	SpecVersion string          `json:"specversion"`
	ID          string          `json:"id"`
	Type        string          `json:"type"`
	Subject     string          `json:"subject"`
	DataSchema  string          `json:"dataschema"`
	ContentType string          `json:"datacontenttype"`
	Source      string          `json:"source"`
	Time        json.RawMessage `json:"time"`
	TraceParent json.RawMessage `json:"traceparent"`
	Data        json.RawMessage `json:"data"`
}

type wireData struct {
	ID string `json:"id"`
	volume.Key
	VolumeID   volume.ID        `json:"volume_id"`
	Event      volume.Event     `json:"event"`
	From       volume.State     `json:"from"`
	To         volume.State     `json:"to"`
	Generation uint64           `json:"generation"`
	CommandID  volume.CommandID `json:"command_id"`
	Previous   string           `json:"previous"`
	Spec       json.RawMessage  `json:"volume"`

	Time        json.RawMessage `json:"time"`
	TraceParent json.RawMessage `json:"traceparent"`
}

// subjectPrefix begins the subjects of stored events.
var subjectPrefix = strings.TrimSuffix(events.Subject(volume.Key{}, ""), "..")

// volumeOf returns `<project>.<volume>` of an event's subject.
func volumeOf(subject string) (name string, event volume.Event) {
	rest := strings.TrimPrefix(subject, subjectPrefix)
	cut := strings.LastIndexByte(rest, '.')
	if cut < 0 {
		return rest, ""
	}
	return rest[:cut], volume.Event(rest[cut+1:])
}

// readEntry reads a stored event.
func readEntry(subject string, sequence uint64, data []byte) entry {
	e := entry{sequence: sequence}
	e.volume, e.event = volumeOf(subject)
	if e.readCommon(data) {
		return e
	}
	var outer wire
	var inner wireData
	err := json.Unmarshal(data, &outer)
	if err == nil && outer.Data == nil {
		err = fmt.Errorf("it has no data")
	}
	if err == nil {
		err = json.Unmarshal(outer.Data, &inner)
	}
	if err != nil {
		e.hash = sha256.Sum256(data)
		e.fault, e.detail = Undecodable, err.Error()
		return e
	}
	e.fill(inner, outer.Data)
	if e.fault == "" {
		e.agree(subject, outer, inner)
	}
	return e
}

// readCommon reads an event whose envelope is, byte for byte, the one that jetvol puts around
// such data, and which therefore needs no reading. It returns false for any other.
func (e *entry) readCommon(event []byte) bool {
	const mark = `,"data":`
	cut := bytes.Index(event, []byte(mark))
	if cut < 0 || event[len(event)-1] != '}' {
		return false
	}
	data := event[cut+len(mark) : len(event)-1]
	var d wireData
	if err := json.Unmarshal(data, &d); err != nil || string(d.Project)+"."+string(d.Name) != e.volume || d.Event != e.event {
		return false
	}
	id := make([]byte, 0, len(d.ID))
	if d.Event == volume.EventRejected {
		id = append(append(append(id, e.volume...), "/rejected/"...), d.CommandID...)
	} else {
		id = strconv.AppendUint(append(append(id, e.volume...), '/'), d.Generation, 10)
	}
	envelope := make([]byte, 0, cut)
	for _, part := range [...]string{
		`{"specversion":"`, events.SpecVersion, `","id":"`, d.ID, `","source":"`, events.Source, `","type":"`, events.TypePrefix,
		string(d.Event), `","subject":"`, e.volume, `","time":`, string(d.Time), `,"datacontenttype":"`, events.DataContentType,
		`","dataschema":"`, events.DataSchema, `"`,
	} {
		envelope = append(envelope, part...)
	}
	if d.TraceParent != nil {
		envelope = append(append(envelope, `,"traceparent":`...), d.TraceParent...)
	}
	if d.ID != string(id) || !bytes.Equal(envelope, event[:cut]) {
		return false
	}
	e.fill(d, data)
	return true
}

// outboxEntry reads an event that is still in its record.
func outboxEntry(name string, t volume.Transition) (entry, error) {
	data, err := json.Marshal(t)
	if err != nil {
		return entry{}, err
	}
	var inner wireData
	if err := json.Unmarshal(data, &inner); err != nil {
		return entry{}, err
	}
	e := entry{volume: name}
	e.fill(inner, data)
	return e, nil
}

func (e *entry) fill(d wireData, data []byte) {
	e.id, e.command, e.event, e.from, e.to, e.generation, e.life = d.ID, d.CommandID, d.Event, d.From, d.To, d.Generation, d.VolumeID
	e.hash = sha256.Sum256(data)
	e.content = contentOf(d.VolumeID, d.To, d.Spec)
	e.spec = d.Spec
	var ok bool
	if e.previous, ok = parseDigest(d.Previous); !ok {
		e.fault, e.detail = AlteredEvent, fmt.Sprintf("previous %.80q is no hash", d.Previous)
	}
}

// agree finds what the parts of an event say differently.
func (e *entry) agree(subject string, outer wire, d wireData) {
	wantID := fmt.Sprintf("%s/%d", d.Key, d.Generation)
	if d.Event == volume.EventRejected {
		wantID = fmt.Sprintf("%s/rejected/%s", d.Key, d.CommandID)
	}
	for _, part := range []struct{ what, got, want string }{
		{"specversion", outer.SpecVersion, events.SpecVersion},
		{"dataschema", outer.DataSchema, events.DataSchema},
		{"datacontenttype", outer.ContentType, events.DataContentType},
		{"source", outer.Source, events.Source},
		{"time", string(outer.Time), string(d.Time)},
		{"traceparent", string(outer.TraceParent), string(d.TraceParent)},
		{"subject of the message", subject, events.Subject(d.Key, d.Event)},
		{"subject", outer.Subject, d.Key.String()},
		{"type", outer.Type, events.TypePrefix + string(d.Event)},
		{"id", outer.ID, d.ID},
		{"id", d.ID, wantID},
	} {
		if part.got != part.want {
			e.fault, e.detail = AlteredEvent, fmt.Sprintf("%s is %.200q, by its data it is %.200q", part.what, part.got, part.want)
			return
		}
	}
}
