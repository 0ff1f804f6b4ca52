package main

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"log/slog"
	"net/url"
	"slices"
	"sync"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"
	"github.com/prometheus/client_golang/prometheus"
	"golang.org/x/sync/errgroup"

	"github.com/tributary-kb/tributary"
	"github.com/tributary-kb/tributary/chunker"
	"github.com/tributary-kb/tributary/embedder"
	"github.com/tributary-kb/tributary/indexer"
	"github.com/tributary-kb/tributary/ingest"
	"github.com/tributary-kb/tributary/internal/analysis"
	"github.com/tributary-kb/tributary/internal/api"
	"github.com/tributary-kb/tributary/internal/budget"
	"github.com/tributary-kb/tributary/internal/config"
	"github.com/tributary-kb/tributary/internal/conversation"
	"github.com/tributary-kb/tributary/internal/follow"
	"github.com/tributary-kb/tributary/internal/pipeline"
	"github.com/tributary-kb/tributary/internal/push"
	"github.com/tributary-kb/tributary/internal/registry"
	"github.com/tributary-kb/tributary/internal/stage"
	"github.com/tributary-kb/tributary/internal/weaviate"
	"github.com/tributary-kb/tributary/queryworker"
)

// cachedRecords is how many records the query worker keeps in memory, and of
// how many documents it remembers when they were verified.
const cachedRecords = 50_000

// A plant is what a process needs to run stages: the connections, and the
// parts built on them. `up` and `worker` build it by the same function and end
// in the same run.
type plant struct {
	cfg     *config.Loaded
	log     *slog.Logger
	metrics *prometheus.Registry
	nc      *nats.Conn
	store   *pipeline.Store
	sources *follow.Store
	// followed and webhooks are those of the stage source; webhooks is nil
	// where none are served.
	followed *follow.Metrics
	webhooks *push.Listener
	index    *weaviate.Store // nil where no stage needs it
	model    embedder.Model
	budget   *budget.Budget // nil where embedding costs nothing but time
	health   func() error   // of what this process manages itself, may be nil

	precedence stage.Precedence // of live edits and queries
}

// newPlant prepares streams and index for the stages. It waits for an index
// that is away until ctx ends.
func newPlant(ctx context.Context, cfg *config.Loaded, log *slog.Logger, reg *prometheus.Registry, nc *nats.Conn, at weaviate.Config, stages []string) (*plant, error) {
	js, err := jetstream.New(nc, jetstream.WithPublishAsyncMaxPending(256))
	if err != nil {
		return nil, fmt.Errorf("jetstream: %w", err)
	}
	p := &plant{cfg: cfg, log: log, metrics: reg, nc: nc}
	p.store, err = pipeline.Ensure(ctx, js, pipeline.StoreConfig{
		Replicas: cfg.NATS.Replicas, MaxStageBytes: cfg.NATS.MaxStageBytes, AckWait: cfg.Stages.AckWait,
	})
	if err != nil {
		return nil, err
	}
	if p.sources, err = follow.OpenStore(ctx, js, cfg.NATS.Replicas); err != nil {
		return nil, err
	}
	if err = p.openModel(ctx, js); err != nil {
		return nil, err
	}
	if slices.Contains(stages, pipeline.Source) {
		if err = p.openSources(ctx); err != nil {
			return nil, err
		}
	}
	if slices.Contains(stages, pipeline.Index) || slices.Contains(stages, pipeline.Query) {
		if p.index, err = openIndex(ctx, log, at); err != nil {
			return nil, err
		}
	}
	return p, nil
}

// openModel makes the model, with the budget that all workers share if it is
// somebody's server.
func (p *plant) openModel(ctx context.Context, js jetstream.JetStream) (err error) {
	c := p.cfg.Embedder
	if !c.Remote() {
		if c, err = embedder.Obtain(ctx, c, sayStages(p.log)); err != nil {
			return err
		}
		p.model, err = embedder.New(c)
		return err
	}
	p.budget, err = budget.Open(ctx, js, p.cfg.NATS.Replicas, budget.Config{
		Provider: c.Provider, Model: c.Model, MaxWait: c.MaxWait,
		Limits: budget.Limits{Requests: c.RequestsPerMinute, Tokens: c.TokensPerMinute, Price: c.PricePerMillionTokens, Cap: c.SpendCap},
	})
	if err != nil {
		return err
	}
	countBudget(p.metrics, p.budget)
	p.model, err = embedder.New(c, embedder.WithBudget(p.budget))
	return err
}

