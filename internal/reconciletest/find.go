package reconciletest

import "fmt"

// Named returns the row of that name. It panics if there is none.
func Named(name string) Row {
	for _, row := range Rows() {
		if row.Name == name {
			return row
		}
	}
	panic(fmt.Sprintf("reconciletest: no row %q", name))
}
