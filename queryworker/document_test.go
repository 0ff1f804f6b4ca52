package queryworker

import (
	"fmt"
	"math"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/tributary-kb/tributary"
)

// scored is a document of a pool: how many chunks it has, and the scores of
// those that were found.
type scored struct {
	uri    string
	chunks int
	scores []float64
}

// poolOf returns the candidates of documents in order of score.
func poolOf(documents ...scored) []*candidate {
	var pool []*candidate
	for _, d := range documents {
		manifest := &tributary.Manifest{State: tributary.StateLive, Chunks: make([]tributary.ChunkRef, d.chunks)}
		for i, score := range d.scores {
			pool = append(pool, &candidate{
				Object: tributary.Object{ID: fmt.Sprintf("%s#%d", d.uri, i), Document: docID(d.uri), URI: d.uri},
				kb:     kb, record: tributary.Record{Manifest: manifest}, score: score, why: tributary.HitExplain{Fused: score},
			})
		}
	}
	slices.SortStableFunc(pool, better)
	return pool
}

// weighed blends with a weight and returns the ids in order.
func weighed(weight float64, pool []*candidate) []string {
	s := &search{mixes: map[string]tributary.Mix{kb: {DocumentWeight: weight}}}
	s.favourDocuments(pool)
	var ids []string
	for _, c := range pool {
		ids = append(ids, c.ID)
	}
	return ids
}

func TestSeveralGoodPassagesGoBeforeOneThatIsALittleBetter(t *testing.T) {
	documents := []scored{{"one", 3, []float64{.85}}, {"three", 3, []float64{.8, .8, .8}}}
	for weight, want := range map[float64][]string{
		0:                     {"one#0", "three#0", "three#1", "three#2"},
		defaultDocumentWeight: {"three#0", "three#1", "three#2", "one#0"},
		1:                     {"three#0", "three#1", "three#2", "one#0"},
	} {
		if diff := cmp.Diff(want, weighed(weight, poolOf(documents...))); diff != "" {
			t.Errorf("weight %v (-want +got):\n%s", weight, diff)
		}
	}
}

func TestOneMuchBetterPassageStaysBeforeSeveralPoorOnes(t *testing.T) {
	got := weighed(defaultDocumentWeight, poolOf(scored{"good", 4, []float64{1}}, scored{"poor", 4, []float64{.3, .3, .3, .3}}))
	if got[0] != "good#0" {
		t.Errorf("in order %v, want good#0 first", got)
	}
}

func TestWeightOfDocumentsIsThatOfTheirScore(t *testing.T) {
	documents := []scored{{"a", 2, []float64{.6, .5}}, {"b", 5, []float64{.7}}}
	for _, weight := range []float64{0, .25, 1} {
		pool := poolOf(documents...)
		best := documentScores(pool)
		weighed(weight, pool)
		for _, c := range pool {
			want := (1-weight)*c.why.Fused + weight*best[c.Document]
			if math.Abs(c.score-want) > 1e-12 {
				t.Errorf("weight %v: %s has %v, want %v", weight, c.ID, c.score, want)
			}
			if told := c.why.Document; weight == 0 && told != nil || weight > 0 && (told == nil || *told != best[c.Document]) {
				t.Errorf("weight %v: %s tells %v of its document", weight, c.ID, told)
			}
		}
	}
	if got := documentScores(nil); len(got) != 0 {
		t.Errorf("of nothing: %v", got)
	}
}

func TestBestDocumentHasTheScoreOfTheBestPassage(t *testing.T) {
	scores := documentScores(poolOf(scored{"long", 20, []float64{.9, .8}}, scored{"short", 2, []float64{.8, .7}}))
	if long, short := scores[docID("long")], scores[docID("short")]; math.Abs(short-.9) > 1e-12 || long >= short {
		t.Errorf("the short one has %v and the long one %v, want .9 and less", short, long)
	}
}

