package queryworker

import (
	"math"

	"github.com/tributary-kb/tributary"
	"github.com/tributary-kb/tributary/internal/analysis"
)

// Confidence is a logistic function of one number: of the weight of the
// query's terms, the share that one passage has, the largest of the best
// coveredPassages: of few documents only one may have the answer. Slope and
// offset are fitted, every set with the same weight, to questions asked of
// their own documents and of somebody else's: see docs/benchmarks.md and
// TestConfidenceTellsForeignQuestions.
const (
	coveredPassages  = 3
	confidenceSlope  = 17.72
	confidenceOffset = -6.66
)

// confidence estimates how likely the pool answers the query, 0 for an empty
// one. It goes by words: of a passage that says the same in other words it
// knows too little.
func (s *search) confidence(pool []*candidate) float64 {
	best := 0.0
	for _, c := range pool[:min(coveredPassages, len(pool))] {
		best = max(best, s.relevance(c))
	}
	return best
}

// relevance is the confidence that one passage gives.
func (s *search) relevance(c *candidate) float64 {
	weights, total := s.asked()
	if total == 0 {
		return 0
	}
	covered := 0.0
	for term, weight := range weights {
		if c.has(term) {
			covered += weight / total
		}
	}
	return 1 / (1 + math.Exp(-confidenceSlope*covered-confidenceOffset))
}

// asked are the terms of the query with their weights, and the sum of these.
func (s *search) asked() (weights map[string]float64, total float64) {
	if s.weights == nil {
		s.weights = map[string]float64{}
		for _, term := range analysis.Terms(s.query.Text, "") {
			s.weights[term] = s.weight(term)
		}
	}
	for _, weight := range s.weights {
		total += weight
	}
	return s.weights, total
}

// has says whether the passage, its headings or its title have the term.
func (c *candidate) has(term string) bool {
	if c.words()[term] {
		return true
	}
	if c.above == nil {
		c.above = map[string]bool{}
		head := tributary.EmbeddingText(c.Title, tributary.Chunk{Heading: c.Heading})
		for _, t := range analysis.Terms(head, "") {
			c.above[t] = true
		}
	}
	return c.above[term]
}

// weight is what a term counts: rare words say more of what is asked.
func (s *search) weight(term string) float64 {
	if s.TermWeight == nil {
		return 1
	}
	return s.TermWeight(term)
}
