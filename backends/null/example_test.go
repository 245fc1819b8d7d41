package null_test

import (
	"context"
	"fmt"

	"github.com/jetvol/jetvol/backends"
	"github.com/jetvol/jetvol/backends/null"
	"github.com/jetvol/jetvol/volume"
)

func Example() {
	ctx := context.Background()
	driver := null.New(null.Options{})
	key := volume.Key{Project: "default", Name: "db-01"}
	ref := backends.Ref{Key: key, ID: volume.NewID(key, 1)}
	_ = driver.Create(ctx, ref, volume.GiB)
	object, err := driver.Get(ctx, key)
	fmt.Println(object.ID, object.Size, err)
	// Output: default.db-01.1 1GiB <nil>
}
