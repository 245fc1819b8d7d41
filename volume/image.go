package volume

import (
	"crypto/sha256"
	"encoding/hex"
	"regexp"
	"strings"
)

// MaxImageLength is the greatest length of an [Image], in bytes: that of a name in RBD
// (RBD_MAX_IMAGE_NAME_SIZE of librbd, which counts a final NUL).
const MaxImageLength = 95

// Image is the name of something that a backend keeps and jetvol does not look after. A
// backend may take fewer of them.
type Image string

// No separator, nothing that a shell or a configuration file treats as special, no hidden
// file and no option: the name is that of a file where the backend is a directory.
var imagePattern = regexp.MustCompile(`^[A-Za-z0-9_][A-Za-z0-9._+-]{0,94}$`)

// Validate returns an [ErrInvalidArgument] unless n is 1 to [MaxImageLength] of letters,
// digits, '.', '_', '+' and '-', begins with a letter, a digit or '_', and has no "..".
func (n Image) Validate() error {
	if !imagePattern.MatchString(string(n)) || strings.Contains(string(n), "..") {
		return Errorf(ErrInvalidArgument, "image %.100q: want 1 to %d of letters, digits, '_', '.', '+' and '-', the first no sign, without \"..\"", n, MaxImageLength)
	}
	return nil
}

// ReleasedPrefix begins the names of [ReleasedImage].
const ReleasedPrefix = "released-"

// ReleasedImage is what a backend keeps a volume as that jetvol has let go of, if nobody said
// another name: "released-" and the ID of its life, so that no two share one. One that is
// too long ends with '_' and the first half of the SHA-256 of the ID in hex.
func ReleasedImage(id ID) Image {
	name := ReleasedPrefix + string(id)
	if len(name) <= MaxImageLength {
		return Image(name)
	}
	sum := sha256.Sum256([]byte(id))
	digest := "_" + hex.EncodeToString(sum[:sha256.Size/2])
	return Image(name[:MaxImageLength-len(digest)] + digest)
}
