package query_test

import (
	"context"
	"errors"
	"fmt"

	"github.com/nats-io/nats.go"

	"github.com/jetvol/jetvol/query"
	"github.com/jetvol/jetvol/volume"
)

func ExampleClient_All() {
	conn, err := nats.Connect(nats.DefaultURL)
	if err != nil {
		return // no server
	}
	defer conn.Close()
	client := query.New(conn)
	request := query.ListRequest{Project: "default", Filter: []string{"state==attached,labels.team==db"}}
	for one, err := range client.All(context.Background(), request) {
		if errors.Is(err, volume.Unavailable) {
			return // no worker answers
		}
		fmt.Println(one.Key, one.State, one.Revision)
	}
}

func ExampleListRequest_Validate() {
	err := query.ListRequest{Filter: []string{"colour==red"}}.Validate()
	fmt.Println(errors.Is(err, volume.InvalidArgument))
	fmt.Println(query.EndpointExplain.Subject())
	// Output:
	// true
	// volume.query.explain
}