func TestDocumentsOfOnePassageKeepTheirScores(t *testing.T) {
	pool := poolOf(scored{"a", 1, []float64{.3}}, scored{"b", 1, []float64{.9}}, scored{"c", 1, []float64{0}})
	if diff := cmp.Diff([]string{"b#0", "a#0", "c#0"}, weighed(.7, pool)); diff != "" {
		t.Errorf("order (-want +got):\n%s", diff)
	}
	for _, c := range pool {
		if math.Abs(c.score-c.why.Fused) > 1e-12 {
			t.Errorf("%s has %v, want %v", c.ID, c.score, c.why.Fused)
		}
	}
	// Beside a longer one they keep their order.
	mixed := poolOf(scored{"a", 1, []float64{.3}}, scored{"b", 1, []float64{.9}}, scored{"c", 1, []float64{.8}}, scored{"long", 4, []float64{.5, .5, .5}})
	got := slices.DeleteFunc(weighed(.7, mixed), func(id string) bool { return strings.HasPrefix(id, "long") })
	if diff := cmp.Diff([]string{"b#0", "c#0", "a#0"}, got); diff != "" {
		t.Errorf("order (-want +got):\n%s", diff)
	}
}

func TestEqualDocumentsComeInTheSameOrder(t *testing.T) {
	for range 20 { // maps have another order each time
		for _, documents := range [][]scored{
			{{"a", 2, []float64{.8, .4}}, {"b", 2, []float64{.8, .4}}},
			{{"b", 2, []float64{.4, .8}}, {"a", 2, []float64{.4, .8}}},
		} {
			pool := poolOf(documents...)
			weighed(1, pool)
			var got []string
			for _, c := range pool {
				got = append(got, fmt.Sprint(c.URI, " ", c.why.Fused))
			}
			// Whatever their ids, the better passages come first.
			if diff := cmp.Diff([]string{"a 0.8", "b 0.8", "a 0.4", "b 0.4"}, got); diff != "" {
				t.Fatalf("order (-want +got):\n%s", diff)
			}
		}
	}
}

func TestWeightOfDocumentsComesFromRequestOrSettings(t *testing.T) {
	half, none := .5, 0.0
	own := SearchConfig{DocumentWeight: &half, DocumentWeights: map[string]float64{kb: .75}}
	for name, tt := range map[string]struct {
		limits  SearchConfig
		options tributary.SearchOptions
		want    float64
	}{
		"nothing is set":                  {SearchConfig{}, tributary.SearchOptions{}, defaultDocumentWeight},
		"nothing, joined by places":       {SearchConfig{Fusion: tributary.FusionRanked}, tributary.SearchOptions{}, 0},
		"nothing, joined so on request":   {SearchConfig{}, tributary.SearchOptions{Fusion: tributary.FusionRanked}, 0},
		"set for all":                     {SearchConfig{DocumentWeight: &half, Fusion: tributary.FusionRanked}, tributary.SearchOptions{}, .5},
		"set for all to none":             {SearchConfig{DocumentWeight: &none}, tributary.SearchOptions{}, 0},
		"set for it":                      {own, tributary.SearchOptions{}, .75},
		"the request goes over all of it": {own, tributary.SearchOptions{DocumentWeight: &none}, 0},
	} {
		m := newModel()
		m.put("a.md", 1, "apple")
		w := m.worker()
		w.Limits = tt.limits
		tt.options.Explain = true
		if got := searchFor(t, w, tributary.SearchRequest{Query: "apple", SearchOptions: tt.options}).Explain.DocumentWeight; got != tt.want {
			t.Errorf("%s: %v, want %v", name, got, tt.want)
		}
	}
}

func TestConfidenceAndRelevanceDoNotSeeTheDocument(t *testing.T) {
	m := newModel()
	m.put("one.md", 1, "apple pear plum")
	m.put("three.md", 1, "apple pear a", "apple pear b", "apple pear c", "apple pear d")
	ask := func(weight float64, least float64) (first string, hits int, confidence, relevance float64) {
		reply := searchFor(t, m.worker(), tributary.SearchRequest{Query: "apple pear plum", SearchOptions: tributary.SearchOptions{
			DocumentWeight: &weight, MinRelevance: least, Explain: true,
		}})
		for _, h := range reply.Hits {
			relevance += h.Explain.Relevance
		}
		return reply.Hits[0].URI, len(reply.Hits), reply.Confidence, relevance
	}
	for _, least := range []float64{0, .995} {
		uri, hits, confidence, relevance := ask(0, least)
		uri1, hits1, confidence1, relevance1 := ask(1, least)
		if uri != "one.md" || hits1 != hits || confidence1 != confidence || relevance1 != relevance {
			t.Errorf("without it %s, %d hits, %v, %v; with it %s, %d, %v, %v", uri, hits, confidence, relevance, uri1, hits1, confidence1, relevance1)
		}
	}
}
