package query

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"regexp"
	"strings"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"
	"github.com/nats-io/nats.go/micro"
	"github.com/rs/zerolog"

	"github.com/jetvol/jetvol/backends"
	"github.com/jetvol/jetvol/fsm"
	"github.com/jetvol/jetvol/volume"
)

// Times of a service.
const (
	// answerTimeout bounds the work on one answer; a client waits longer.
	answerTimeout = 6 * time.Second
	// requestTimeout bounds one request to JetStream.
	requestTimeout = 2 * time.Second
)

// Config is what a [Service] tells of its process.
type Config struct {
	// Worker is the worker that runs in this process.
	Worker string
	// Version is that of the build; what is no semantic version stands behind 0.0.0.
	Version        string
	Backends       map[string]*backends.Backend
	DefaultBackend string
	Policies       map[string]Policy // by the backend's name
	Retry          fsm.RetryPolicy   // of the worker; the zero one is the default
	Logger         zerolog.Logger
}

// Service answers queries until it is stopped or its connection is closed. Requests to
// one endpoint are answered one after another; other workers answer beside it.
type Service struct {
	config Config
	conn   *nats.Conn
	local  *Local
	micro  micro.Service
	since  time.Time
	ctx    context.Context // ends with Stop
	cancel context.CancelFunc
}

// Serve starts to answer. The connection stays the caller's. It returns an error of class
// [volume.Unavailable] if the endpoints cannot be subscribed to.
func Serve(conn *nats.Conn, config Config) (*Service, error) {
	js, err := jetstream.New(conn, jetstream.WithDefaultTimeout(requestTimeout))
	if err != nil {
		return nil, fmt.Errorf("open jetstream: %w", err)
	}
	s := &Service{config: config, conn: conn, local: NewLocal(js, config.Retry), since: time.Now().UTC()}
	s.ctx, s.cancel = context.WithCancel(context.Background())
	s.micro, err = micro.AddService(conn, micro.Config{
		Name: ServiceName, Version: semantic(config.Version), Description: "jetvol: questions about volumes and workers",
		Metadata: map[string]string{"worker": config.Worker, "build": config.Version}, QueueGroup: QueueGroup,
	})
	if err != nil {
		s.cancel()
		return nil, fmt.Errorf("serve queries: %w: %w", volume.Unavailable, err)
	}
	for _, endpoint := range Endpoints() {
		if err := s.add(endpoint); err != nil {
			return nil, errors.Join(err, s.Stop())
		}
	}
	return s, nil
}

func (s *Service) add(endpoint Endpoint) error {
	err := s.micro.AddEndpoint(string(endpoint), micro.HandlerFunc(func(request micro.Request) {
		s.answer(endpoint, request)
	}), micro.WithEndpointSubject(endpoint.Subject()), micro.WithEndpointMetadata(metadata(endpoint)))
	if err != nil {
		return fmt.Errorf("serve query %s: %w: %w", endpoint, volume.Unavailable, err)
	}
	return nil
}

// Stop lets no question come in any more and breaks off the one under way. It may be
// repeated.
func (s *Service) Stop() error {
	s.cancel()
	if err := s.micro.Stop(); err != nil && !errors.Is(err, nats.ErrConnectionClosed) {
		return fmt.Errorf("stop queries: %w", err)
	}
	return nil
}

// answerers do the work of each endpoint.
var answerers = map[Endpoint]func(*Service, context.Context, []byte) (any, error){
	EndpointGet: func(s *Service, ctx context.Context, data []byte) (any, error) {
		return reply(ctx, data, s.local.Get)
	},
	EndpointList: func(s *Service, ctx context.Context, data []byte) (any, error) {
		return reply(ctx, data, s.local.List)
	},
	EndpointExplain: func(s *Service, ctx context.Context, data []byte) (any, error) {
		return reply(ctx, data, s.local.Explain)
	},
	EndpointHistory: func(s *Service, ctx context.Context, data []byte) (any, error) {
		return reply(ctx, data, s.local.History)
	},
	EndpointWorkers: func(s *Service, ctx context.Context, data []byte) (any, error) {
		return reply(ctx, data, whole(s.local.Workers))
	},
	EndpointPartitions: func(s *Service, ctx context.Context, data []byte) (any, error) {
		return reply(ctx, data, whole(s.local.Partitions))
	},
	EndpointCapabilities: func(s *Service, ctx context.Context, data []byte) (any, error) {
		return reply(ctx, data, whole(s.capabilities))
	},
	EndpointBackends: func(s *Service, ctx context.Context, data []byte) (any, error) {
		return reply(ctx, data, whole(s.backends))
	},
	EndpointHealth: func(s *Service, ctx context.Context, data []byte) (any, error) {
		return reply(ctx, data, whole(s.health))
	},
}

