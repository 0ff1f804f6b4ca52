package queryworker

import (
	"github.com/tributary-kb/tributary/internal/analysis"
)

// nearlySame is the share of common terms above which two passages are the
// same to a reader: a sentence of twenty words may differ in one.
const nearlySame = 0.9

// words returns the distinct terms of the candidate's text.
func (c *candidate) words() map[string]bool {
	if c.terms == nil {
		c.terms = map[string]bool{}
		for _, term := range analysis.Terms(c.Text, c.Language) {
			c.terms[term] = true
		}
	}
	return c.terms
}

// similarity is the share of the terms of both passages that they have in
// common (Jaccard), 0 to 1. Two passages without any term are alike if their
// texts are.
func similarity(a, b *candidate) float64 {
	x, y := a.words(), b.words()
	if len(x) > len(y) {
		x, y = y, x
	}
	common := 0
	for term := range x {
		if y[term] {
			common++
		}
	}
	switch union := len(x) + len(y) - common; {
	case union > 0:
		return float64(common) / float64(union)
	case a.Text == b.Text:
		return 1
	}
	return 0
}

// unique keeps the best of passages that are nearly the same. The order stays.
func unique(pool []*candidate) []*candidate {
	var kept []*candidate
next:
	for _, c := range pool {
		for _, k := range kept {
			if similarity(k, c) >= nearlySame {
				k.why.Merged = append(k.why.Merged, c.URI)
				continue next
			}
		}
		kept = append(kept, c)
	}
	return kept
}

// diverse picks k of the pool, which is in order of score, by maximal marginal
// relevance (Carbonell and Goldstein 1998): each next one has the greatest
// (1−d) × score − d × similarity to the nearest that is picked already. Scores
// count relative to the best one.
func diverse(pool []*candidate, k int, d float64) []*candidate {
	if len(pool) == 0 {
		return nil
	}
	best := pool[0].score
	if best <= 0 {
		best = 1
	}
	nearest := make([]float64, len(pool)) // to what is picked
	taken := make([]bool, len(pool))
	var picked []*candidate
	for len(picked) < min(k, len(pool)) {
		next, value := -1, 0.0
		for i, c := range pool {
			v := (1-d)*c.score/best - d*nearest[i]
			if !taken[i] && (next < 0 || v > value) {
				next, value = i, v
			}
		}
		taken[next] = true
		picked = append(picked, pool[next])
		for i, c := range pool {
			if !taken[i] {
				nearest[i] = max(nearest[i], similarity(pool[next], c))
			}
		}
	}
	return picked
}
