package main

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"time"

	"github.com/nats-io/nuid"
	"golang.org/x/sync/errgroup"

	"github.com/tributary-kb/tributary"
	"github.com/tributary-kb/tributary/ingest/source"
	"github.com/tributary-kb/tributary/internal/api"
	"github.com/tributary-kb/tributary/internal/follow"
	"github.com/tributary-kb/tributary/internal/manners"
	"github.com/tributary-kb/tributary/internal/pipeline"
	"github.com/tributary-kb/tributary/internal/push"
)

// followSources follows, until ctx ends, the sources that no other worker
// follows.
func (p *plant) followSources(ctx context.Context) error {
	gate, err := manners.Open(ctx, p.store.JS, manners.Config{
		Interval: p.cfg.Sources.HostInterval, Concurrency: p.cfg.Sources.HostConcurrency, Replicas: p.cfg.NATS.Replicas,
		Hold: p.cfg.Ingest.Fetch.Timeout + time.Second, // no request takes longer
	})
	if err != nil {
		return err
	}
	web, err := source.NewWeb(p.cfg.Ingest, gate)
	if err != nil {
		return err
	}
	host, err := os.Hostname()
	if err != nil {
		return fmt.Errorf("name of this machine: %w", err)
	}
	dir := func(kb, name string) string { return filepath.Join(p.cfg.Data, "sources", kb, name) }
	open := func(kb string, s tributary.Source) (source.Follower, error) {
		return source.New(s, source.Env{
			Ingest: p.cfg.Ingest, Gate: gate, Web: web, Log: p.log, Dir: dir(kb, s.Name),
			RepositoryMaxBytes: p.cfg.Sources.RepositoryMaxBytes, RepositoryTimeout: p.cfg.Sources.RepositoryTimeout,
		})
	}
	r := &follow.Runner{
		Config: p.cfg.Sources.Config, Store: p.sources, NC: p.nc, Blobs: p.store.Blobs, Stage: pipeline.Ingest,
		ID: fmt.Sprintf("%s.%d.%s", host, os.Getpid(), nuid.Next()), Host: host,
		New:     open,
		Forget:  func(kb, name string) error { return os.RemoveAll(dir(kb, name)) },
		Log:     p.log,
		Metrics: p.followed,
	}
	running, ctx := errgroup.WithContext(ctx)
	running.Go(func() error { return r.Run(ctx) })
	if p.webhooks != nil {
		p.log.InfoContext(ctx, "webhooks are served", "address", p.webhooks.URL())
		running.Go(func() error { return p.webhooks.Serve(ctx, gatewayGrace) })
	}
	return running.Wait()
}

// openSources prepares the following of sources, and takes the address of
// webhooks if there is one.
func (p *plant) openSources(ctx context.Context) (err error) {
	p.followed = follow.NewMetrics(p.metrics)
	c := p.cfg.Sources
	if c.WebhookListen == "" {
		return nil
	}
	p.webhooks, err = push.Listen(ctx, push.Config{
		Listen: c.WebhookListen, MaxBytes: c.WebhookMaxBytes, Secrets: source.Secrets, Log: p.log,
		Hooks: &follow.Hooks{Config: c.Config, Store: p.sources, Blobs: p.store.Blobs, Stage: pipeline.Ingest, Metrics: p.followed},
	})
	return err
}

// listSources lists the sources of all knowledge bases.
func (p *plant) listSources(ctx context.Context, send func(tributary.SourceStatus) error) error {
	return follow.Sources{Store: p.sources}.List(ctx, "", send)
}

func (p *plant) serveSources(context.Context) (*api.Service, error) {
	s := follow.Sources{Store: p.sources, Config: p.cfg.Sources.Config}
	type status = tributary.SourceStatus
	named := func(do func(ctx context.Context, kb, name string) (status, error)) func(context.Context, string, tributary.SourceRequest) (status, error) {
		return func(ctx context.Context, kb string, r tributary.SourceRequest) (status, error) {
			return do(ctx, kb, r.Name)
		}
	}
	return api.ServeSources(p.nc, p.service("tributary-source", "follows sources"), api.Sources{
		Add: func(ctx context.Context, kb string, r tributary.SourceAddRequest) (status, error) {
			if r.Kind == tributary.SourceWebhook && p.cfg.Sources.WebhookListen == "" {
				return status{}, tributary.Errorf(tributary.CodeInvalid,
					"source %q: webhooks are not served: set sources.webhook_listen (such as 127.0.0.1:8323) where `tributary up` or `tributary worker source` runs", r.Name)
			}
			return s.Add(ctx, kb, r.Source)
		},
		Show: named(s.Get), Pause: named(s.Pause), Resume: named(s.Resume), Confirm: named(s.Confirm),
		Remove: func(ctx context.Context, kb string, r tributary.SourceRemoveRequest) (status, error) {
			return s.Remove(ctx, kb, r.Name, r.Purge)
		},
		Sync: func(ctx context.Context, kb string, r tributary.SourceSyncRequest) (status, error) {
			return s.Sync(ctx, kb, r.Name, r.Full)
		},
		List: func(ctx context.Context, kb string, _ tributary.SourceListRequest, send func(status) error) error {
			return s.List(ctx, kb, send)
		},
	})
}
