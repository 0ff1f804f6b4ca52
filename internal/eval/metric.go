package eval

import (
	"math"
	"slices"
)

// Judgements are the grades that people gave to documents for one query, by
// document. A document with a grade above 0 is relevant; one that is not named
// is not.
type Judgements map[string]float64

// Relevant counts the relevant documents.
func (j Judgements) Relevant() int {
	n := 0
	for _, grade := range j {
		if grade > 0 {
			n++
		}
	}
	return n
}

// NDCG is the normalised discounted cumulative gain of the first k of ranked,
// 0 to 1: the grade of rank r counts divided by log2(r+1), and the sum is
// divided by that of the best ranking (Järvelin and Kekäläinen 2002, with the
// grade itself as gain, as trec_eval has it). A document that comes again
// counts once. It is 0 where nothing is relevant.
func NDCG(ranked []string, j Judgements, k int) float64 {
	var grades []float64
	for _, grade := range j {
		grades = append(grades, max(grade, 0))
	}
	slices.Sort(grades)
	slices.Reverse(grades)
	best := dcg(grades, k)
	if best == 0 {
		return 0
	}
	var gains []float64
	for _, document := range distinct(ranked) {
		gains = append(gains, max(j[document], 0))
	}
	return dcg(gains, k) / best
}

func dcg(gains []float64, k int) float64 {
	sum := 0.0
	for i, gain := range gains[:min(k, len(gains))] {
		sum += gain / math.Log2(float64(i)+2)
	}
	return sum
}

// Recall is the share of the relevant documents that are among the first k of
// ranked; 0 where nothing is relevant.
func Recall(ranked []string, j Judgements, k int) float64 {
	relevant := j.Relevant()
	if relevant == 0 {
		return 0
	}
	found := 0
	ranked = distinct(ranked)
	for _, document := range ranked[:min(k, len(ranked))] {
		if j[document] > 0 {
			found++
		}
	}
	return float64(found) / float64(relevant)
}

// ReciprocalRank is 1/r of the first relevant document among the first k of
// ranked, 0 if there is none. Its mean over queries is MRR.
func ReciprocalRank(ranked []string, j Judgements, k int) float64 {
	ranked = distinct(ranked)
	for i, document := range ranked[:min(k, len(ranked))] {
		if j[document] > 0 {
			return 1 / float64(i+1)
		}
	}
	return 0
}

// AveragePrecision is the mean, over the relevant documents, of the precision
// at the rank where each stands; one that ranked lacks counts 0. Its mean over
// queries is MAP.
func AveragePrecision(ranked []string, j Judgements) float64 {
	relevant := j.Relevant()
	if relevant == 0 {
		return 0
	}
	found, sum := 0, 0.0
	for i, document := range distinct(ranked) {
		if j[document] > 0 {
			found++
			sum += float64(found) / float64(i+1)
		}
	}
	return sum / float64(relevant)
}

// AUC is the probability that a positive value is above a negative one, ties
// counting half: the area under the ROC curve. It is NaN where either is empty.
func AUC(positive, negative []float64) float64 {
	sum := 0.0
	for _, p := range positive {
		for _, n := range negative {
			switch {
			case p > n:
				sum++
			case p == n:
				sum += .5
			}
		}
	}
	return sum / float64(len(positive)*len(negative))
}

// distinct keeps the first of equal documents: passages rank, documents are
// judged.
func distinct(ranked []string) []string {
	seen := make(map[string]bool, len(ranked))
	out := make([]string, 0, len(ranked))
	for _, document := range ranked {
		if !seen[document] {
			seen[document] = true
			out = append(out, document)
		}
	}
	return out
}
