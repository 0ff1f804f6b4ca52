package queryworker

import (
	"context"

	"github.com/tributary-kb/tributary"
)

// explain tells how the reply came about, nil if nobody asked.
func (s *search) explain(ctx context.Context, r round) (*tributary.SearchExplain, error) {
	if !s.req.Explain {
		return nil, nil //nolint:nilnil // nobody asked, and nothing is wrong
	}
	filtered, err := s.filtered(ctx)
	if err != nil {
		return nil, err
	}
	e := &tributary.SearchExplain{
		Mix: s.mixes[s.kbs[0]], Seeded: s.seeded,
		Keywords: r.keywords, Vectors: r.vectors, Dropped: r.dropped,
		Filtered: filtered, Below: s.below, Irrelevant: s.irrelevant, Steps: s.steps,
	}
	if len(s.kbs) > 1 {
		e.KBs = s.mixes
	}
	return e, nil
}

// filtered asks once more without the filter and counts what each of its
// fields keeps out.
func (s *search) filtered(ctx context.Context) (map[string]int, error) {
	if s.req.Filter.IsZero() {
		return nil, nil
	}
	defer s.step("explain the filter")()
	open := *s
	open.query.Filter = tributary.Filter{}
	keywords, vectors, err := open.retrieve(ctx, min(max(2*s.k+16, minCandidates), maxCandidates))
	if err != nil {
		return nil, err
	}
	counts := map[string]int{}
	for _, c := range fuse(keywords, vectors, s.mixes) {
		current, err := s.place(ctx, c)
		if err != nil {
			return nil, err
		}
		if !current {
			continue
		}
		for _, name := range s.req.Filter.Failing(c.Object) {
			counts[name]++
		}
	}
	return counts, nil
}
