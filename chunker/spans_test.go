package chunker

import (
	"bufio"
	"encoding/json"
	"errors"
	"io/fs"
	"maps"
	"math"
	"os"
	"path/filepath"
	"slices"
	"sort"
	"strings"
	"testing"

	"github.com/tributary-kb/tributary"
	"github.com/tributary-kb/tributary/internal/analysis"
)

// TestRetrievedChunksHoldTheAnswers reports which share of the characters that
// answer a question is in the chunks that a plain BM25 over stemmed terms puts
// first, within a budget of characters. The floor is well below the figures
// that are logged; it catches a chunker that has become useless.
func TestRetrievedChunksHoldTheAnswers(t *testing.T) {
	docs, questions := spans(t)
	var passages []passage
	for _, id := range slices.Sorted(maps.Keys(docs)) {
		text := docs[id]
		for _, c := range chunk(t, Chunker{}, tributary.Document{Text: text}) {
			passages = append(passages, passage{doc: id, start: c.Start, end: c.End, terms: analysis.Terms(c.Text, "")})
		}
	}
	index := newBM25(passages)
	for _, budget := range []int{4000, 8000} {
		sum := 0.0
		for _, q := range questions {
			sum += q.recall(index.retrieve(q.Text, budget))
		}
		recall := sum / float64(len(questions))
		t.Logf("%d chunks, %d questions: recall %.3f within %d characters", len(passages), len(questions), recall, budget)
		if recall < 0.7 {
			t.Errorf("recall %.3f within %d characters, want at least 0.7", recall, budget)
		}
	}
}

type passage struct {
	doc        string
	start, end int
	terms      []string
}

type question struct {
	Text  string
	Spans []passage
}

// recall is the share of the bytes of q's spans that hits cover.
func (q question) recall(hits []passage) float64 {
	covered, total := 0, 0
	for _, s := range q.Spans {
		total += s.end - s.start
		for _, h := range hits {
			if h.doc == s.doc {
				covered += max(0, min(h.end, s.end)-max(h.start, s.start))
			}
		}
	}
	return float64(covered) / float64(total)
}

// A bm25 ranks passages (k1 1.2, b 0.75).
type bm25 struct {
	passages []passage
	postings map[string]map[int]float64 // term, passage, frequency
	mean     float64                    // terms of a passage
}

func newBM25(passages []passage) *bm25 {
	x := &bm25{passages: passages, postings: map[string]map[int]float64{}}
	for i, p := range passages {
		for _, term := range p.terms {
			if x.postings[term] == nil {
				x.postings[term] = map[int]float64{}
			}
			x.postings[term][i]++
		}
		x.mean += float64(len(p.terms)) / float64(len(passages))
	}
	return x
}

// retrieve returns the best passages, the last one shortened, of budget bytes
// in all.
func (x *bm25) retrieve(query string, budget int) []passage {
	scores, order := make([]float64, len(x.passages)), make([]int, len(x.passages))
	n := float64(len(x.passages))
	for _, term := range analysis.Terms(query, "") {
		df := float64(len(x.postings[term]))
		idf := math.Log(1 + (n-df+.5)/(df+.5))
		for i, tf := range x.postings[term] {
			scores[i] += idf * tf * 2.2 / (tf + 1.2*(.25+.75*float64(len(x.passages[i].terms))/x.mean))
		}
	}
	for i := range order {
		order[i] = i
	}
	sort.SliceStable(order, func(a, b int) bool { return scores[order[a]] > scores[order[b]] })
	var hits []passage
	for _, i := range order {
		if budget <= 0 {
			break
		}
		p := x.passages[i]
		p.end = min(p.end, p.start+budget)
		budget -= p.end - p.start
		hits = append(hits, p)
	}
	return hits
}

// spans reads the documents and the questions with their answers' places.
func spans(t *testing.T) (docs map[string]string, questions []question) {
	dir := filepath.Join(corpora(t), "qa-chunking-spans")
	docs = map[string]string{}
	var doc struct {
		ID   string `json:"_id"`
		Text string `json:"text"`
	}
	readLines(t, filepath.Join(dir, "corpus.jsonl"), &doc, func() { docs[doc.ID] = doc.Text })
	asked := map[string]string{}
	readLines(t, filepath.Join(dir, "queries.jsonl"), &doc, func() { asked[doc.ID] = doc.Text })
	var answer struct {
		ID    string `json:"_id"`
		Spans []struct{ Doc, Text string }
	}
	readLines(t, filepath.Join(dir, "answers.jsonl"), &answer, func() {
		q := question{Text: asked[answer.ID]}
		for _, s := range answer.Spans {
			// The set counts characters, chunks count bytes; the text says where.
			if start := strings.Index(docs[s.Doc], s.Text); start >= 0 {
				q.Spans = append(q.Spans, passage{doc: s.Doc, start: start, end: start + len(s.Text)})
			}
		}
		if len(q.Spans) > 0 {
			questions = append(questions, q)
		}
	})
	return docs, questions
}

// readLines decodes each line of a JSON Lines file into v and calls each.
func readLines(t *testing.T, path string, v any, each func()) {
	t.Helper()
	f, err := os.Open(path)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	in := bufio.NewScanner(f)
	in.Buffer(nil, 1<<26)
	for in.Scan() {
		if err := json.Unmarshal(in.Bytes(), v); err != nil {
			t.Fatal(err)
		}
		each()
	}
	if err := in.Err(); err != nil {
		t.Fatal(err)
	}
}

// corpora finds the folder of test corpora beside the repository.
func corpora(t *testing.T) string {
	t.Helper()
	dir, err := os.Getwd()
	if err != nil {
		t.Fatal(err)
	}
	for {
		data := filepath.Join(dir, "shared", "data")
		if _, err := os.Stat(data); err == nil {
			return data
		} else if !errors.Is(err, fs.ErrNotExist) {
			t.Fatal(err)
		}
		parent := filepath.Dir(dir)
		if parent == dir {
			t.Skip("the test corpora (shared/data beside the repository) are not here")
		}
		dir = parent
	}
}
