package pipeline

import (
	"context"
	"errors"
	"fmt"
	"log/slog"

	"github.com/nats-io/nats.go/jetstream"
	"github.com/prometheus/client_golang/prometheus"
	"golang.org/x/sync/errgroup"

	"github.com/tributary-kb/tributary"
	"github.com/tributary-kb/tributary/internal/stage"
)

// Parts are the functions of the stages. Those of stages that a process does
// not run may be nil.
type Parts struct {
	Ingest func(ctx context.Context, in tributary.Request, emit func(tributary.Document) error) error
	Chunk  func(ctx context.Context, in tributary.Document, emit func(tributary.Chunked) error) error
	Embed  func(ctx context.Context, in []tributary.Chunked) ([]tributary.Embedded, error)
	Index  func(ctx context.Context, in []tributary.Embedded) ([]tributary.Commit, error)
}

// Load says how much of a stage one process does at once.
type Load struct {
	Workers  int `yaml:"workers"`  // batches at once
	Batch    int `yaml:"batch"`    // documents in a batch at most; only embed and index form batches
	Attempts int `yaml:"attempts"` // failures of a document before it is refused
}

// DefaultLoads returns the load of each stage where nothing is configured.
func DefaultLoads() map[string]Load {
	return map[string]Load{
		Ingest: {Workers: 4, Batch: 1, Attempts: 5},
		Chunk:  {Workers: 2, Batch: 1, Attempts: 5},
		Embed:  {Workers: 2, Batch: 16, Attempts: 5},
		// Larger batches of documents load no faster, and are longer in the way of a
		// live edit: docs/benchmarks.md.
		Index: {Workers: 2, Batch: 12, Attempts: 5},
	}
}

// A Pipeline runs stages of the topology on a Store.
type Pipeline struct {
	Store   *Store
	Parts   Parts
	Loads   map[string]Load
	Log     *slog.Logger
	Metrics prometheus.Registerer
	// Precedence is taken by live edits, and by whoever else is not to wait for
	// bulk work; nil for none.
	Precedence *stage.Precedence
}

// Run runs the named stages until ctx ends and they have finished what they
// had begun. The first stage that cannot run ends the others.
func (p *Pipeline) Run(ctx context.Context, names ...string) error {
	searchable := prometheus.NewHistogramVec(prometheus.HistogramOpts{
		Name: "tributary_change_to_searchable_seconds", Help: "Seconds from the acceptance of a change to its commit.",
		Buckets: prometheus.ExponentialBuckets(0.01, 2, 16),
	}, []string{"kb", "lane"})
	p.Metrics.MustRegister(searchable, &LagCollector{Store: p.Store})
	host := stage.Host{JS: p.Store.JS, Blobs: p.Store.Blobs, Log: p.Log, Metrics: stage.NewMetrics(p.Metrics), Precedence: p.Precedence}
	g, ctx := errgroup.WithContext(ctx)
	for _, name := range names {
		switch name {
		case Ingest:
			hooks := hooksFor[tributary.Request](p)
			hooks.Acked = p.dropContent
			g.Go(func() error { return p.clean(ctx) })
			g.Go(func() error {
				return stage.Run(ctx, host, p.spec(Ingest), outputTo[tributary.Document](Chunk), hooks, stage.OneToMany(p.ingestAndKeep))
			})
		case Chunk:
			g.Go(func() error {
				return stage.Run(ctx, host, p.spec(Chunk), outputTo[tributary.Chunked](Embed), hooksFor[tributary.Document](p), stage.OneToMany(p.Parts.Chunk))
			})
		case Embed:
			g.Go(func() error {
				return stage.Run(ctx, host, p.spec(Embed), outputTo[tributary.Embedded](Index), hooksFor[tributary.Chunked](p), stage.Batch(p.Parts.Embed))
			})
		case Index:
			g.Go(func() error {
				return stage.Run(ctx, host, p.spec(Index), eventOutput(), hooksFor[tributary.Embedded](p), stage.Batch(p.timedIndex(searchable)))
			})
		default:
			return fmt.Errorf("stage %q: the stages are %s, %s, %s, %s", name, Ingest, Chunk, Embed, Index)
		}
	}
	return g.Wait()
}

func (p *Pipeline) spec(name string) stage.Spec {
	load := DefaultLoads()[name]
	if l, ok := p.Loads[name]; ok {
		load = l
	}
	return stage.Spec{Name: name, Stream: StreamName(name), Workers: load.Workers, Batch: load.Batch, Attempts: load.Attempts}
}

// hooksFor records refusals, so that they are seen where the document is
// looked for.
func hooksFor[In stage.Message](p *Pipeline) stage.Hooks[In] {
	return stage.Hooks[In]{Refused: func(ctx context.Context, in In, f tributary.Failure) error {
		return p.Store.Registry.Refuse(ctx, in.MessageHead(), f)
	}}
}

// ingestAndKeep keeps every parsed document before it passes it on.
func (p *Pipeline) ingestAndKeep(ctx context.Context, in tributary.Request, emit func(tributary.Document) error) error {
	return p.Parts.Ingest(ctx, in, func(d tributary.Document) error {
		if err := p.Store.Keep(ctx, d); err != nil {
			return err
		}
		return emit(d)
	})
}

// dropContent removes the published content of a request that was handled.
func (p *Pipeline) dropContent(ctx context.Context, in tributary.Request) {
	if in.ContentRef == "" {
		return
	}
	if err := p.Store.Blobs.Delete(ctx, in.ContentRef); err != nil && !errors.Is(err, jetstream.ErrObjectNotFound) {
		p.Log.WarnContext(ctx, "delete content", "uri", in.URI, "ref", in.ContentRef, "error", err)
	}
}

func (p *Pipeline) timedIndex(searchable *prometheus.HistogramVec) func(context.Context, []tributary.Embedded) ([]tributary.Commit, error) {
	return func(ctx context.Context, in []tributary.Embedded) ([]tributary.Commit, error) {
		commits, err := p.Parts.Index(ctx, in)
		for i, c := range commits {
			if c.Version != 0 && !in[i].Redelivered {
				searchable.WithLabelValues(c.KB, string(in[i].Lane)).Observe(c.Committed.Sub(c.Accepted).Seconds())
			}
		}
		return commits, err
	}
}
