package queryworker

import (
	"context"
	"fmt"
	"math"
	"slices"

	"github.com/tributary-kb/tributary"
)

// defaultRerankTop is how many candidates a reranker is given. Beyond fifty to
// a hundred, cross-encoders are known to make results worse as well as slower.
const defaultRerankTop = 50

// Reranker scores texts by how well they answer a query: a cross-encoder, or
// a language model.
type Reranker interface {
	// Name says what reranks: "provider:model".
	Name() string
	// Rerank returns one score per text, in their order; higher is better.
	Rerank(ctx context.Context, query string, texts []string) ([]float64, error)
}

// rerank gives the best of the pool the reranker's scores and returns only
// those, so that scores of one kind are compared. Where there is no reranker,
// or it fails, the pool stays; a failure becomes a note.
func (s *search) rerank(ctx context.Context, pool []*candidate) []*candidate {
	wanted := s.req.Rerank == nil || *s.req.Rerank
	if s.Reranker == nil {
		if s.req.Rerank != nil && wanted {
			s.notes = append(s.notes, "not reranked: no reranker is configured (reranker.provider)")
		}
		return pool
	}
	if !wanted || len(pool) == 0 {
		return pool
	}
	size := 0
	end := s.step("rerank")
	defer func() { end(); s.steps[len(s.steps)-1].Tokens = size }()
	top := s.RerankTop
	if top == 0 {
		top = defaultRerankTop
	}
	best := pool[:min(max(top, s.k), len(pool))]
	texts := make([]string, len(best))
	for i, c := range best {
		texts[i] = tributary.EmbeddingText(c.Title, tributary.Chunk{Heading: c.Heading, Text: c.Text})
		size += tokens(texts[i])
	}
	scores, err := s.Reranker.Rerank(ctx, s.query.Text, texts)
	if err == nil && len(scores) != len(texts) {
		err = fmt.Errorf("%d scores for %d texts", len(scores), len(texts))
	}
	if i := slices.IndexFunc(scores, notFinite); err == nil && i >= 0 {
		err = fmt.Errorf("text %d of %d has the score %v", i+1, len(texts), scores[i])
	}
	if err != nil {
		s.notes = append(s.notes, fmt.Sprintf("not reranked: %s: %v", s.Reranker.Name(), err))
		return pool
	}
	for i, c := range best {
		c.score, c.why.Rerank = scores[i], &scores[i]
	}
	best = slices.Clone(best)
	slices.SortStableFunc(best, better)
	return best
}

func notFinite(x float64) bool { return math.IsNaN(x) || math.IsInf(x, 0) }
