// Package snapshots keeps what was made from what: the snapshots of volumes and the
// clones that were made of them, with the semantics of containerd's snapshot store.
//
// A project has one space of keys. An entry is of one of three kinds: an active one is a
// writable clone, a view a read-only one, and a committed one is immutable and may be
// the parent of others. A key is `name` or `name@name`. The snapshot S of volume V is
// the committed entry V@S, a clone W of it the active entry W with the parent V@S, a
// read-only clone a view. A volume that is no clone has no entry. What shares content
// through a common origin has that origin as its parent: the snapshots of a clone have
// the clone's own parent, and the live head of a volume is no child of its snapshots.
//
// # Transactions
//
// Everything is read and changed in a transaction:
//
//	err := store.Update(ctx, "default", func(tx *snapshots.Tx) error {
//		_, err := tx.Create(ctx, snapshots.Active, clone, origin)
//		return err
//	})
//
// A transaction reads from the stream's leader, collects its changes in memory, and
// stores all of them or none in one batch ([kv.Batch]), on condition that every entry
// that it changed, or looked up, is as it was. Readers never see a part of it. Clones of
// one parent do not exclude each other: making one expects the parent to be unchanged
// and does not change it.
//
// # How the keys lie in the bucket
//
// The entry of V@S is under `<project>.e.V.S`, that of V under `<project>.e.V._`, so that
// the snapshots of a volume have a common prefix. For each entry with a parent there is
// a link under `<project>.c.<parent>.<child>`, both of two parts in the same manner. It
// is written and deleted in the same batch as the entry. So "the children of P" and
// "the snapshots of V" cost as much as their answer, and not as much as the store.
//
// The fence of volume V is under `<project>.f.V`: see [Store.Fence]. There is one for each
// volume that was ever taken over in the middle of such an operation.
//
// An entry may be removed only if it has no children. The batch that removes it, or
// marks it as being removed, is conditional on the last message under its links: a link
// that was added since makes it fail. A link that is still in flight cannot slip
// through, because its batch expects the parent that this one writes, and the server
// lets only one batch at a time depend on a key.
package snapshots
