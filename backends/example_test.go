package backends_test

import (
	"context"
	"errors"
	"fmt"

	"github.com/jetvol/jetvol/backends"
	"github.com/jetvol/jetvol/backends/null"
	"github.com/jetvol/jetvol/volume"
)

func Example() {
	ctx := context.Background()
	backend := backends.New("memory", null.New(null.Options{}), backends.Options{})
	defer backend.Close()

	key := volume.Key{Project: "default", Name: "db-01"}
	ref := backends.Ref{Key: key, ID: volume.NewID(key, 1)}
	fmt.Println(backend.Create(ctx, ref, 10*volume.GiB))
	fmt.Println(backend.Create(ctx, ref, 10*volume.GiB)) // done already is success

	attachment, err := backend.Attach(ctx, ref, "n12", volume.ReadWrite)
	fmt.Println(attachment.Node, attachment.Mode, err)
	_, err = backend.Attach(ctx, ref, "n13", volume.ReadWrite)
	fmt.Println(err)
	fmt.Println(errors.Is(err, volume.FailedPrecondition))
	// Output:
	// <nil>
	// <nil>
	// n12 read-write <nil>
	// attach volume default.db-01 to node n13: backend memory: held by node n12 (read-write): failed_precondition
	// true
}

func ExampleBackend_List() {
	ctx := context.Background()
	backend := backends.New("memory", null.New(null.Options{}), backends.Options{})
	defer backend.Close()

	key := volume.Key{Project: "default", Name: "db-01"}
	_ = backend.Create(ctx, backends.Ref{Key: key, ID: volume.NewID(key, 1)}, 10*volume.GiB)
	err := backend.List(ctx, func(o backends.Object) bool {
		fmt.Println(o.Key, o.ID, o.Size)
		return true
	})
	fmt.Println(err)
	// Output:
	// default.db-01 default.db-01.1 10GiB
	// <nil>
}
