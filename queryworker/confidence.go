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
	weights := s.asked(c.Language)
	if len(weights) == 0 {
		return 0
	}
	covered := 0.0
	for term, weight := range weights {
		if c.has(term) {
			covered += weight
		}
	}
	return 1 / (1 + math.Exp(-confidenceSlope*covered-confidenceOffset))
}

// asked are the terms of the query, analysed as passages of the language are,
// with their weights, whose sum is 1.
func (s *search) asked(lang string) map[string]float64 {
	if known, ok := s.weights[lang]; ok {
		return known
	}
	weights := map[string]float64{}
	for _, term := range analysis.Terms(s.query.Text, lang) {
		weights[term] = weightIn(lang, s.TermWeight, term)
	}
	s.weights[lang] = normalised(weights)
	return s.weights[lang]
}

// normalised divides weights by their sum.
func normalised(weights map[string]float64) map[string]float64 {
	total := 0.0
	for _, term := range sortedKeys(weights) { // a sum of floats depends on its order
		total += weights[term]
	}
	for term := range weights {
		weights[term] /= total
	}
	return weights
}

// weightIn is what a term of a language counts: rare words say more of what is
// asked. The weights are those of English, so terms of others count alike.
func weightIn(lang string, weight func(term string) float64, term string) float64 {
	if weight == nil || lang != "" && lang != "en" {
		return 1
	}
	return weight(term)
}

// has says whether the passage, its headings or its title have the term.
func (c *candidate) has(term string) bool {
	if c.words()[term] {
		return true
	}
	if c.above == nil {
		c.above = map[string]bool{}
		head := tributary.EmbeddingText(c.Title, tributary.Chunk{Heading: c.Heading})
		for _, t := range analysis.Terms(head, c.Language) {
			c.above[t] = true
		}
	}
	return c.above[term]
}
