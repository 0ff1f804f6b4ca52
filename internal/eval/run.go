package eval

import (
	"context"
	"fmt"
	"slices"
	"time"
)

// A Ranker returns the documents that a system finds for a query, best first.
// A document may come several times, once for each passage.
type Ranker func(ctx context.Context, query string) ([]string, error)

// A Run is how one system did on the queries of a Dataset, in their order.
type Run struct {
	Name    string   `json:"name"`
	Results []Result `json:"results"`
	// Unanswerable are the queries that nothing in the collection answers: it is
	// right to say so. They count in no other metric than their own.
	Unanswerable []Result `json:"unanswerable,omitempty"`
	// Judge names the model whose opinions the answers have, "" for none;
	// Unread counts its replies that were no opinion.
	Judge  string `json:"judge,omitempty"`
	Unread int    `json:"unreadable,omitempty"`
}

// A Result is how a system did on one query.
type Result struct {
	ID      string  `json:"id"`
	NDCG    float64 `json:"ndcg_10"`
	Recall  float64 `json:"recall_10"`
	Deep    float64 `json:"recall_100"`
	MRR     float64 `json:"mrr_10"`
	AP      float64 `json:"map"` // over what was returned
	Seconds float64 `json:"seconds"`
	// Of the answer, if one was asked for.
	Answer *AnswerResult `json:"answer,omitempty"`
	// Unanswerable is of a query that nothing answers.
	Unanswerable bool `json:"unanswerable,omitempty"`
}

// Rank asks the rankers every query, by turns so that the machine's moods hit
// all alike, and returns a Run for each, under its name of names. It calls step
// after each query, and ends at the first error.
func Rank(ctx context.Context, set Dataset, names []string, rankers []Ranker, step func()) ([]Run, error) {
	runs := make([]Run, 0, len(rankers))
	for _, name := range names {
		runs = append(runs, Run{Name: name})
	}
	for _, q := range set.Queries {
		for i, rank := range rankers {
			began := time.Now()
			ranked, err := rank(ctx, q.Text)
			if err != nil {
				return nil, fmt.Errorf("query %s: %w", q.ID, err)
			}
			runs[i].Results = append(runs[i].Results, judge(q, ranked, time.Since(began)))
		}
		step()
	}
	return runs, nil
}

func judge(q Query, ranked []string, took time.Duration) Result {
	return Result{
		ID: q.ID, Seconds: took.Seconds(),
		NDCG: NDCG(ranked, q.Relevant, 10), Recall: Recall(ranked, q.Relevant, 10), Deep: Recall(ranked, q.Relevant, 100),
		MRR: ReciprocalRank(ranked, q.Relevant, 10), AP: AveragePrecision(ranked, q.Relevant),
	}
}

// Metrics are what is measured of a ranking, in the order in which reports show
// it.
var Metrics = []Metric{
	{"nDCG@10", ranked(func(r Result) float64 { return r.NDCG })},
	{"recall@10", ranked(func(r Result) float64 { return r.Recall })},
	{"recall@100", ranked(func(r Result) float64 { return r.Deep })},
	{"MRR@10", ranked(func(r Result) float64 { return r.MRR })},
	{"MAP", ranked(func(r Result) float64 { return r.AP })},
	{"exact match", answered(func(a AnswerResult) float64 { return a.Exact })},
	{"token F1", answered(func(a AnswerResult) float64 { return a.F1 })},
	{"ROUGE-L", answered(func(a AnswerResult) float64 { return a.RougeL })},
	{"citation precision", cited(func(a AnswerResult) float64 { return a.CitationPrecision })},
	{"citation recall", cited(func(a AnswerResult) float64 { return a.CitationRecall })},
	{"abstained", abstained(false)},
	{"abstained, unanswerable", abstained(true)},
}

// A Metric is a number per query, 0 to 1; false where it does not apply.
type Metric struct {
	Name string
	Of   func(Result) (float64, bool)
}

// ranked is a metric of the queries that have a relevant document.
func ranked(of func(Result) float64) func(Result) (float64, bool) {
	return func(r Result) (float64, bool) { return of(r), !r.Unanswerable }
}

// abstained is the share of the queries, answerable or not, for which the
// system said that it has no answer.
func abstained(unanswerable bool) func(Result) (float64, bool) {
	return func(r Result) (float64, bool) {
		if r.Answer == nil || r.Unanswerable != unanswerable {
			return 0, false
		}
		return share(r.Answer.Abstained), true
	}
}

// answered is a metric of the answers that have a reference.
func answered(of func(AnswerResult) float64) func(Result) (float64, bool) {
	return func(r Result) (float64, bool) {
		if r.Answer == nil || !r.Answer.Reference {
			return 0, false
		}
		return of(*r.Answer), true
	}
}

// cited is a metric of the answers that were given.
func cited(of func(AnswerResult) float64) func(Result) (float64, bool) {
	return func(r Result) (float64, bool) {
		if r.Answer == nil || r.Answer.Abstained || r.Unanswerable {
			return 0, false
		}
		return of(*r.Answer), true
	}
}

func share(yes bool) float64 {
	if yes {
		return 1
	}
	return 0
}

func (r Run) all() []Result { return slices.Concat(r.Results, r.Unanswerable) }

// Values returns the metric of each query to which it applies.
func (r Run) Values(m Metric) []float64 {
	var values []float64
	for _, q := range r.all() {
		if v, ok := m.Of(q); ok {
			values = append(values, v)
		}
	}
	return values
}

// Latency returns the p-th percentile, 0 to 100, of the seconds that a query
// took; 0 without queries.
func (r Run) Latency(p int) float64 {
	if len(r.Results) == 0 {
		return 0
	}
	times := make([]float64, len(r.Results))
	for i, q := range r.Results {
		times[i] = q.Seconds
	}
	slices.Sort(times)
	return times[min(p*len(times)/100, len(times)-1)]
}

// paired returns the metric of both runs on the queries to which it applies in
// both.
func paired(a, b Run, m Metric) (x, y []float64) {
	other := make(map[string]Result, len(b.Results)+len(b.Unanswerable))
	for _, q := range b.all() {
		other[q.ID] = q
	}
	for _, q := range a.all() {
		p, ok := other[q.ID]
		if !ok {
			continue
		}
		v, here := m.Of(q)
		w, there := m.Of(p)
		if here && there {
			x, y = append(x, v), append(y, w)
		}
	}
	return x, y
}
