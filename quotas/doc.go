// Package quotas bounds what the volumes of a project may use: how many there are, their
// bytes, and their snapshots.
//
// The limits of a project and what is used of them stand in one record, its [Ledger], in
// the bucket [kv.QuotasBucket]. Workers change it by compare-and-set only, so that of two
// creates for the last place one is refused, whichever workers they come to. A project
// without a ledger has no quota, and costs nothing.
//
// What is used is the sum of [Of] over the volumes' records, and of what is reserved:
//
//	decide ──▶ Reserve: used += what the command adds, and an entry in pending
//	       ──▶ store the record, with the revision at which was reserved ──▶ … ──▶ end
//	       ──▶ Settle: the entry goes, used is corrected by the record as it is now
//	       ──▶ reply, acknowledge
//
// A refusal is as sure as a reservation: the ledger is stored for it too, unchanged, in the
// same compare-and-set with what else is asked for at the time. Without it a refusal would rest
// on a watch that lags, or on the answer of a server that does not know that it leads no more.
//
// A worker that dies leaves at most an entry. Its command is not acknowledged, so it comes
// again, and finds the entry. That the record holds the revision of its reservation
// ([volume.Record].Reserved) tells, whoever looks, an entry that the record was built on
// from one that was not used: a worker that was stopped, and reserves for a command that
// another one has ended meanwhile, loses the compare-and-set of the record, and its entry
// is taken back exactly.
//
// What is used can be derived from the records at any time ([Client.Verify]), and is when a
// project gets its first quota ([Client.Set]).
package quotas
