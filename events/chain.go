package events

import (
	"bytes"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"fmt"

	"github.com/jetvol/jetvol/volume"
)

// invalidText is how encoding/json writes a byte that is not UTF-8. Read back it is another
// text, U+FFFD, which is written as it is.
var invalidText = []byte(`\ufffd`)

// Chain sets the transition's Previous, and returns its own hash: the Previous of the volume's
// next event. A transition is stored in a record first and encoded anew from there when its
// event is published after a crash, so text that would not come back as the same bytes is
// replaced here by what would come back.
func Chain(t *volume.Transition, previous string) (hash string, err error) {
	hash, _, err = ChainEncoded(t, previous)
	return hash, err
}

// ChainEncoded is [Chain] and returns the event as it is encoded too, for
// [Publisher.StartEncoded]. It stays true only as long as the transition is not changed.
func ChainEncoded(t *volume.Transition, previous string) (hash string, event []byte, err error) {
	t.Previous = previous
	event, data, err := encode(t)
	if err != nil {
		return "", nil, err
	}
	if bytes.Contains(data, invalidText) {
		var readBack volume.Transition
		if err := json.Unmarshal(data, &readBack); err != nil {
			return "", nil, fmt.Errorf("decode event %s: %w", t.ID, err)
		}
		*t = readBack
		if event, data, err = encode(t); err != nil {
			return "", nil, err
		}
	}
	return hashOf(data), event, nil
}

// Hash returns the hash of an event as it lies on the stream: of the bytes of its data. Of
// what is no event it is that of the whole: it too has its place in a chain.
func Hash(event []byte) string {
	var envelope struct {
		Data json.RawMessage `json:"data"`
	}
	if err := json.Unmarshal(event, &envelope); err != nil || envelope.Data == nil {
		return hashOf(event)
	}
	return hashOf(envelope.Data)
}

func hashOf(data []byte) string {
	sum := sha256.Sum256(data)
	return hex.EncodeToString(sum[:])
}
