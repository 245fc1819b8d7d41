package ownership_test

import (
	"fmt"
	"math/rand/v2"
	"slices"
	"testing"

	"pgregory.net/rapid"

	"github.com/jetvol/jetvol/worker/ownership"
)

const partitions = 16

func names(n int) []string {
	members := make([]string, n)
	for i := range members {
		members[i] = fmt.Sprintf("worker-%d", i)
	}
	return members
}

// TestAssign_SharesDifferByOne: every partition has an owner, nobody is idle while
// another has two, and the order in which members are known does not matter.
func TestAssign_SharesDifferByOne(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		members := rapid.SliceOfNDistinct(rapid.StringMatching(`[a-z0-9]{1,12}`), 1, 24, rapid.ID).Draw(t, "members")
		owners := ownership.Assign(members, partitions)
		load := map[string]int{}
		for partition, owner := range owners {
			if !slices.Contains(members, owner) {
				t.Fatalf("partition %d: owner %q is no member", partition, owner)
			}
			load[owner]++
		}
		least, most := partitions, 0
		for _, member := range members {
			least, most = min(least, load[member]), max(most, load[member])
		}
		if most-least > 1 {
			t.Fatalf("%d members: shares from %d to %d", len(members), least, most)
		}
		rand.Shuffle(len(members), func(i, j int) { members[i], members[j] = members[j], members[i] })
		if again := ownership.Assign(members, partitions); !slices.Equal(again, owners) {
			t.Fatalf("in another order: got %v, first %v", again, owners)
		}
	})
}

func TestAssign_Nobody(t *testing.T) {
	if got := ownership.Assign(nil, 2); !slices.Equal(got, []string{"", ""}) {
		t.Errorf("got %q, want no owners", got)
	}
}

// TestAssign_Change_MovesLittle: what moves when a worker joins or leaves. The least
// possible is the share of that worker, and moving everything is what a modulus does.
func TestAssign_Change_MovesLittle(t *testing.T) {
	for n := 1; n < 12; n++ {
		before, after := ownership.Assign(names(n), partitions), ownership.Assign(names(n+1), partitions)
		moved := 0
		for i := range before {
			if before[i] != after[i] {
				moved++
			}
		}
		t.Logf("%d to %d workers: %d of %d partitions move, the least is %d", n, n+1, moved, partitions, partitions/(n+1))
		if moved > partitions*5/8 {
			t.Errorf("%d to %d workers: %d of %d partitions move", n, n+1, moved, partitions)
		}
	}
}