// reply decodes a request and answers it.
func reply[Q request, A any](ctx context.Context, data []byte, answer func(context.Context, Q) (A, error)) (any, error) {
	wanted, err := decode[Q](data)
	if err != nil {
		return nil, err
	}
	return answer(ctx, wanted)
}

// whole makes of a question without arguments one with none.
func whole[A any](answer func(context.Context) (A, error)) func(context.Context, NoRequest) (A, error) {
	return func(ctx context.Context, _ NoRequest) (A, error) { return answer(ctx) }
}

// answer answers one request. That the answer cannot be sent is told by the log only.
func (s *Service) answer(endpoint Endpoint, request micro.Request) {
	ctx, cancel := context.WithTimeout(s.ctx, answerTimeout)
	defer cancel()
	data, err := s.encode(answerers[endpoint](s, ctx, request.Data()))
	if err != nil {
		told := newErrorReply(err)
		if told.Class == volume.Internal {
			s.config.Logger.Error().Err(err).Str("query", string(endpoint)).Msg("query failed")
		}
		err = told.send(request)
	} else {
		err = request.Respond(data)
	}
	if err != nil {
		s.config.Logger.Warn().Err(err).Str("query", string(endpoint)).Msg("query not answered")
	}
}

func (s *Service) encode(value any, err error) ([]byte, error) {
	if err != nil {
		return nil, err
	}
	data, err := json.Marshal(value)
	if err != nil {
		return nil, fmt.Errorf("encode reply: %w", err)
	}
	if most := s.local.maxReply + replyReserve; len(data) > most {
		return nil, volume.Errorf(volume.ErrPayloadTooLarge, "reply of %d bytes: the server takes %d; read the bucket instead", len(data), most)
	}
	return data, nil
}

// metadata is what the endpoint tells of itself.
func metadata(endpoint Endpoint) map[string]string {
	return map[string]string{
		"description":    descriptions[endpoint],
		"request_schema": compact(mustSchema(endpoint, requestKind)),
		"reply_schema":   compact(mustSchema(endpoint, replyKind)),
	}
}

var descriptions = map[Endpoint]string{
	EndpointGet:          "one volume, by project and name or by id",
	EndpointList:         "a page of volumes, filtered",
	EndpointExplain:      "who holds a volume, what is done to it, what waits, what would help",
	EndpointHistory:      "the events of a volume",
	EndpointCapabilities: "what this worker's version and backends can do",
	EndpointBackends:     "this worker's backends and how they are",
	EndpointWorkers:      "the workers that live",
	EndpointPartitions:   "who takes the commands of each partition",
	EndpointHealth:       "how this worker is",
}

var (
	semanticVersion = regexp.MustCompile(`^(?:0|[1-9]\d*)\.(?:0|[1-9]\d*)\.(?:0|[1-9]\d*)$`)
	notInVersion    = regexp.MustCompile(`[^0-9A-Za-z-]+`)
)

// semantic returns the build's version as the micro protocol wants it: `v1.2.3` is 1.2.3,
// and anything else stands behind 0.0.0 as a build.
func semantic(version string) string {
	bare := strings.TrimPrefix(version, "v")
	if semanticVersion.MatchString(bare) {
		return bare
	}
	build := strings.Trim(notInVersion.ReplaceAllString(version, "-"), "-")
	if build == "" {
		build = "unknown"
	}
	return "0.0.0+" + build
}
