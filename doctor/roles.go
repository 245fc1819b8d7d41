package doctor

import (
	"github.com/jetvol/jetvol/commands"
	"github.com/jetvol/jetvol/events"
	"github.com/jetvol/jetvol/volume"
)

// Role is a kind of user, as subjects.md tells them.
type Role string

// The roles.
const (
	Worker    Role = "worker"    // carries out commands
	Publisher Role = "publisher" // sends commands of a project and gets the answers
	Auditor   Role = "auditor"   // reads records and events and changes nothing
	Operator  Role = "operator"  // sends commands of any project and settles dead letters
	// Provisioner makes and changes streams and buckets.
	Provisioner Role = "provisioner"
)

// Roles returns all roles.
func Roles() []Role { return []Role{Worker, Publisher, Auditor, Operator, Provisioner} }

// need is a subject that a role has to be allowed, in an example.
type need struct {
	subject   string
	subscribe bool
	// untried needs are left out where the server does not tell what the user may do: to
	// try them might have an effect.
	untried bool
}

func (n need) String() string {
	if n.subscribe {
		return "subscribe to " + n.subject
	}
	return "publish on " + n.subject
}

// nobody is a volume, consumer or lease that there need not be.
const nobody = "doctor"

// needs returns what the role needs for the project. The JetStream API is below the prefix
// api, and the inbox is where a user gets answers.
func (r Role) needs(project, api, inbox string) []need {
	key := volume.Key{Project: volume.Project(project), Name: nobody}
	answers := need{subject: inbox, subscribe: true}
	command := need{subject: commands.Subject(key, volume.VerbCreate)}
	switch r {
	case Worker:
		return append(workerNeeds(key, api), answers)
	case Publisher:
		return []need{command, answers}
	case Auditor:
		return []need{
			{subject: events.Subject(key, volume.EventReady), subscribe: true},
			{subject: api + apiStream + events.StreamName},
			{subject: api + "CONSUMER.CREATE." + events.StreamName + "." + nobody + ".volume.event.>"},
			{subject: api + "CONSUMER.MSG.NEXT." + events.StreamName + "." + nobody},
			{subject: api + apiMessage + "KV_volumes"},
			answers,
		}
	case Operator:
		return []need{
			command,
			{subject: api + apiStream + commands.DeadLetterStreamName},
			{subject: api + "CONSUMER.CREATE." + commands.DeadLetterStreamName + "." + nobody},
			{subject: api + "STREAM.MSG.DELETE." + commands.DeadLetterStreamName},
			{subject: ackSubject(commands.DeadLetterStreamName)}, // a long list is read in windows
			{subject: "$KV.quotas." + project},
			{subject: "$KV.drift." + key.String()},
			{subject: "$KV.checkpoints.a." + key.String()},
			answers,
		}
	case Provisioner:
		return []need{
			{subject: api + apiStream + events.StreamName},
			{subject: api + "STREAM.CREATE." + events.StreamName},
			{subject: api + "STREAM.UPDATE." + events.StreamName},
			answers,
		}
	}
	return nil
}

func workerNeeds(key volume.Key, api string) []need {
	const partition = "partition-0"
	return []need{
		{subject: events.PublishSubject(key, volume.EventReady)},
		{subject: commands.DeadSubject(commands.Address{Key: key, Verb: volume.VerbCreate})},
		{subject: "$KV.volumes." + key.String()},
		{subject: "$KV.outcomes." + key.String() + ".id"},
		{subject: "$KV.leases.worker." + nobody},
		{subject: "$KV.snapshots." + string(key.Project) + ".e." + nobody + ".s"},
		{subject: "$KV.drift." + key.String()},
		{subject: "$KV.quotas." + string(key.Project)},
		{subject: "volume.query.get", subscribe: true},
		{subject: api + apiStream + commands.StreamName},
		{subject: api + apiMessage + "KV_volumes"},
		{subject: api + "CONSUMER.CREATE." + commands.StreamName + "." + partition + "." + commands.PartitionFilter(0), untried: true},
		{subject: api + "CONSUMER.UNPIN." + commands.StreamName + "." + partition, untried: true},
		{subject: api + "CONSUMER.RESET." + commands.StreamName + "." + partition, untried: true},
		{subject: api + "CONSUMER.MSG.NEXT." + commands.StreamName + "." + partition, untried: true},
		{subject: ackSubject(commands.StreamName)},
	}
}

// ackSubject acknowledges a message to a consumer that there is not.
func ackSubject(stream string) string { return "$JS.ACK." + stream + "." + nobody + ".1.1.1.1.0" }
