package query

import (
	"slices"

	"github.com/jetvol/jetvol/volume"
)

// The names of the service on the wire.
const (
	ServiceName = "jetvol"
	// QueueGroup is that of all endpoints of all workers.
	QueueGroup = "jetvol"

	subjectPrefix = "volume.query."
)

// Endpoint is one question that can be asked: the last token of its subject.
type Endpoint string

// The endpoints.
const (
	EndpointGet          Endpoint = "get"
	EndpointList         Endpoint = "list"
	EndpointExplain      Endpoint = "explain"
	EndpointHistory      Endpoint = "history"
	EndpointCapabilities Endpoint = "capabilities"
	EndpointBackends     Endpoint = "backends"
	EndpointWorkers      Endpoint = "workers"
	EndpointPartitions   Endpoint = "partitions"
	EndpointHealth       Endpoint = "health"
)

// Endpoints returns every endpoint.
func Endpoints() []Endpoint {
	return []Endpoint{
		EndpointGet, EndpointList, EndpointExplain, EndpointHistory, EndpointCapabilities,
		EndpointBackends, EndpointWorkers, EndpointPartitions, EndpointHealth,
	}
}

// Subject returns the subject on which the endpoint is asked.
func (e Endpoint) Subject() string { return subjectPrefix + string(e) }

func (e Endpoint) validate() error {
	if !slices.Contains(Endpoints(), e) {
		return volume.Errorf(volume.ErrInvalidArgument, "endpoint %.40q: want one of %s", e, list(Endpoints()))
	}
	return nil
}

// Consistency says how current an answer is.
type Consistency string

// The kinds of consistency.
const (
	Leader  Consistency = "leader"
	Replica Consistency = "replica"
)
