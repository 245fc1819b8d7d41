package query

import "github.com/jetvol/jetvol/backends"

// Conform fails a test unless the JSON is as the schema says.
var Conform = conform

// Backend returns a backend of the service's process.
func (s *Service) Backend(name string) *backends.Backend { return s.config.Backends[name] }
