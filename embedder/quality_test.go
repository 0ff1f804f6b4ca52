package embedder

import (
	"bufio"
	"encoding/json"
	"errors"
	"io/fs"
	"math"
	"os"
	"path/filepath"
	"slices"
	"sort"
	"strconv"
	"strings"
	"testing"

	"github.com/tributary-kb/tributary"
	"github.com/tributary-kb/tributary/internal/analysis"
)

// TestLexicalVectorsHelpKeywords ranks the documents of test collections by
// BM25 over stemmed terms, by the lexical vectors, and by both, and logs
// nDCG@10. The vectors must not make the mean of the collections worse.
func TestLexicalVectorsHelpKeywords(t *testing.T) {
	dir := corpora(t)
	sum := map[string]float64{}
	for _, name := range []string{"ir-adi", "ir-med", "qa-company-docs", "qa-anthropic-docs"} {
		c := readCollection(t, filepath.Join(dir, name))
		got := c.evaluate(t, newLexical(Config{}))
		t.Logf("%-18s keywords %.4f, vectors %.4f, both %.4f", name, got["keywords"], got["vectors"], got["both"])
		for k, v := range got {
			sum[k] += v
		}
	}
	if sum["both"] < sum["keywords"] {
		t.Errorf("sum of nDCG@10 with vectors %.4f, without %.4f", sum["both"], sum["keywords"])
	}
}

// A collection is a set of documents and of queries with judgements.
type collection struct {
	docs    []string
	ids     map[string]int
	queries map[string]string
	judged  map[string]map[int]float64
}

// evaluate returns the mean nDCG@10 of each way to rank.
func (c *collection) evaluate(t *testing.T, m lexical) map[string]float64 {
	index := newBM25(c.docs)
	vectors, err := m.Embed(t.Context(), c.docs, RoleDocument)
	if err != nil {
		t.Fatal(err)
	}
	sums := map[string]float64{}
	for id, judged := range c.judged {
		keywords := index.scores(c.queries[id])
		query := m.vector(c.queries[id])
		near := make([]float64, len(vectors))
		for i, v := range vectors {
			near[i] = dot(query, v)
		}
		sums["keywords"] += ndcg(keywords, judged)
		sums["vectors"] += ndcg(near, judged)
		sums["both"] += ndcg(fuse(keywords, near, m.Alpha()), judged)
	}
	for k := range sums {
		sums[k] /= float64(len(c.judged))
	}
	return sums
}

// fuse adds the scores of the best hundred of both, each scaled to 0..1.
func fuse(keywords, near []float64, alpha float64) []float64 {
	out := make([]float64, len(keywords))
	for _, part := range []struct {
		scores []float64
		weight float64
	}{{keywords, 1 - alpha}, {near, alpha}} {
		best := ranked(part.scores)
		best = best[:min(100, len(best))]
		high, low := part.scores[best[0]], part.scores[best[len(best)-1]]
		for _, i := range best {
			if high > low {
				out[i] += part.weight * (part.scores[i] - low) / (high - low)
			}
		}
	}
	return out
}

func ranked(scores []float64) []int {
	order := make([]int, len(scores))
	for i := range order {
		order[i] = i
	}
	sort.SliceStable(order, func(a, b int) bool { return scores[order[a]] > scores[order[b]] })
	return order
}

func ndcg(scores []float64, judged map[int]float64) float64 {
	got, best := 0.0, 0.0
	for rank, i := range ranked(scores)[:10] {
		if scores[i] > 0 {
			got += judged[i] / math.Log2(float64(rank)+2)
		}
	}
	gains := []float64{}
	for _, g := range judged {
		gains = append(gains, g)
	}
	slices.Sort(gains)
	slices.Reverse(gains)
	for rank, g := range gains[:min(10, len(gains))] {
		best += g / math.Log2(float64(rank)+2)
	}
	return got / best
}

func dot(a, b tributary.Vector) float64 {
	sum := 0.0
	for i := range a {
		sum += float64(a[i]) * float64(b[i])
	}
	return sum
}

// bm25 is an inverted index (k1 1.2, b 0.75).
type bm25 struct {
	postings map[string]map[int]float64
	length   []float64
	mean     float64
}

func newBM25(docs []string) *bm25 {
	x := &bm25{postings: map[string]map[int]float64{}}
	for i, doc := range docs {
		terms := analysis.Terms(doc, "")
		for _, term := range terms {
			if x.postings[term] == nil {
				x.postings[term] = map[int]float64{}
			}
			x.postings[term][i]++
		}
		x.length = append(x.length, float64(len(terms)))
		x.mean += float64(len(terms)) / float64(len(docs))
	}
	return x
}

func (x *bm25) scores(query string) []float64 {
	out := make([]float64, len(x.length))
	n := float64(len(x.length))
	for _, term := range analysis.Terms(query, "") {
		df := float64(len(x.postings[term]))
		idf := math.Log(1 + (n-df+.5)/(df+.5))
		for i, tf := range x.postings[term] {
			out[i] += idf * tf * 2.2 / (tf + 1.2*(.25+.75*x.length[i]/x.mean))
		}
	}
	return out
}

func readCollection(t *testing.T, dir string) *collection {
	t.Helper()
	c := &collection{ids: map[string]int{}, queries: map[string]string{}, judged: map[string]map[int]float64{}}
	var doc struct {
		ID    string `json:"_id"`
		Title string `json:"title"`
		Text  string `json:"text"`
	}
	eachLine(t, filepath.Join(dir, "corpus.jsonl"), func(line []byte) {
		doc.Title = ""
		unmarshal(t, line, &doc)
		c.ids[doc.ID] = len(c.docs)
		c.docs = append(c.docs, doc.Title+"\n\n"+doc.Text)
	})
	eachLine(t, filepath.Join(dir, "queries.jsonl"), func(line []byte) {
		unmarshal(t, line, &doc)
		c.queries[doc.ID] = doc.Text
	})
	eachLine(t, filepath.Join(dir, "qrels.tsv"), func(line []byte) {
		f := strings.Split(string(line), "\t")
		gain, err := strconv.ParseFloat(f[2], 64)
		if i, ok := c.ids[f[1]]; err == nil && ok && gain > 0 {
			if c.judged[f[0]] == nil {
				c.judged[f[0]] = map[int]float64{}
			}
			c.judged[f[0]][i] = gain
		}
	})
	return c
}

func unmarshal(t *testing.T, data []byte, v any) {
	t.Helper()
	if err := json.Unmarshal(data, v); err != nil {
		t.Fatal(err)
	}
}

func eachLine(t *testing.T, path string, each func([]byte)) {
	t.Helper()
	f, err := os.Open(path)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	in := bufio.NewScanner(f)
	in.Buffer(nil, 1<<26)
	for in.Scan() {
		each(in.Bytes())
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
