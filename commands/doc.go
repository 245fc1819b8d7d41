// Package commands is how a volume is asked to change: the subjects and headers of a
// command, its JSON payload, the stream that keeps it, the reply that ends it, and a
// [Client] for services. It links the standard library and nats.go only.
//
// # A command on the wire
//
// A publisher sends a JSON object, or nothing, to
//
//	volume.command.<project>.<volume>.<verb>
//
// The stream [StreamName] stores it under
//
//	volume.command.<partition>.<project>.<volume>.<verb>
//
// so that all commands of one volume lie in one of [Partitions] partitions, in the order
// in which they were published. Four headers go with it, all of them optional:
//
//	Nats-Msg-Id   the command's id: the same id again is the same command
//	Jetvol-Actor  who asks, as the publisher tells it
//	Jetvol-Reply  the subject on which the publisher waits for the [Reply]
//	traceparent   the W3C trace context of the publisher
//
// [Decode] reads that, and refuses everything that it does not know rather than guess:
// a command that is carried out is exactly the one that was meant. [NewMessage] and
// [Encode] are its inverse. [Schema] has the payloads as JSON Schema.
package commands
