package bench

import "testing"

// Whoever always came second would pay for what the server does late for the first.
func TestRun_RoundAfterRound_TheFirstTurnChanges(t *testing.T) {
	var r run
	firsts := map[*side]int{}
	for n := 1; n <= 4; n++ {
		order := r.order(n)
		if len(order) != 2 || order[0] == order[1] {
			t.Fatalf("round %d: got %v, want both sides", n, order)
		}
		if next := r.order(n + 1); next[0] == order[0] {
			t.Errorf("rounds %d and %d: got the same side first", n, n+1)
		}
		firsts[order[0]]++
	}
	if firsts[&r.jetvol] != 2 || firsts[&r.ceiling] != 2 {
		t.Errorf("got jetvol first %d times and the ceiling %d times, want 2 of 4 each", firsts[&r.jetvol], firsts[&r.ceiling])
	}
}
