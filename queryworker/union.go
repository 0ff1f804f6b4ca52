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
	same := make([][]wideHit, 0, 2+len(a.wordings))
	for i, query := range append([]string{a.question}, a.wordings...) {
		step := ""
		if i > 0 {
			step = tributary.StepMultiQuery
		}
		hits, err := a.hits(ctx, step, query, a.req.Alpha)
		if err != nil {
			return err
		}
		same = append(same, hits)
	}
	if a.passage != "" {
		byVector := 1.0
		hits, err := a.hits(ctx, tributary.StepHyde, a.passage, &byVector)
		if err != nil {
			return err
		}
		same = append(same, hits)
	}
	lists := [][]wideHit{fused(same)}
	for _, part := range a.parts {
		hits, err := a.hits(ctx, tributary.StepDecompose, part, a.req.Alpha)
		if err != nil {
			return err
		}
		lists = append(lists, hits)
	}
	hits := inTurn(lists)
	a.passages = pack(renumbered(hits[:min(len(hits), a.k())]), a.budget)
	return nil
}

func (a *asking) k() int { return cmp.Or(a.req.K, defaultPassages) }

// hits searches for a query that step made, "" for the question itself, and
// notes what the search says. How far an imagined passage is found says nothing
// of the question.
func (a *asking) hits(ctx context.Context, step, query string, alpha *float64) ([]wideHit, error) {
	options := a.req.SearchOptions
	if options.MaxTokens == 0 && a.budget > 0 {
		options.MaxTokens = max(a.budget-passageOverhead-titleRoom, 1)
	}
	if step == tributary.StepHyde {
		options.MinRelevance = 0
	}
	reply, hits, err := a.search(ctx, a.kb, tributary.SearchRequest{
		Query: query, K: a.k(), Filter: a.req.Filter, Alpha: alpha, AtLeast: a.req.AtLeast, SearchOptions: options,
	}, a.demand)
	if err != nil {
		return nil, err
	}
	if step != tributary.StepHyde {
		a.confidence = max(a.confidence, reply.Confidence)
	}
	for _, note := range reply.Notes {
		if !slices.Contains(a.notes, note) {
			a.notes = append(a.notes, note)
		}
	}
	a.searches = append(a.searches, tributary.AskSearch{
		Query: query, Step: step, Hits: len(hits), Confidence: reply.Confidence, Explain: reply.Explain,
	})
	return hits, nil
}

// titleRoom is what is left for the title of a document that takes up all of
// the prompt, in tokens.
const titleRoom = 100

// fused joins rankings by reciprocal rank: a passage's score is the sum of
// 1/(rrfConstant + rank) over the rankings that have it. One ranking stays as
// it is.
func fused(lists [][]wideHit) []wideHit {
	if len(lists) == 1 {
		return lists[0]
	}
	scores := map[string]float64{}
	var all []wideHit
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
	slices.SortStableFunc(all, func(a, b wideHit) int { return cmp.Compare(b.Score, a.Score) })
	return all
}

// inTurn takes the best passage of each ranking, then the second, and so on,
// each passage once.
func inTurn(lists [][]wideHit) []wideHit {
	var all []wideHit
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
func renumbered(hits []wideHit) []wideHit {
	for i := range hits {
		hits[i].Rank = i + 1
	}
	return hits
}
