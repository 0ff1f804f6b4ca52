package queryworker

import (
	"bufio"
	"cmp"
	"encoding/json"
	"errors"
	"io/fs"
	"math"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/tributary-kb/tributary"
	"github.com/tributary-kb/tributary/internal/analysis"
)

// company is a corpus of two invented companies, cut into passages of about
// 900 bytes at paragraphs, with a plain BM25 over them.
type company struct {
	passages []Passage
	terms    []map[string]int
	lengths  []int
	idf      map[string]float64
	mean     float64
	answers  []goldAnswer
}

type goldAnswer struct {
	ID    string `json:"_id"`
	Org   string
	Facts []struct{ Doc, Text string }
}

// readLines reads a file of ../shared/data, and skips the test without it.
func readLines[T any](t *testing.T, name string) []T {
	t.Helper()
	path := filepath.Join("..", "..", "shared", "data", "qa-company-docs", name)
	f, err := os.Open(path)
	if errors.Is(err, fs.ErrNotExist) {
		t.Skipf("the corpus is not here (%s)", path)
	}
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	lines := bufio.NewScanner(f)
	lines.Buffer(nil, 1<<20)
	var all []T
	for lines.Scan() {
		var one T
		if err := json.Unmarshal(lines.Bytes(), &one); err != nil {
			t.Fatal(err)
		}
		all = append(all, one)
	}
	if err := lines.Err(); err != nil {
		t.Fatal(err)
	}
	return all
}

func readCompany(t *testing.T) *company {
	t.Helper()
	type text struct {
		ID          string `json:"_id"`
		Title, Text string
	}
	c := &company{idf: map[string]float64{}, answers: readLines[goldAnswer](t, "answers.jsonl")}
	for _, d := range readLines[text](t, "corpus.jsonl") {
		part := ""
		for paragraph := range strings.SplitSeq(d.Text, "\n\n") {
			if len(part)+len(paragraph) > 900 {
				c.add(d.ID, d.Title, part)
				part = ""
			}
			part += paragraph + "\n\n"
		}
		c.add(d.ID, d.Title, part)
	}
	n := float64(len(c.passages))
	for term, df := range c.idf {
		c.idf[term] = math.Log(1 + (n-df+0.5)/(df+0.5))
	}
	c.mean /= n
	return c
}

func (c *company) add(uri, title, text string) {
	if strings.TrimSpace(text) == "" {
		return
	}
	terms := map[string]int{}
	all := analysis.Terms(title+"\n"+text, "en")
	for _, term := range all {
		if terms[term]++; terms[term] == 1 {
			c.idf[term]++
		}
	}
	n := len(c.passages) + 1
	c.passages = append(c.passages, Passage{N: n, Hit: tributary.Hit{URI: uri, Title: title, Text: text, Language: "en", ID: uri}})
	c.terms, c.lengths = append(c.terms, terms), append(c.lengths, len(all))
	c.mean += float64(len(all))
}

// top returns the k passages of the documents that ok lets through which fit
// text best: BM25 with k1 1.2 and b 0.75.
func (c *company) top(text string, k int, ok func(uri string) bool) []Passage {
	type scored struct {
		at    int
		score float64
	}
	var found []scored
	query := analysis.Terms(text, "en")
	for i, terms := range c.terms {
		if !ok(c.passages[i].URI) {
			continue
		}
		score := 0.0
		for _, term := range query {
			tf := float64(terms[term])
			score += c.idf[term] * tf * 2.2 / (tf + 1.2*(0.25+0.75*float64(c.lengths[i])/c.mean))
		}
		found = append(found, scored{i, score})
	}
	slices.SortStableFunc(found, func(a, b scored) int { return cmp.Compare(b.score, a.score) })
	var best []Passage
	for _, s := range found[:min(k, len(found))] {
		best = append(best, c.passages[s.at])
	}
	return best
}

// auc is the chance that a score of good is above one of bad; ties count half.
func auc(good, bad []float64) float64 {
	wins := 0.0
	for _, g := range good {
		for _, b := range bad {
			switch {
			case g > b:
				wins++
			case g == b:
				wins += 0.5
			}
		}
	}
	return wins / float64(len(good)*len(bad))
}

func share(scores []float64, ok func(float64) bool) float64 {
	n := 0
	for _, s := range scores {
		if ok(s) {
			n++
		}
	}
	return float64(n) / float64(len(scores))
}

func TestSupportIsMeasured(t *testing.T) {
	c := readCompany(t)
	e := &support{terms: analysis.Terms}
	var own, near, far, changed []float64
	kept, caught := 0, 0
	for _, a := range c.answers {
		for _, f := range a.Facts {
			for _, s := range sentences(f.Text) {
				if len(analysis.Terms(s.text, "en")) < 3 {
					continue
				}
				mine := c.top(s.text, 2, func(uri string) bool { return uri == f.Doc })
				if len(mine) == 0 {
					continue
				}
				score, ok := e.of(s.text, mine)
				own = append(own, score)
				if ok {
					kept++
				}
				score, _ = e.of(s.text, c.top(s.text, 2, func(uri string) bool { return uri != f.Doc && strings.HasPrefix(uri, a.Org) }))
				near = append(near, score)
				score, _ = e.of(s.text, c.top(s.text, 2, func(uri string) bool { return !strings.HasPrefix(uri, a.Org) }))
				far = append(far, score)
				if strings.ContainsAny(s.text, "0123456789") && ok {
					other, passes := e.of(strings.Map(otherDigit, s.text), mine)
					changed = append(changed, other)
					if !passes {
						caught++
					}
				}
			}
		}
	}
	above := func(x float64) bool { return x >= minSupport }
	below := func(x float64) bool { return x < minSupport }
	t.Logf("%d sentences of reference answers; %.3f score at least %v against their own passages, %.3f are supported", len(own), share(own, above), minSupport, float64(kept)/float64(len(own)))
	t.Logf("similar passages of the same company: AUC %.3f, %.3f marked", auc(own, near), share(near, below))
	t.Logf("similar passages of another company: AUC %.3f, %.3f marked", auc(own, far), share(far, below))
	t.Logf("%d sentences with other numbers: %.3f marked", len(changed), float64(caught)/float64(len(changed)))
	if got := auc(own, near); got < 0.84 {
		t.Errorf("AUC against similar passages is %.3f, want at least 0.84", got)
	}
	if got := float64(caught) / float64(len(changed)); got < 0.95 {
		t.Errorf("%.3f of the sentences with changed numbers are marked, want at least 0.95", got)
	}
}

func otherDigit(r rune) rune {
	if r >= '0' && r <= '9' {
		return '0' + (r-'0'+3)%10
	}
	return r
}
