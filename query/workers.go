package query

import (
	"cmp"
	"context"
	"hash/fnv"
	"slices"
	"strings"

	"github.com/jetvol/jetvol/commands"
	"github.com/jetvol/jetvol/volume"
	"github.com/jetvol/jetvol/worker/ownership"
)

// Workers returns the live workers; see [Reader].
func (l *Local) Workers(ctx context.Context) (WorkersReply, error) {
	leases, err := l.live(ctx)
	if err != nil {
		return WorkersReply{}, err
	}
	reply := WorkersReply{Workers: []Worker{}, Consistency: Leader}
	for _, lease := range leases {
		reply.Workers = append(reply.Workers, Worker{
			Worker: lease.Worker, Instance: lease.Instance, JoinedAt: lease.JoinedAt,
			Draining: lease.Draining, Partitions: nonNil(lease.Partitions), Busy: lease.Busy,
		})
	}
	return reply, nil
}

func nonNil[T any](values []T) []T {
	if values == nil {
		return []T{}
	}
	return values
}

// live returns the leases of the workers that live, by name.
func (l *Local) live(ctx context.Context) ([]ownership.Lease, error) {
	entries, _, err := l.leases.ListCurrent(ctx, ownership.LeaseKey(">"))
	if err != nil {
		return nil, err
	}
	leases := make([]ownership.Lease, 0, len(entries))
	for _, entry := range entries {
		leases = append(leases, entry.Value)
	}
	slices.SortFunc(leases, func(a, b ownership.Lease) int { return cmp.Compare(a.Worker, b.Worker) })
	return leases, nil
}

// Partitions returns who takes the commands of each partition; see [Reader].
func (l *Local) Partitions(ctx context.Context) (PartitionsReply, error) {
	leases, err := l.live(ctx)
	if err != nil {
		return PartitionsReply{}, err
	}
	reply := PartitionsReply{Partitions: []Partition{}, Consistency: Leader}
	for number := range commands.Partitions {
		owner := ownerOf(leases, number)
		if owner == "" {
			reply.Unowned++
		}
		reply.Partitions = append(reply.Partitions, Partition{Partition: number, Worker: owner})
	}
	return reply, nil
}

// ownerOf returns the worker that takes commands from the partition, or nothing.
func ownerOf(leases []ownership.Lease, partition int) string {
	for _, lease := range leases {
		if slices.Contains(lease.Partitions, partition) {
			return lease.Worker
		}
	}
	return ""
}

// partitionOf returns the partition that the command stream puts a volume's commands
// into: what the server's partition(16,1,2) computes.
func partitionOf(key volume.Key) int {
	hash := fnv.New32a()
	_, _ = hash.Write([]byte(string(key.Project) + string(key.Name))) // never fails
	return int(hash.Sum32() % commands.Partitions)
}

// commandFilter selects the stored commands of a volume.
func commandFilter(key volume.Key) string {
	of := commands.Address{Partition: partitionOf(key), Key: key, Verb: "*"}
	return of.Subject()
}

// deadFilter selects the dead letters of a volume.
func deadFilter(key volume.Key) string {
	const placeholder = "x"
	subject := commands.DeadSubject(commands.Address{Key: key, Verb: placeholder})
	return strings.TrimSuffix(subject, placeholder) + "*"
}
