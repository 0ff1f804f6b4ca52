package main

import (
	"context"
	"time"

	"github.com/tributary-kb/tributary"
	"github.com/tributary-kb/tributary/embedder"
)

const (
	queryK = 10
	// queryCandidates is how many candidates the query worker asks for where
	// it wants queryK hits.
	queryCandidates = 2*queryK + 16
	queryWarmup     = 20
)

// A queryResult is how long the same questions took on each way.
type queryResult struct {
	search []time.Duration // through NATS
	bare   []time.Duration // straight to Weaviate, queryK objects
	wide   []time.Duration // the same, queryCandidates objects
	hits   int
	cpu    spent // of all searches through NATS
}

// measureQuery asks every question on each way, in an order that turns, so
// that none of them finds the caches warmer than the others.
func (b *bench) measureQuery(ctx context.Context, s *system) error {
	r := &b.results.query
	questions := b.corpus.questions[:min(len(b.corpus.questions), b.opts.queries)]
	for _, q := range questions[:min(len(questions), queryWarmup)] {
		if _, err := s.client.Search(ctx, tributary.SearchRequest{Query: q, K: queryK}); err != nil {
			return err
		}
	}
	for i, q := range questions {
		vectors, err := b.model.Embed(ctx, []string{q}, embedder.RoleQuery)
		if err != nil {
			return err
		}
		direct := tributary.IndexQuery{Text: q, Vector: vectors[0], Alpha: b.model.Alpha()}
		ways := []func() error{
			func() error { return r.viaNATS(ctx, s, q) },
			func() error { return s.timedCandidates(ctx, direct, queryK, &r.bare) },
			func() error { return s.timedCandidates(ctx, direct, queryCandidates, &r.wide) },
		}
		for j := range ways {
			if err := ways[(i+j)%len(ways)](); err != nil {
				return err
			}
		}
	}
	return nil
}

func (r *queryResult) viaNATS(ctx context.Context, s *system, question string) error {
	before, err := s.spent()
	if err != nil {
		return err
	}
	began := time.Now()
	rep, err := s.client.Search(ctx, tributary.SearchRequest{Query: question, K: queryK})
	if err != nil {
		return err
	}
	r.search = append(r.search, time.Since(began))
	r.hits += len(rep.Hits)
	after, err := s.spent()
	used := after.sub(before)
	r.cpu.tributary += used.tributary
	r.cpu.weaviate += used.weaviate
	return err
}

func (s *system) timedCandidates(ctx context.Context, q tributary.IndexQuery, limit int, times *[]time.Duration) error {
	q.Limit = limit
	began := time.Now()
	_, err := s.index.Candidates(ctx, kb, q)
	*times = append(*times, time.Since(began))
	return err
}
