package snapshots_test

import (
	"context"
	"errors"
	"fmt"
	"log"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"

	"github.com/jetvol/jetvol/snapshots"
)

// A snapshot is removed in steps: the entry is marked, then the data behind it goes, then
// the entry. From the mark on nothing can be cloned from it.
func Example() {
	conn, err := nats.Connect(nats.DefaultURL)
	if err != nil {
		log.Fatal(err)
	}
	js, err := jetstream.New(conn)
	if err != nil {
		log.Fatal(err)
	}
	ctx, store := context.Background(), snapshots.New(js)
	key := snapshots.SnapshotKey("db-01", "nightly")
	err = store.BeginRemove(ctx, "default", key, "default.db-01.7")
	if blocked, ok := errors.AsType[*snapshots.BlockedError](err); ok {
		fmt.Println("still needed by", blocked.Children)
		return
	}
	if err != nil {
		log.Fatal(err)
	}
	// … remove the data …
	if err := store.FinishRemove(ctx, "default", key, "default.db-01.7"); err != nil {
		log.Fatal(err)
	}
}