// sayStages returns a function that logs each stage as it begins.
func sayStages(log *slog.Logger) func(stage string, done, total int64) {
	last := ""
	return func(stage string, _, total int64) {
		if stage != last {
			last = stage
			log.Info("obtaining the embedding model", "step", stage, "bytes", total)
		}
	}
}

// openIndex waits until the index answers.
func openIndex(ctx context.Context, log *slog.Logger, at weaviate.Config) (*weaviate.Store, error) {
	for pause := 250 * time.Millisecond; ; pause = min(2*pause, 10*time.Second) {
		index, err := weaviate.Open(ctx, at)
		if outcome, _ := tributary.OutcomeOf(err); err == nil || outcome != tributary.Waiting || ctx.Err() != nil {
			return index, err
		}
		log.WarnContext(ctx, "waiting for Weaviate", "address", at.Address, "error", err)
		select {
		case <-ctx.Done():
			return nil, ctx.Err()
		case <-time.After(pause):
		}
	}
}

// indexAddress is where the configured Weaviate is.
func indexAddress(cfg config.Weaviate) (weaviate.Config, error) {
	u, err := url.Parse(cfg.URL)
	if err != nil {
		return weaviate.Config{}, fmt.Errorf("weaviate.url %q: %w", config.Redact(cfg.URL), err)
	}
	grpc := cfg.GRPC
	if grpc == "" {
		grpc = u.Hostname() + ":50051"
	}
	key, err := cfg.Key()
	return weaviate.Config{Address: u.Host, Scheme: u.Scheme, GRPCAddress: grpc, APIKey: key, Timeout: cfg.Timeout}, err
}

// run runs stages until ctx ends: requests are no longer taken, what was
// begun is finished, what was not is given back.
func (p *plant) run(ctx context.Context, stages []string) error {
	return p.runWith(ctx, p.parts(), stages)
}

// runWith is run with these parts.
func (p *plant) runWith(ctx context.Context, parts pipeline.Parts, stages []string) error {
	var services []*api.Service
	for _, serve := range []struct {
		stage string
		start func(context.Context) (*api.Service, error)
	}{{pipeline.Ingest, p.serveIntake}, {pipeline.Query, p.serveAnswers}, {pipeline.Source, p.serveSources}} {
		if !slices.Contains(stages, serve.stage) {
			continue
		}
		s, err := serve.start(ctx)
		if err != nil {
			return err
		}
		services = append(services, s)
	}
	stream := slices.DeleteFunc(slices.Clone(stages), func(s string) bool { return s == pipeline.Query || s == pipeline.Source })
	var telling sync.WaitGroup
	telling.Go(func() { p.tellMismatches(ctx) })
	defer telling.Wait()
	pipe := &pipeline.Pipeline{Store: p.store, Parts: parts, Loads: p.loads(), Log: p.log, Metrics: p.metrics, Precedence: &p.precedence}
	running, runCtx := errgroup.WithContext(ctx)
	running.Go(func() error { return pipe.Run(runCtx, stream...) })
	if slices.Contains(stages, pipeline.Source) {
		running.Go(func() error { return p.followSources(runCtx) })
	}
	err := running.Wait()
	if err == nil {
		<-ctx.Done() // services run on without a stage
	}
	grace, cancel := context.WithTimeout(context.WithoutCancel(ctx), 10*time.Second)
	defer cancel()
	for _, s := range services {
		err = errors.Join(err, s.Close(grace))
	}
	if p.budget != nil {
		err = errors.Join(err, p.budget.Close(grace))
	}
	return err
}

func (p *plant) loads() map[string]pipeline.Load {
	loads := pipeline.DefaultLoads()
	for name, workers := range map[string]int{
		pipeline.Ingest: p.cfg.Stages.Concurrency.Ingest, pipeline.Chunk: p.cfg.Stages.Concurrency.Chunk,
		pipeline.Embed: p.cfg.Stages.Concurrency.Embed, pipeline.Index: p.cfg.Stages.Concurrency.Index,
	} {
		l := loads[name]
		l.Workers, l.Attempts = workers, p.cfg.Stages.Attempts
		loads[name] = l
	}
	return loads
}

