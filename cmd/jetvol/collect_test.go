package main

import (
	"runtime/debug"
	"testing"
)

func TestCollectLess_EnvironmentWins(t *testing.T) {
	before := debug.SetGCPercent(100)
	t.Cleanup(func() { debug.SetGCPercent(before) })
	for setting, want := range map[string]int{"": gcPercent, "150": 100} {
		t.Setenv("GOGC", setting)
		debug.SetGCPercent(100)
		collectLess()
		if got := debug.SetGCPercent(100); got != want {
			t.Errorf("GOGC %q: got %d, want %d", setting, got, want)
		}
	}
}
