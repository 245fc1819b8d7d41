package ownership_test

import (
	"fmt"

	"github.com/jetvol/jetvol/worker/ownership"
)

func ExampleAssign() {
	for partition, worker := range ownership.Assign([]string{"a", "b", "c"}, 6) {
		fmt.Println(partition, worker)
	}
	// Output:
	// 0 a
	// 1 c
	// 2 b
	// 3 a
	// 4 c
	// 5 b
}
