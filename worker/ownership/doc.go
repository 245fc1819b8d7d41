// Package ownership shares partitions among the live workers, without a leader.
//
// Every worker keeps a lease in the bucket `leases`: a record `worker.<id>` that expires
// unless it is renewed. All workers watch the leases, and each computes from the same
// members the same assignment of partitions ([Assign]). A worker takes a partition that
// is assigned to it once no other lease says that it is held ([Member.Acquire]); it
// gives one up that is assigned to another, or all when it drains ([Claim.Lost]).
//
// What a worker is in the middle of when it gives a partition up stays with it: its
// lease names those volumes as busy, and the next owner lets them rest
// ([Member.AwaitIdle]) while it goes on with all others.
//
// None of this is a lock. Views differ for moments, a stopped process does not know
// that its lease has run out. That two workers never both change a volume is for the
// compare-and-set of the volume's record, and for the fence of the backend.
package ownership
