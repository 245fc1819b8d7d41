package local_test

import (
	"context"
	"fmt"
	"os"
	"path/filepath"

	"github.com/jetvol/jetvol/backends"
	"github.com/jetvol/jetvol/backends/local"
	"github.com/jetvol/jetvol/volume"
)

func ExampleOpen() {
	ctx := context.Background()
	parent, err := os.MkdirTemp("", "jetvol")
	if err != nil {
		fmt.Println(err)
		return
	}
	defer os.RemoveAll(parent)
	driver, err := local.Open(local.Options{Dir: filepath.Join(parent, "volumes")})
	if err != nil {
		fmt.Println(err)
		return
	}
	defer driver.Close()

	key := volume.Key{Project: "default", Name: "db-01"}
	ref := backends.Ref{Key: key, ID: volume.NewID(key, 1)}
	fmt.Println(driver.Create(ctx, ref, 10*volume.GiB))
	attachment, err := driver.Attach(ctx, ref, "n12", volume.ReadWrite)
	fmt.Println(filepath.Base(attachment.Connection["path"]), err)
	// Output:
	// <nil>
	// default.db-01.img <nil>
}
