package filters_test

import (
	"errors"
	"fmt"

	"github.com/jetvol/jetvol/snapshots/filters"
)

func Example() {
	known := filters.Fields{Plain: []string{"name", "parent", "kind"}, Keyed: []string{"labels"}}
	filter, err := known.Parse(`kind==active, labels."example.com/team"==storage`, "name~=^db-")
	if err != nil {
		fmt.Println(err)
		return
	}
	for _, name := range []string{"db-01", "web-01"} {
		entry := filters.AdaptorFunc(func(path []string) (string, bool) {
			return name, path[0] == "name"
		})
		fmt.Println(name, filter.Match(entry))
	}
	fmt.Println(filter)
	// Output:
	// db-01 true
	// web-01 false
	// kind==active,labels."example.com/team"==storage
	// name~=^db-
}

func ExampleFields_Parse() {
	known := filters.Fields{Plain: []string{"name", "kind"}}
	_, err := known.Parse("name==db-01,knd==active")
	fmt.Println(err)
	if syntax, ok := errors.AsType[*filters.SyntaxError](err); ok {
		fmt.Println(syntax.Column())
	}
	// Output:
	// filter "name==db-01,knd==active": column 13, at "knd==active": unknown field "knd": want one of name, kind: invalid_argument
	// 13
}