// parts builds the functions of the stages.
func (p *plant) parts() pipeline.Parts {
	fetcher := ingest.Ingester{
		Config: p.cfg.Ingest,
		Blobs:  func(ctx context.Context, ref string) ([]byte, error) { return p.store.Blobs.GetBytes(ctx, ref) },
		Kept:   p.store.Kept,
	}
	stage := embedder.Stage{Model: p.model, Base: p.store.Registry.Get, OnCall: countEmbedding(p.metrics)}
	x := &indexer.Indexer{
		Store: p.index, Records: p.store.Registry,
		Conflict: func(err error) bool { return errors.Is(err, registry.ErrConflict) },
		Vectors:  stage.Vectors,
		Attempt:  rand.Text,
		Now:      time.Now,
	}
	return pipeline.Parts{
		Ingest: fetcher.Ingest,
		Chunk:  chunker.Chunker{Config: p.cfg.Chunker}.Chunk,
		Embed:  stage.Embed,
		Index: func(ctx context.Context, in []tributary.Embedded) ([]tributary.Commit, error) {
			if err := p.ensureCollections(ctx, in); err != nil {
				return nil, err
			}
			return x.Index(ctx, in)
		},
	}
}

// collection is what the configured embedder needs of an index.
func (p *plant) collection(ctx context.Context) (weaviate.Collection, error) {
	dim, err := p.model.Dimension(ctx)
	return weaviate.Collection{Embedder: p.model.Fingerprint(), Dimension: dim}, err
}

// mismatchPause is how long work waits before it looks whether the knowledge
// base was rebuilt.
const mismatchPause = 10 * time.Second

// ensureCollections creates the collections of the batch's knowledge bases.
// One that another embedder filled holds up its documents: the remedy is a
// decision, not another attempt.
func (p *plant) ensureCollections(ctx context.Context, in []tributary.Embedded) error {
	want, err := p.collection(ctx)
	if err != nil {
		return err
	}
	seen := map[string]bool{}
	for _, e := range in {
		if seen[e.KB] {
			continue
		}
		seen[e.KB] = true
		err := p.index.EnsureCollection(ctx, e.KB, want)
		if _, mismatch := errors.AsType[*weaviate.MismatchError](err); mismatch {
			return tributary.Unavailable(err, mismatchPause)
		}
		if err != nil {
			return err
		}
	}
	return nil
}

func (p *plant) service(name, description string) api.Config {
	return api.Config{Name: name, Description: description, Version: protocolVersion, Log: p.log, Metrics: p.metrics,
		Concurrency: p.cfg.Stages.Concurrency.Query}
}

// protocolVersion is the version of the protocol that the services speak.
const protocolVersion = "1.0.0"

func (p *plant) serveIntake(context.Context) (*api.Service, error) {
	return api.ServeIntake(p.nc, p.service("tributary-ingest", "accepts documents"), &api.Intake{
		JS: p.store.JS, Blobs: p.store.Blobs, MaxBytes: p.cfg.Ingest.MaxBytes, Stage: pipeline.Ingest,
	})
}

func (p *plant) serveAnswers(ctx context.Context) (*api.Service, error) {
	records, err := registry.NewCache(context.WithoutCancel(ctx), p.store.Registry, cachedRecords, p.nc.IsConnected)
	if err != nil {
		return nil, err
	}
	context.AfterFunc(ctx, records.Close)
	fresh, err := follow.NewFreshness(context.WithoutCancel(ctx), follow.Sources{Store: p.sources, Config: p.cfg.Sources.Config}, cachedRecords, p.nc.IsConnected)
	if err != nil {
		return nil, err
	}
	context.AfterFunc(ctx, fresh.Close)
	generator, err := p.cfg.Query.Generator.New(analysis.Terms, embedder.TermWeight)
	if err != nil {
		return nil, err
	}
	reranker, err := openReranker(ctx, p.log, p.cfg.Query.Reranker, generator)
	if err != nil {
		return nil, err
	}
	conversations, err := conversation.Open(ctx, p.store.JS, conversation.Config{
		TTL: p.cfg.Query.Ask.ConversationTTL, MaxTurns: p.cfg.Query.Ask.MaxTurns, Replicas: p.cfg.NATS.Replicas,
	})
	if err != nil {
		return nil, err
	}
	cache, err := p.answerCache()
	if err != nil {
		return nil, err
	}
	w := &queryworker.Worker{
		Searcher: checkedIndex{p}, Records: records, Freshness: fresh, EmbedQuery: p.embedQuery, Alpha: p.model.Alpha(),
		Conversations: conversations, Cache: cache,
		TermWeight: embedder.TermWeight, Terms: analysis.Terms, Generator: generator, Answers: p.cfg.Query.Ask,
		Reranker: reranker, RerankTop: p.cfg.Query.Reranker.Top, Limits: p.cfg.Query.Search, MaxContextTokens: p.cfg.Query.Generator.MaxContextTokens,
	}
	if embedder.Seeds(p.model) {
		w.EmbedPassages = p.embedPassages
	}
	observer := &pipeline.Observer{
		Store: p.store, NC: p.nc, Version: buildVersion().Version, IndexVersion: p.index.Version, Objects: p.index.Count,
		Sources: p.listSources,
		Health:  p.health, Check: p.checkCollection, LateKeywords: p.index.LateKeywords,
	}
	if p.budget != nil {
		observer.Problems = p.budget.Problems
	}
	auditor := &pipeline.Auditor{
		Store: p.store, Scan: p.index.ScanVectors, Objects: p.index.Objects, Unindexed: p.index.Unindexed,
		Remove: p.index.Remove, Drop: p.index.DropCollection, Replay: p.replay,
	}
	return api.ServeAnswers(p.nc, p.service("tributary-query", "answers from the documents"), api.Answers{
		Search: w.Search, Ask: w.Ask, Forget: conversations.Forget, Show: w.Show, Await: records.Await,
		List: p.store.Registry.List, Pending: p.store.Pending, Status: observer.Status,
		Verify: auditor.Verify, Reindex: auditor.Reindex,
	})
}

