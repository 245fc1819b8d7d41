package commands

import (
	"hash/fnv"
	"io"
	"regexp"
	"slices"
	"strconv"
	"strings"

	"github.com/jetvol/jetvol/volume"
)

const (
	commandPrefix = "volume.command."
	deadPrefix    = "volume.dead."
	eventPrefix   = "volume.event."
)

// Partitions is the number of partitions of the command stream. Stored commands keep
// the number that they were given: drain the stream before this is changed.
const Partitions = 16

// PartitionOf returns the partition in which the server stores the volume's commands, 0 to
// [Partitions]-1. It is the server's own partition(16,1,2): FNV-1a, 32 bits, over the
// project and the name with nothing between them.
func PartitionOf(key volume.Key) int {
	sum := fnv.New32a()
	_, _ = io.WriteString(sum, string(key.Project)+string(key.Name)) // a hash takes everything
	return int(sum.Sum32() % Partitions)
}

// VolumeFilter returns the filter that selects the stored commands of one volume.
func VolumeFilter(key volume.Key) string {
	return commandPrefix + strconv.Itoa(PartitionOf(key)) + "." + key.String() + ".*"
}

// Address is what a stored command's subject says.
type Address struct {
	Partition int
	Key       volume.Key
	Verb      volume.Verb
}

// Subject returns the subject on which a command for the volume is published. It
// checks nothing: see [volume.Key.Validate].
func Subject(key volume.Key, verb volume.Verb) string {
	return commandPrefix + key.String() + "." + string(verb)
}

// Subject returns the subject under which the stream stores the command.
func (a Address) Subject() string {
	return commandPrefix + strconv.Itoa(a.Partition) + "." + a.Key.String() + "." + string(a.Verb)
}

// PartitionFilter returns the filter that selects the stored commands of one partition,
// 0 to [Partitions]-1.
func PartitionFilter(partition int) string {
	return commandPrefix + strconv.Itoa(partition) + ".>"
}

// ParseSubject reads the subject of a stored command. It returns
// [volume.ErrInvalidArgument] if the subject does not have the stored form,
// [volume.ErrInvalidName] or [volume.ErrUnknownVerb]. In the latter two cases the
// address holds what the subject says, for an answer and a dead letter.
func ParseSubject(stored string) (Address, error) {
	tokens := strings.Split(stored, ".")
	if len(tokens) != 6 || !strings.HasPrefix(stored, commandPrefix) {
		return Address{}, volume.Errorf(volume.ErrInvalidArgument, "subject %.100q: want %s<partition>.<project>.<volume>.<verb>", stored, commandPrefix)
	}
	partition, err := strconv.Atoi(tokens[2])
	if err != nil || strconv.Itoa(partition) != tokens[2] || partition < 0 || partition >= Partitions {
		return Address{}, volume.Errorf(volume.ErrInvalidArgument, "subject %.100q: partition %.20q: want 0 to %d", stored, tokens[2], Partitions-1)
	}
	address := Address{
		Partition: partition,
		Key:       volume.Key{Project: volume.Project(tokens[3]), Name: volume.Name(tokens[4])},
		Verb:      volume.Verb(tokens[5]),
	}
	return address, address.validate()
}

func (a Address) validate() error {
	if err := a.Key.Validate(); err != nil {
		return err
	}
	return validateVerb(a.Verb)
}

func validateVerb(verb volume.Verb) error {
	if !slices.Contains(volume.Verbs(), verb) {
		return volume.Errorf(volume.ErrUnknownVerb, "verb %.40q: want one of %s", verb, list(volume.Verbs()))
	}
	return nil
}

// deadToken is what may stand in a dead letter's subject as it came.
var deadToken = regexp.MustCompile(`^[A-Za-z0-9_-]{1,63}$`)

// DeadSubject returns the subject of the dead letter of a command with the given
// address: volume.dead.<project>.<volume>.<verb>. Names and verbs may be invalid here;
// one that is not made of letters, digits, '_' and '-' stands as "_", so that the
// subject can always be published on.
func DeadSubject(a Address) string {
	tokens := []string{string(a.Key.Project), string(a.Key.Name), string(a.Verb)}
	for i, token := range tokens {
		if !deadToken.MatchString(token) {
			tokens[i] = "_"
		}
	}
	return deadPrefix + strings.Join(tokens, ".")
}

// eventFilter selects the committed events of one volume.
func eventFilter(key volume.Key) string { return eventPrefix + key.String() + ".*" }

// list returns the values as people read them: "a, b, c".
func list[T ~string](values []T) string {
	texts := make([]string, len(values))
	for i, value := range values {
		texts[i] = string(value)
	}
	return strings.Join(texts, ", ")
}
