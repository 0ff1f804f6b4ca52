package embedder

import (
	"bufio"
	"bytes"
	"compress/gzip"
	"context"
	_ "embed"
	"fmt"
	"math"
	"strings"
	"sync"

	"github.com/tributary-kb/tributary"
	"github.com/tributary-kb/tributary/internal/analysis"
)

//go:generate sh -c "go run idfgen.go $(go env GOROOT)/src $NATS_DOCS $ANTHROPIC_DOCS/corpus.jsonl"

//go:embed idf.txt.gz
var idfTable []byte

// The parameters of hash-v1. Any change of them needs another name.
const (
	lexicalName      = "hash-v1"
	lexicalDimension = 1024 // a power of two
	lexicalAlpha     = 0.25
	bigramWeight     = 0.5 // a little better in a hybrid than 0, 0.25 and 0.75
)

// lexical hashes the terms of a text to the components of a vector. Two texts
// are near each other as far as they share terms, rare ones above all; it
// knows nothing of meaning. In a hybrid search it evens out what BM25 makes of
// the lengths of passages and of words beside each other.
type lexical struct {
	language string
	alpha    float64
	idf      *idf
}

func newLexical(cfg Config) lexical {
	m := lexical{language: cfg.Language, alpha: lexicalAlpha, idf: loadIDF()}
	if cfg.Alpha != nil {
		m.alpha = *cfg.Alpha
	}
	return m
}

// Embed implements Model. It never fails but for a cancelled context; a text
// without any term gets a vector of its own.
func (m lexical) Embed(ctx context.Context, texts []string, _ Role) ([]tributary.Vector, error) {
	vectors := make([]tributary.Vector, len(texts))
	for i, text := range texts {
		if err := ctx.Err(); err != nil {
			return nil, err
		}
		vectors[i] = m.vector(text)
	}
	return vectors, nil
}

// Fingerprint implements Model: name, dimension and a checksum over the table
// of frequencies, the analysis and its language.
func (m lexical) Fingerprint() string {
	sum := tributary.Hash([]byte(m.idf.checksum + "\x00" + analysis.Version + "\x00" + m.language))
	return fmt.Sprintf("%s:%d:%s", lexicalName, lexicalDimension, sum[:8])
}

// Dimension implements Model.
func (lexical) Dimension(context.Context) (int, error) { return lexicalDimension, nil }

// Alpha implements Model: measured over ten test collections, a quarter adds
// to BM25 and a half takes away.
func (m lexical) Alpha() float64 { return m.alpha }

// SeedsQueries says that a query's vector gains by being moved towards the
// best keyword hits; see Seeds.
func (lexical) SeedsQueries() bool { return true }

// Seeds says whether queries embedded by m should be moved towards the best
// keyword hits. A lexical vector of a few words gains by it: measured over ten
// collections, twice of what it adds to BM25 without. Other models do not say
// so, and it costs them a call.
func Seeds(m Model) bool {
	s, ok := m.(interface{ SeedsQueries() bool })
	return ok && s.SeedsQueries()
}

// TermWeight is the static inverse document frequency of a term of
// internal/analysis, in nats: about 1 for words of every second passage, 11
// for unknown ones.
func TermWeight(term string) float64 { return loadIDF().of(term) }

// Limits implements Model: there are none.
func (lexical) Limits() Limits { return Limits{} }

// vector returns the normalised sum of the text's features.
func (m lexical) vector(text string) tributary.Vector {
	var sum [lexicalDimension]float64
	for _, f := range m.features(analysis.Terms(text, m.language)) {
		add(&sum, f.name, f.weight*(1+math.Log(float64(f.count))))
	}
	v := make(tributary.Vector, lexicalDimension)
	for i, x := range sum {
		v[i] = float32(x)
	}
	if normalise(v) != nil { // no terms, or terms that cancel each other out
		clear(v)
		sum = [lexicalDimension]float64{}
		add(&sum, "\x00"+strings.TrimSpace(text), 1)
		for i, x := range sum {
			v[i] = float32(x)
		}
	}
	return v
}

// add adds a feature to the component, and with the sign, that its hash says.
func add(sum *[lexicalDimension]float64, feature string, weight float64) {
	h := hash(feature)
	if h>>63 == 1 {
		weight = -weight
	}
	sum[h%lexicalDimension] += weight
}

type feature struct {
	name   string
	weight float64
	count  int
}

// features returns the distinct terms and pairs of neighbours, in the order in
// which they first occur, so that sums are the same every time.
func (m lexical) features(terms []string) []feature {
	all := make([]feature, 0, 2*len(terms))
	index := make(map[string]int, 2*len(terms))
	count := func(name string, weight float64) {
		i, ok := index[name]
		if !ok {
			i = len(all)
			index[name] = i
			all = append(all, feature{name: name, weight: weight})
		}
		all[i].count++
	}
	last, lastWeight := "", 0.0
	for _, term := range terms {
		weight := m.idf.of(term)
		count(term, weight)
		if last != "" {
			count(last+" "+term, bigramWeight*(weight+lastWeight)/2)
		}
		last, lastWeight = term, weight
	}
	return all
}

// hash is FNV-1a with a final mix, so that all bits depend on all bytes.
func hash(s string) uint64 {
	h := uint64(14695981039346656037)
	for i := range len(s) {
		h = (h ^ uint64(s[i])) * 1099511628211
	}
	h = (h ^ h>>33) * 0xff51afd7ed558ccd
	h = (h ^ h>>33) * 0xc4ceb9fe1a85ec53
	return h ^ h>>33
}

// idf holds inverse document frequencies: ln((N+1)/(n+0.5)) for a term in n
// of N passages.
type idf struct {
	weights  map[string]float64
	unknown  float64 // of terms that the table lacks: they are rare
	checksum string  // of the table
}

func (t *idf) of(term string) float64 {
	if w, ok := t.weights[term]; ok {
		return w
	}
	return t.unknown
}

// loadIDF reads the embedded table once.
var loadIDF = sync.OnceValue(func() *idf {
	t, err := readIDF(idfTable)
	if err != nil {
		panic(fmt.Sprintf("embedder: the embedded idf.txt.gz: %v", err))
	}
	return t
})

func readIDF(table []byte) (*idf, error) {
	zip, err := gzip.NewReader(bytes.NewReader(table))
	if err != nil {
		return nil, err
	}
	in := bufio.NewReader(zip)
	var passages float64
	if _, err := fmt.Fscanln(in, &passages); err != nil {
		return nil, fmt.Errorf("number of passages: %w", err)
	}
	weight := func(n float64) float64 { return math.Log((passages + 1) / (n + 0.5)) }
	t := &idf{weights: map[string]float64{}, unknown: weight(1), checksum: tributary.Hash(table)}
	lines := bufio.NewScanner(in)
	for lines.Scan() {
		var n float64
		term, count, _ := strings.Cut(lines.Text(), " ")
		if _, err := fmt.Sscan(count, &n); err != nil {
			return nil, fmt.Errorf("term %q: %w", term, err)
		}
		t.weights[term] = weight(n)
	}
	return t, lines.Err()
}
