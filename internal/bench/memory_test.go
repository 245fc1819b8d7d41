package bench

import (
	"os"
	"testing"
)

func TestInMemory_Tmpfs_IsTold(t *testing.T) {
	const shm = "/dev/shm"
	if inMemory("/proc") {
		t.Error("/proc: taken for a tmpfs")
	}
	if inMemory(shm + "/no-such-directory") {
		t.Error("a directory that is not there: taken for a tmpfs")
	}
	if _, err := os.Stat(shm); err != nil {
		t.Skipf("missing: a tmpfs: %v", err)
	}
	if !inMemory(shm) {
		t.Errorf("%s: not taken for a tmpfs", shm)
	}
}
