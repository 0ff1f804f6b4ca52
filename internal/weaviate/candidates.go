package weaviate

import (
	"context"

	tributary "github.com/tributary-kb/tributary"
)

// Candidates returns the objects that fit q best, at most q.Limit (1 to
// 10,000), in falling order of score; nil if none does.
//
// Keywords and vector are fused by relative score. Without a vector only the
// keywords count, and the score is BM25; only the vector counts where the text
// has no term that could be looked for, and the score is the cosine; without
// either, there is no candidate. Any text is a valid query.
//
// With its default settings Weaviate 1.35 ranks keywords wrongly in what it has
// not flushed to disk yet, up to 60 seconds after a write: of more matches than
// the limit it returns the first instead of the best. A server that runs with
// USE_INVERTED_SEARCHABLE=false, set before the collection is created, ranks
// them right at once; PERSISTENCE_MEMTABLES_FLUSH_DIRTY_AFTER_SECONDS=1 makes
// the time short, and queries during an import many times cheaper.
func (s *Store) Candidates(ctx context.Context, kb string, q tributary.IndexQuery) ([]tributary.Candidate, error) {
	if err := checkQuery(q); err != nil {
		return nil, err
	}
	g, score := new(get), "score"
	switch terms := analyse(q.Text); {
	case terms == "" && q.Vector == nil:
		return nil, nil
	case q.Vector == nil:
		g.bm25(terms)
	case terms == "":
		g.nearVector(q.Vector)
		score = "distance"
	default:
		g.hybrid(terms, q.Vector, q.Alpha)
	}
	g.where(filter(q.Filter))
	g.limit(q.Limit)
	found, err := run[stored](ctx, s, kb, g, fields+" _additional{id "+score+"}")
	if err != nil {
		return nil, err
	}
	for i, f := range found {
		if score == "distance" {
			found[i].Additional.Score = 1 - f.Additional.Distance
		}
	}
	return candidates(found, q.Filter)
}

func checkQuery(q tributary.IndexQuery) error {
	if q.Limit < 1 || q.Limit > maxResults {
		return tributary.Errorf(tributary.CodeInvalid, "query for %d candidates, want 1 to %d", q.Limit, maxResults)
	}
	if !(q.Alpha >= 0 && q.Alpha <= 1) {
		return tributary.Errorf(tributary.CodeInvalid, "query with alpha %v, want 0 to 1", q.Alpha)
	}
	if q.Vector == nil {
		return nil
	}
	if err := q.Vector.Check(len(q.Vector)); err != nil {
		return tributary.Errorf(tributary.CodeInvalid, "query: %w", err)
	}
	return nil
}

func candidates(found []stored, f tributary.Filter) ([]tributary.Candidate, error) {
	var out []tributary.Candidate
	for _, hit := range found {
		o, err := hit.object()
		if err != nil {
			return nil, err
		}
		if f.Match(o) {
			out = append(out, tributary.Candidate{Object: o, Score: hit.Additional.Score})
		}
	}
	return out, nil
}
