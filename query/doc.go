// Package query answers questions about volumes and workers. Every worker process runs
// the NATS micro service [ServiceName]; all of them together are one queue group, so each
// request is answered once, by any of them. [Client] asks from Go; from a shell it is
//
//	nats req volume.query.get '{"project":"default","volume":"db-01"}'
//
// A request is a JSON object, or nothing where every field is optional. A field that the
// endpoint does not know is refused with its name. The reply is a JSON object; one that
// tells an error has the headers of the micro protocol and an [ErrorReply] as its body.
// The schemas of both stand in the metadata of the endpoint, where `nats micro info`
// shows them, and come from [RequestSchema] and [ReplySchema].
//
// [Local] reads the same from the buckets and streams itself. The service stands on it,
// and so can a program whose permissions allow it when no worker lives.
//
// What it says is told in the reply's consistency: [Leader] means that the leader of the
// bucket was read, so the answer holds every write that was acknowledged before the
// question; [Replica] means that it may be older.
package query
