package main

import (
	"context"
	"errors"
	"fmt"
	"path/filepath"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"

	"github.com/jetvol/jetvol/internal/embednats"
	"github.com/jetvol/jetvol/internal/provision"
	"github.com/jetvol/jetvol/kv"
	"github.com/jetvol/jetvol/volume"
)

// serverShutdown bounds the end of a site's server.
const serverShutdown = 30 * time.Second

// site is a NATS server on which one trial runs after another.
type site struct {
	dir    string
	server *embednats.Server
	conn   *nats.Conn
	js     jetstream.JetStream
	trials int
}

func newSite(ctx context.Context, dir string) (_ *site, err error) {
	s := &site{dir: dir}
	if s.server, err = embednats.Start(embednats.Options{Dir: filepath.Join(dir, "nats"), Listen: "127.0.0.1:0"}); err != nil {
		return nil, err
	}
	defer func() {
		if err != nil {
			err = errors.Join(err, s.close())
		}
	}()
	if s.conn, err = nats.Connect(s.server.URL(), nats.Name("killmatrix")); err != nil {
		return nil, fmt.Errorf("connect to %s: %w", s.server.URL(), err)
	}
	if s.js, err = jetstream.New(s.conn); err != nil {
		return nil, err
	}
	if _, err = provision.Apply(ctx, s.js, provision.Options{}); err != nil {
		return nil, fmt.Errorf("provision: %w", err)
	}
	return s, nil
}

// project returns a name that no trial on this site had before.
func (s *site) project() volume.Project {
	s.trials++
	return volume.Project(fmt.Sprintf("trial-%d", s.trials))
}

// forget takes away all that the bucket of records holds of a volume, as time does in the end:
// first the tombstone, then the marker in its place.
func (s *site) forget(ctx context.Context, key volume.Key) error {
	stream, err := s.js.Stream(ctx, "KV_"+kv.VolumesBucket)
	if err != nil {
		return err
	}
	return stream.Purge(ctx, jetstream.WithPurgeSubject("$KV."+kv.VolumesBucket+"."+key.String()))
}

func (s *site) close() error {
	if s.conn != nil {
		s.conn.Close()
	}
	ctx, cancel := context.WithTimeout(context.Background(), serverShutdown)
	defer cancel()
	return s.server.Shutdown(ctx)
}
