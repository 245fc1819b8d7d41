package acceptance

import (
	"encoding/json"
	"regexp"
	"slices"
	"testing"

	"github.com/jetvol/jetvol/query"
)

var fieldPattern = regexp.MustCompile(`[a-z_]+`)

// The table of questions has every endpoint, with the fields of its schema.
func TestContract_Queries(t *testing.T) {
	rows := wantRows(t, tableBelow(t, contract(t), "## Queries", "question"), query.Endpoints())
	for _, endpoint := range query.Endpoints() {
		schema, err := query.RequestSchema(endpoint)
		if err != nil {
			t.Fatal(err)
		}
		var fields struct{ Properties map[string]any }
		if err := json.Unmarshal(schema, &fields); err != nil {
			t.Fatal(err)
		}
		told := fieldPattern.FindAllString(rows[string(endpoint)][0], -1)
		told = slices.DeleteFunc(told, func(word string) bool { return word == "and" || word == "or" })
		if len(told) != len(fields.Properties) {
			t.Errorf("%s: the table has %v, the schema %d fields", endpoint, told, len(fields.Properties))
		}
		for _, name := range told {
			if fields.Properties[name] == nil {
				t.Errorf("%s: field %s is not in its schema", endpoint, name)
			}
		}
	}
}
