package config

import (
	"strings"

	"github.com/jetvol/jetvol/backends/ceph"
	"github.com/jetvol/jetvol/backends/local"
	"github.com/jetvol/jetvol/backends/null"
)

// drivers are those that a backend may name.
var drivers = []struct {
	name     string
	about    string
	settings func() Settings
}{
	{local.DriverName, "Volumes are sparse files of a directory.", func() Settings { return &Local{} }},
	{ceph.DriverName, "Volumes are RBD images of a Ceph cluster. The program must be built with it: `make build-ceph`.", func() Settings { return &Ceph{} }},
	{null.DriverName, "Volumes are stored nowhere: for measurements of jetvol itself.", func() Settings { return &Null{} }},
}

// Drivers returns the names of the drivers that a file may name.
func Drivers() []string {
	names := make([]string, len(drivers))
	for i, d := range drivers {
		names[i] = d.name
	}
	return names
}

func driverNames() string { return strings.Join(Drivers(), ", ") }
