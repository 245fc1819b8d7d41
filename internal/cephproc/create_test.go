//go:build ceph

package cephproc

import (
	"context"
	"net"
	"os"
	"testing"
)

func TestCreate_PortTaken_OtherPort(t *testing.T) {
	dir, err := os.MkdirTemp("", "cephproc-")
	if err != nil {
		t.Fatal(err)
	}
	c := &Cluster{dir: dir}
	t.Cleanup(func() {
		if err := Down(context.Background(), dir); err != nil {
			t.Error(err)
		}
	})
	taken, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer taken.Close()
	asked := 0
	err = c.locked(t.Context(), func(ctx context.Context) error {
		return c.create(ctx, func() (int, error) {
			if asked++; asked == 1 {
				return taken.Addr().(*net.TCPAddr).Port, nil
			}
			return freePorts()
		})
	})
	if err != nil || asked != 2 {
		t.Errorf("got %v after %d choices of ports, want a cluster at the second", err, asked)
	}
}