// answerCache keeps what a model wrote; sentences that are copied are copied
// again.
func (p *plant) answerCache() (*queryworker.AnswerCache, error) {
	if p.cfg.Query.Ask.CacheEntries < 0 || p.cfg.Query.Generator.Provider == queryworker.ProviderExtractive {
		return nil, nil //nolint:nilnil // no cache is one of the choices
	}
	return queryworker.NewAnswerCache(p.cfg.Query.Ask.CacheEntries)
}

// replay publishes the kept version of a document again.
func (p *plant) replay(ctx context.Context, kb, uri string) (tributary.Receipt, error) {
	in := &api.Intake{JS: p.store.JS, Blobs: p.store.Blobs, Stage: pipeline.Ingest}
	return in.Replay(ctx, kb, uri)
}

func (p *plant) embedQuery(ctx context.Context, text string) (tributary.Vector, error) {
	vectors, err := p.model.Embed(ctx, []string{text}, embedder.RoleQuery)
	if spent, ok := errors.AsType[*embedder.SpendError](err); ok {
		return nil, &queryworker.KeywordsOnlyError{Reason: spent}
	}
	if items, ok := errors.AsType[tributary.BatchError](err); ok {
		err = items[0]
	}
	if outcome, _ := tributary.OutcomeOf(err); outcome == tributary.Rejected { // as too long, by most models
		return nil, &queryworker.KeywordsOnlyError{Reason: err}
	}
	if err != nil {
		return nil, err
	}
	return vectors[0], nil
}

func (p *plant) embedPassages(ctx context.Context, texts []string) ([]tributary.Vector, error) {
	return p.model.Embed(ctx, texts, embedder.RoleDocument)
}

// checkCollection reports why the knowledge base cannot be searched with the
// configured embedder. While nothing may be spent to ask the embedder for its
// dimension, there are no vectors to compare either.
func (p *plant) checkCollection(ctx context.Context, kb string) error {
	want, err := p.collection(ctx)
	if _, spent := errors.AsType[*embedder.SpendError](err); spent {
		return nil
	}
	if err != nil {
		return err
	}
	return p.index.CheckCollection(ctx, kb, want)
}

// tellMismatches says at the start which knowledge bases another embedder
// filled, and what to do about it, before anybody searches in vain.
func (p *plant) tellMismatches(ctx context.Context) {
	if p.index == nil {
		return
	}
	kbs, err := p.index.Collections(ctx)
	if err != nil && ctx.Err() == nil {
		p.log.WarnContext(ctx, "look for the embedders of the knowledge bases", "error", err)
	}
	for _, kb := range kbs {
		if mismatch, ok := errors.AsType[*weaviate.MismatchError](p.checkCollection(ctx, kb)); ok {
			p.log.WarnContext(ctx, "another embedder", "kb", kb, "error", mismatch)
		}
	}
}

// checkedIndex is the index as queries see it: one that another embedder
// filled refuses to compare its vectors with ours.
type checkedIndex struct{ *plant }

func (c checkedIndex) Candidates(ctx context.Context, kb string, q tributary.IndexQuery) ([]tributary.Candidate, error) {
	if err := c.checkCollection(ctx, kb); err != nil {
		if _, mismatch := errors.AsType[*weaviate.MismatchError](err); mismatch {
			return nil, tributary.Errorf(tributary.CodeUnavailable, "%w", err)
		}
		return nil, err
	}
	defer c.precedence.Take()()
	return c.index.Candidates(ctx, kb, q)
}

func (c checkedIndex) Objects(ctx context.Context, kb string, ids []string) ([]tributary.Object, error) {
	return c.index.Objects(ctx, kb, ids)
}
