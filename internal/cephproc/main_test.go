//go:build ceph

package cephproc_test

import (
	"context"
	"fmt"
	"os"
	"testing"

	"github.com/jetvol/jetvol/internal/cephproc"
)

// upVariable makes this test binary a program that calls Up on the directory it names, to
// be killed in the middle of that.
const upVariable = "JETVOL_CEPHPROC_UP"

func TestMain(m *testing.M) {
	if dir, found := os.LookupEnv(upVariable); found {
		if _, err := cephproc.Up(context.Background(), dir); err != nil {
			fmt.Fprintln(os.Stderr, err)
			os.Exit(1)
		}
		os.Exit(0)
	}
	os.Exit(m.Run())
}
