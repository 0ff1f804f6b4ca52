package queryworker

import (
	"math"
	"slices"
)

const (
	// defaultDocumentWeight is the weight of a document's score in that of its
	// passages, where scores are joined. Measured over six collections: see
	// docs/benchmarks.md. Joined by places it only did harm.
	defaultDocumentWeight = 0.2
	// lengthShare is the b of BM25: how much it counts against a document that
	// it has many passages.
	lengthShare = 0.75
)

// favourDocuments blends into the score of each passage that of its document,
// by the weight of its knowledge base, and puts the pool, which is in order of
// score, in order again.
func (s *search) favourDocuments(pool []*candidate) {
	documents := documentScores(pool)
	for _, c := range pool {
		if w := s.mixes[c.kb].DocumentWeight; w > 0 {
			document := documents[c.Document]
			c.score, c.why.Document = (1-w)*c.score+w*document, &document
		}
	}
	slices.SortStableFunc(pool, better)
}

// documentScores returns the score of each document of the pool: the root of
// the sum of the squares of its passages' scores there, so that good ones add
// up and poor ones count for little, less for a document of more passages than
// others. The best document has the score of the best passage, so documents of
// one passage each have that of theirs.
func documentScores(pool []*candidate) map[string]float64 {
	squares, chunks := map[string]float64{}, map[string]int{}
	all := 0
	for _, c := range pool {
		if chunks[c.Document] == 0 {
			chunks[c.Document] = len(c.record.Chunks())
			all += chunks[c.Document]
		}
		squares[c.Document] += c.score * c.score
	}
	scores, best := map[string]float64{}, 0.0
	for document, square := range squares {
		length := float64(chunks[document]*len(chunks)) / float64(all) // of the mean
		scores[document] = math.Sqrt(square / (1 - lengthShare + lengthShare*length))
		best = max(best, scores[document])
	}
	if best > 0 {
		for document := range scores {
			scores[document] *= pool[0].score / best
		}
	}
	return scores
}
