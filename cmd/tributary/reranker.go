package main

import (
	"context"
	"fmt"
	"log/slog"
	"time"

	"github.com/tributary-kb/tributary/embedder/local"
	"github.com/tributary-kb/tributary/queryworker"
)

// openReranker builds the configured reranker, nil for none. A local one is
// downloaded if it is not there.
func openReranker(ctx context.Context, log *slog.Logger, c queryworker.RerankerConfig, generator queryworker.Generator) (queryworker.Reranker, error) {
	if c.Provider != queryworker.RerankerLocal {
		return c.New(generator)
	}
	if err := c.Validate(); err != nil {
		return nil, err
	}
	runtime := local.Runtime{Name: c.Runtime, Library: c.ONNXRuntimeLibrary}
	if err := runtime.Validate(); err != nil {
		return nil, fmt.Errorf("reranker.runtime %w", err)
	}
	if err := local.ValidatePins(c.SHA256); err != nil {
		return nil, fmt.Errorf("reranker.sha256 %w", err)
	}
	dir := c.ModelDir
	if dir == "" {
		var err error
		if dir, err = local.Obtain(ctx, local.ObtainConfig{
			Name: c.Model, Revision: c.Revision, SHA256: c.SHA256, Graph: c.Runtime == local.RuntimeONNX, Progress: sayStages(log),
		}); err != nil {
			return nil, fmt.Errorf("reranker.model (reranker.model_dir takes a folder instead): %w", err)
		}
	}
	if err := local.Verify(dir, c.SHA256); err != nil {
		return nil, fmt.Errorf("reranker.model_dir: %w", err)
	}
	model, err := local.OpenCrossEncoder(dir, runtime)
	if err != nil {
		return nil, fmt.Errorf("reranker.model_dir: %w", err)
	}
	c.SetDefaults()
	return localReranker{model: model, timeout: c.Timeout}, nil
}

// A localReranker is a cross-encoder in this process.
type localReranker struct {
	model   *local.CrossEncoder
	timeout time.Duration
}

// Name implements queryworker.Reranker.
func (r localReranker) Name() string { return queryworker.RerankerLocal + ":" + r.model.Revision() }

// Rerank implements queryworker.Reranker.
func (r localReranker) Rerank(ctx context.Context, query string, texts []string) ([]float64, error) {
	within, cancel := context.WithTimeout(ctx, r.timeout)
	defer cancel()
	scores, err := r.model.Rerank(within, query, texts)
	if err != nil && within.Err() != nil && ctx.Err() == nil {
		return nil, fmt.Errorf("%d texts took more than %s (reranker.timeout; reranker.top bounds how many there are)", len(texts), r.timeout)
	}
	return scores, err
}
