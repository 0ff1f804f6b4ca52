package queryworker

import (
	"cmp"
	"context"
	"slices"

	"github.com/tributary-kb/tributary"
)

// rrfConstant is the k of reciprocal rank fusion, as its authors have it
// (Cormack, Clarke and Büttcher, 2009).
const rrfConstant = 60

// find searches for the question and for what the steps made of it, and packs
// what was found. Wordings and the imagined passage are other ways to the same
// passages, so their rankings are fused; the parts of a question each have a
// right to a place, so their rankings take turns.
func (a *asking) find(ctx context.Context) error {
	same := make([][]tributary.Hit, 0, 2+len(a.wordings))
	for _, query := range append([]string{a.question}, a.wordings...) {
		hits, err := a.hits(ctx, query, a.req.Alpha)
		if err != nil {
			return err
		}
		same = append(same, hits)
	}
	if a.passage != "" {
		byVector := 1.0
		hits, err := a.hits(ctx, a.passage, &byVector)
		if err != nil {
			return err
		}
		same = append(same, hits)
	}
	lists := [][]tributary.Hit{fused(same)}
	for _, part := range a.parts {
		hits, err := a.hits(ctx, part, a.req.Alpha)
		if err != nil {
			return err
		}
		lists = append(lists, hits)
	}
	hits := inTurn(lists)
	a.passages = pack(renumbered(hits[:min(len(hits), a.k())]), a.MaxContextTokens)
	return nil
}

func (a *asking) k() int { return cmp.Or(a.req.K, defaultPassages) }

func (a *asking) hits(ctx context.Context, query string, alpha *float64) ([]tributary.Hit, error) {
	found, err := a.Search(ctx, a.kb, tributary.SearchRequest{
		Query: query, K: a.k(), Filter: a.req.Filter, Alpha: alpha, AtLeast: a.req.AtLeast,
	})
	return found.Hits, err
}

// fused joins rankings by reciprocal rank: a passage's score is the sum of
// 1/(rrfConstant + rank) over the rankings that have it. One ranking stays as
// it is.
func fused(lists [][]tributary.Hit) []tributary.Hit {
	if len(lists) == 1 {
		return lists[0]
	}
	scores := map[string]float64{}
	var all []tributary.Hit
	for _, list := range lists {
		for _, h := range list {
			if scores[h.ID] == 0 {
				all = append(all, h)
			}
			scores[h.ID] += 1 / float64(rrfConstant+h.Rank)
		}
	}
	for i := range all {
		all[i].Score = scores[all[i].ID]
	}
	slices.SortStableFunc(all, func(a, b tributary.Hit) int { return cmp.Compare(b.Score, a.Score) })
	return all
}

// inTurn takes the best passage of each ranking, then the second, and so on,
// each passage once.
func inTurn(lists [][]tributary.Hit) []tributary.Hit {
	var all []tributary.Hit
	seen := map[string]bool{}
	for place, more := 0, true; more; place++ {
		more = false
		for _, list := range lists {
			if place >= len(list) {
				continue
			}
			more = true
			if h := list[place]; !seen[h.ID] {
				seen[h.ID] = true
				all = append(all, h)
			}
		}
	}
	return all
}

// renumbered gives hits the ranks of their order.
func renumbered(hits []tributary.Hit) []tributary.Hit {
	for i := range hits {
		hits[i].Rank = i + 1
	}
	return hits
}
