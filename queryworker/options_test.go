package queryworker

import (
	"context"
	"math"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/tributary-kb/tributary"
)

func list(scores ...float64) ranked {
	var out ranked
	for i, s := range scores {
		id := string(rune('a' + i))
		out = append(out, &candidate{Object: tributary.Object{ID: id, URI: id}, score: s})
	}
	return out
}

// called gives the candidates of list these ids.
func called(list ranked, ids string) ranked {
	for i, id := range strings.Fields(ids) {
		list[i].ID, list[i].URI = id, id
	}
	return list
}

func TestFusionWeighsBothRankings(t *testing.T) {
	for _, test := range []struct {
		method tributary.Fusion
		want   map[string]float64
	}{
		{tributary.FusionRelative, map[string]float64{"a": .75, "b": .75*.5 + .25, "c": .25 * .5, "d": 0}},
		{tributary.FusionRanked, map[string]float64{"a": .75, "b": .75*61/62 + .25, "c": .25 * 61 / 62, "d": .75*61/63 + .25*61/63}},
	} {
		got := map[string]float64{}
		fused := fuse(called(list(9, 6, 3), "a b d"), called(list(.9, .7, .5), "b c d"), map[string]tributary.Mix{"": {Alpha: .25, Fusion: test.method}})
		for i, c := range fused {
			got[c.ID] = c.score
			if i > 0 && fused[i-1].score < c.score {
				t.Errorf("%s: candidate %d scores above the one before", test.method, i)
			}
		}
		for id, want := range test.want {
			if math.Abs(got[id]-want) > 1e-12 {
				t.Errorf("%s: %s has %v, want %v", test.method, id, got[id], want)
			}
		}
	}
	if got := fuse(nil, nil, nil); len(got) != 0 {
		t.Errorf("of nothing: %v", got)
	}
}

func TestAKnowledgeBaseHasItsOwnMix(t *testing.T) {
	all := several{"red": newModel(), "blue": newModel()}
	all["red"].put("a.md", 1, "apple pear")
	all["blue"].put("b.md", 1, "apple pear")
	w := &Worker{Searcher: all, Records: all, Alpha: 0.25, Limits: SearchConfig{
		Fusion: tributary.FusionRanked, Alphas: map[string]float64{"red": 0}, Fusions: map[string]tributary.Fusion{"red": tributary.FusionRelative},
		DocumentWeights: map[string]float64{"red": .5, "blue": .125},
	}}
	w.EmbedQuery = func(context.Context, string) (tributary.Vector, error) { return tributary.Vector{1}, nil }
	half := 0.5
	red, blue := tributary.Mix{Alpha: 0, Fusion: tributary.FusionRelative, DocumentWeight: .5}, tributary.Mix{Alpha: .25, Fusion: tributary.FusionRanked, DocumentWeight: .125}
	for name, tt := range map[string]struct {
		kbs    []string
		alpha  *float64
		fusion tributary.Fusion
		want   tributary.SearchExplain
	}{
		"what is set for it":    {[]string{"red"}, nil, "", tributary.SearchExplain{Mix: red}},
		"what is set for all":   {[]string{"blue"}, nil, "", tributary.SearchExplain{Mix: blue}},
		"each its own":          {[]string{"red", "blue"}, nil, "", tributary.SearchExplain{Mix: red, KBs: map[string]tributary.Mix{"red": red, "blue": blue}}},
		"what the request says": {[]string{"red"}, &half, tributary.FusionRanked, tributary.SearchExplain{Mix: tributary.Mix{Alpha: .5, Fusion: tributary.FusionRanked, DocumentWeight: .5}}},
		"a part of it":          {[]string{"red"}, &half, "", tributary.SearchExplain{Mix: tributary.Mix{Alpha: .5, Fusion: tributary.FusionRelative, DocumentWeight: .5}}},
	} {
		got := searchFor(t, w, tributary.SearchRequest{Query: "apple", Alpha: tt.alpha, SearchOptions: tributary.SearchOptions{
			KBs: tt.kbs, Fusion: tt.fusion, Explain: true,
		}}).Explain
		if diff := cmp.Diff(tt.want, tributary.SearchExplain{Mix: got.Mix, KBs: got.KBs}); diff != "" {
			t.Errorf("%s (-want +got):\n%s", name, diff)
		}
	}
}

func TestAlphaZeroDoesNotAskForVectors(t *testing.T) {
	m := newModel()
	m.put("a.md", 1, "apple pear")
	w := m.worker()
	w.Alpha = .25
	w.EmbedQuery = func(context.Context, string) (tributary.Vector, error) { return tributary.Vector{1}, nil }
	searchFor(t, w, tributary.SearchRequest{Query: "apple", Alpha: new(float64)})
	if slices.ContainsFunc(m.vectors, func(v tributary.Vector) bool { return v != nil }) {
		t.Error("the index was searched by vector")
	}
	searchFor(t, w, tributary.SearchRequest{Query: "apple"})
	if !slices.ContainsFunc(m.vectors, func(v tributary.Vector) bool { return v != nil }) {
		t.Error("the index was not searched by vector where alpha is not 0")
	}
}

func TestTheQueryMovesTowardsTheBestKeywordHits(t *testing.T) {
	m := newModel()
	m.put("a.md", 1, "apple")
	m.write("b.md", 1, "apple apple") // not current: it has no say
	w := m.worker()
	w.Alpha = .25
	w.EmbedQuery = func(context.Context, string) (tributary.Vector, error) { return tributary.Vector{1, 0}, nil }
	var seeded []string
	w.EmbedPassages = func(_ context.Context, texts []string) ([]tributary.Vector, error) {
		seeded = texts
		return []tributary.Vector{{0, 1}}, nil
	}
	reply := searchFor(t, w, tributary.SearchRequest{Query: "apple", SearchOptions: tributary.SearchOptions{Explain: true}})
	if diff := cmp.Diff([]string{"Title of a.md\n\napple"}, seeded); diff != "" {
		t.Errorf("seeds (-want +got):\n%s", diff)
	}
	got := m.vectors[1]
	if math.Abs(float64(got[1]/got[0])-seedWeight) > 1e-6 || math.Abs(float64(got[0]*got[0]+got[1]*got[1])-1) > 1e-6 {
		t.Errorf("the vector is %v, want {1, 0} + 0.5 × {0, 1}, of length 1", got)
	}
	if !reply.Explain.Seeded {
		t.Error("the explanation does not say so")
	}
}

func TestNearlyTheSamePassagesAreOneHitOnRequest(t *testing.T) {
	sentence := "one two three four five six seven eight nine ten eleven twelve apple pear plum quince cherry grape melon"
	m := newModel()
	m.put("a.md", 1, sentence)
	m.put("b.md", 1, strings.Replace(sentence, "melon", "melons!", 1)+" lemon")
	m.put("c.md", 1, "apple of another kind")
	req := tributary.SearchRequest{Query: "apple"}
	if got := len(searchFor(t, m.worker(), req).Hits); got != 3 {
		t.Errorf("%d hits unasked, want 3", got)
	}
	req.Unique = true
	got := map[string]int{}
	for _, h := range searchFor(t, m.worker(), req).Hits {
		got[h.URI] = h.Duplicates
	}
	if diff := cmp.Diff(map[string]int{"a.md": 1, "c.md": 0}, got); diff != "" {
		t.Errorf("duplicates by hit (-want +got):\n%s", diff)
	}
}

func TestDiversityPrefersWhatIsNotSaidYet(t *testing.T) {
	m := newModel()
	m.put("a.md", 1, "apple pear plum")
	m.put("b.md", 1, "apple pear plum too")
	m.put("c.md", 1, "apple of another kind entirely")
	m.boost["a.md@1#0"], m.boost["b.md@1#0"] = 2, 1
	for diversity, want := range map[float64][]string{0: {"a.md", "b.md"}, .6: {"a.md", "c.md"}} {
		var got []string
		for _, h := range searchFor(t, m.worker(), tributary.SearchRequest{Query: "apple", K: 2, SearchOptions: tributary.SearchOptions{Diversity: diversity}}).Hits {
			got = append(got, h.URI)
		}
		if diff := cmp.Diff(want, got); diff != "" {
			t.Errorf("diversity %v (-want +got):\n%s", diversity, diff)
		}
	}
}

func TestRecencyHalvesWhatItMayTakePerHalfLife(t *testing.T) {
	for age, want := range map[time.Duration]float64{0: 1, time.Hour: .75, 2 * time.Hour: .625, 1000 * time.Hour: .5} {
		if got := recency(tributary.Recency{HalfLifeSeconds: 3600, Weight: .5}, age); math.Abs(got-want) > 1e-9 {
			t.Errorf("after %s: %v, want %v", age, got, want)
		}
	}
	m := newModel()
	m.put("a.md", 1, "apple")
	m.put("b.md", 1, "apple")
	m.objects[0].Changed = time.Now().Add(-time.Hour)
	m.objects[1].Changed = time.Now()
	got := searchFor(t, m.worker(), tributary.SearchRequest{Query: "apple", SearchOptions: tributary.SearchOptions{Recency: &tributary.Recency{HalfLifeSeconds: 60}}})
	if got.Hits[0].URI != "b.md" {
		t.Errorf("first is %s, want b.md, which changed last", got.Hits[0].URI)
	}
}

func TestMinScoreLeavesOutTheRest(t *testing.T) {
	m := newModel()
	m.put("a.md", 1, "apple pear plum", "apple pear", "apple")
	got := searchFor(t, m.worker(), tributary.SearchRequest{Query: "apple pear plum", SearchOptions: tributary.SearchOptions{MinScore: .5, Explain: true}})
	if diff := cmp.Diff([]string{"apple pear plum", "apple pear"}, texts(got.Hits)); diff != "" {
		t.Errorf("texts (-want +got):\n%s", diff)
	}
	if got.Explain.Below != 1 {
		t.Errorf("%d below the score, want 1", got.Explain.Below)
	}
}

// paper is a document of two sections.
func paper() *model {
	m := newModel()
	m.put("a.md", 1, "one", "two", "three apple", "four", "five")
	for i := range m.objects {
		m.objects[i].Heading = []string{"first"}
		if i > 1 {
			m.objects[i].Heading = []string{"second"}
		}
	}
	return m
}

func TestHitsTakeInWhatStandsAround(t *testing.T) {
	for name, test := range map[string]struct {
		options tributary.SearchOptions
		want    string
	}{
		"nothing":               {tributary.SearchOptions{}, "three apple"},
		"neighbours":            {tributary.SearchOptions{Expand: &tributary.Expand{Before: 1, After: 1}}, "two\n\nthree apple\n\nfour"},
		"neighbours at the end": {tributary.SearchOptions{Expand: &tributary.Expand{After: 9}}, "three apple\n\nfour\n\nfive"},
		"the section":           {tributary.SearchOptions{Context: tributary.ContextSections}, "three apple\n\nfour\n\nfive"},
		"the document":          {tributary.SearchOptions{Context: tributary.ContextDocuments}, "one\n\ntwo\n\nthree apple\n\nfour\n\nfive"},
		"a document too large":  {tributary.SearchOptions{Context: tributary.ContextDocuments, MaxTokens: 5}, "three apple"},
	} {
		t.Run(name, func(t *testing.T) {
			got := searchFor(t, paper().worker(), tributary.SearchRequest{Query: "apple", SearchOptions: test.options}).Hits
			if diff := cmp.Diff([]string{test.want}, texts(got)); diff != "" {
				t.Errorf("texts (-want +got):\n%s", diff)
			}
		})
	}
}

func TestHitsThatMeetAreOne(t *testing.T) {
	m := newModel()
	m.put("a.md", 1, "apple one", "apple two", "three", "apple four")
	got := searchFor(t, m.worker(), tributary.SearchRequest{Query: "apple", SearchOptions: tributary.SearchOptions{Expand: &tributary.Expand{After: 1}}}).Hits
	want := []string{"apple one\n\napple two", "apple four"}
	if diff := cmp.Diff(want, texts(got)); diff != "" {
		t.Errorf("texts (-want +got):\n%s", diff)
	}
}

func TestOverlapIsNotRepeated(t *testing.T) {
	objects := []tributary.Object{{Text: "one two"}, {Text: "two three"}}
	refs := []tributary.ChunkRef{{Start: 0, End: 7}, {Start: 4, End: 13}}
	if got := joined(objects, refs); got != "one two three" {
		t.Errorf("joined: %q", got)
	}
}

func TestConfidenceIsTheShareOfTheQueryThatIsFound(t *testing.T) {
	m := newModel()
	m.put("a.md", 1, "the apple grows on a tree")
	w := m.worker()
	w.TermWeight = func(term string) float64 { return map[string]float64{"appl": 8, "tree": 2}[term] + 1 }
	for query, good := range map[string]bool{"apple tree": true, "apple": true, "a tree of tungsten carbide apples": true, "tree zirconium hafnium tantalum rhenium osmium iridium apples": true, "tree a b c d e f g h": false} {
		got := searchFor(t, w, tributary.SearchRequest{Query: query})
		if got.NoGoodAnswer == good {
			t.Errorf("%q: confidence %.3f, want it good: %t", query, got.Confidence, good)
		}
	}
	if got := searchFor(t, w, tributary.SearchRequest{Query: "unknown"}); got.Confidence != 0 || !got.NoGoodAnswer {
		t.Errorf("without a hit: %+v", got)
	}
}

func TestMinRelevanceLeavesOutWhatHasTooLittleOfTheQuery(t *testing.T) {
	m := newModel()
	m.put("a.md", 1, "apple pear plum", "apple pear", "apple")
	w := m.worker()
	w.Reranker = testReranker{} // relevance is not the score
	req := tributary.SearchRequest{Query: "apple pear plum", SearchOptions: tributary.SearchOptions{MinRelevance: .5, Explain: true}}
	got := searchFor(t, w, req)
	if diff := cmp.Diff([]string{"apple pear", "apple pear plum"}, texts(got.Hits)); diff != "" {
		t.Errorf("hits (-want +got):\n%s", diff)
	}
	if got.Explain.Irrelevant != 1 {
		t.Errorf("%d are too far from the query, want 1", got.Explain.Irrelevant)
	}
	for _, h := range got.Hits {
		if h.Explain.Relevance < .5 {
			t.Errorf("%q has relevance %v", h.Text, h.Explain.Relevance)
		}
	}
	req.MinRelevance = 0
	if got := searchFor(t, w, req); len(got.Hits) != 3 || got.Hits[0].Explain.Relevance >= .5 {
		t.Errorf("without it %d hits, the first %+v", len(got.Hits), got.Hits[0].Explain)
	}
}

func TestExplainTellsWhereAHitComesFrom(t *testing.T) {
	m := newModel()
	m.put("a.md", 3, "apple")
	m.objects[0].Source = "wiki"
	m.put("b.md", 4, "apple pie")
	got := searchFor(t, m.worker(), tributary.SearchRequest{Query: "apple", SearchOptions: tributary.SearchOptions{Explain: true}})
	one := 1.0
	if diff := cmp.Diff(&tributary.HitExplain{Keyword: &one, KeywordRank: 1, Fused: 1, Document: &one, Birth: 3, Relevance: 1 / (1 + math.Exp(-confidenceSlope-confidenceOffset))}, got.Hits[0].Explain); diff != "" {
		t.Errorf("hit (-want +got):\n%s", diff)
	}
	if got.Explain.Keywords != 2 || len(got.Explain.Steps) == 0 {
		t.Errorf("reply: %+v", got.Explain)
	}
	if got := searchFor(t, m.worker(), tributary.SearchRequest{Query: "apple"}); got.Explain != nil || got.Hits[0].Explain != nil {
		t.Error("explained unasked")
	}
}

func TestOptionsAreRefusedInWords(t *testing.T) {
	for want, req := range map[string]tributary.SearchRequest{
		`fusion is "best", want "relative" or "ranked"`:                {SearchOptions: tributary.SearchOptions{Fusion: "best"}},
		`context is "all", want "passages", "sections" or "documents"`: {SearchOptions: tributary.SearchOptions{Context: "all"}},
		"diversity is 2, want 0 (by score alone) to 1":                 {SearchOptions: tributary.SearchOptions{Diversity: 2}},
		"document_weight is 2, want 0 (passages alone) to 1":           {SearchOptions: tributary.SearchOptions{DocumentWeight: new(2.0)}},
		"min_score is -1, want 0 or more":                              {SearchOptions: tributary.SearchOptions{MinScore: -1}},
		"min_relevance is 2, want 0 (any) to 1":                        {SearchOptions: tributary.SearchOptions{MinRelevance: 2}},
		"max_tokens is -1, want at least 1":                            {SearchOptions: tributary.SearchOptions{MaxTokens: -1}},
		"recency.half_life_seconds is 0, want more than 0":             {SearchOptions: tributary.SearchOptions{Recency: &tributary.Recency{}}},
		"recency.weight is 3, want more than 0, at most 1":             {SearchOptions: tributary.SearchOptions{Recency: &tributary.Recency{HalfLifeSeconds: 1, Weight: 3}}},
		"expand takes 21 neighbours, want 0 to 20":                     {SearchOptions: tributary.SearchOptions{Expand: &tributary.Expand{After: 21}}},
		`expand and context "documents" are both given`:                {SearchOptions: tributary.SearchOptions{Expand: &tributary.Expand{After: 1}, Context: tributary.ContextDocuments}},
		"kbs names 17 knowledge bases, the limit is 16":                {SearchOptions: tributary.SearchOptions{KBs: make([]string, 17)}},
		`"No!"`: {SearchOptions: tributary.SearchOptions{KBs: []string{"No!"}}},
		"filter.any.uris has 101 values, the limit is 100": {Filter: tributary.Filter{FilterTerms: tributary.FilterTerms{Any: []tributary.PlainFilter{{URIs: make([]string, 101)}}}}},
	} {
		req.Query = "apple"
		_, err := newModel().worker().Search(t.Context(), kb, req)
		checkError(t, err, tributary.CodeInvalid, want)
	}
}

// testReranker reverses, or fails, or adds something to every score.
type testReranker struct {
	err error
	add float64
}

func (testReranker) Name() string { return "test:model" }

func (r testReranker) Rerank(_ context.Context, _ string, texts []string) ([]float64, error) {
	scores := make([]float64, len(texts))
	for i := range scores {
		scores[i] = float64(i) + r.add
	}
	return scores, r.err
}

func TestARerankerHasTheLastWordAndItsFailureIsSaid(t *testing.T) {
	m := newModel()
	m.put("a.md", 1, "apple pear plum", "apple pear", "apple")
	off := false
	for name, test := range map[string]struct {
		reranker Reranker
		rerank   *bool
		first    string
		notes    []string
	}{
		"reranked":     {testReranker{}, nil, "apple", nil},
		"switched off": {testReranker{}, &off, "apple pear plum", nil},
		"failed":       {testReranker{err: context.DeadlineExceeded}, nil, "apple pear plum", []string{"not reranked: test:model: context deadline exceeded"}},
		"damaged":      {testReranker{add: math.NaN()}, nil, "apple pear plum", []string{"not reranked: test:model: text 1 of 3 has the score NaN"}},
	} {
		w := m.worker()
		w.Reranker = test.reranker
		got := searchFor(t, w, tributary.SearchRequest{Query: "apple pear plum", SearchOptions: tributary.SearchOptions{Rerank: test.rerank}})
		if got.Hits[0].Text != test.first {
			t.Errorf("%s: first is %q, want %q", name, got.Hits[0].Text, test.first)
		}
		if diff := cmp.Diff(test.notes, got.Notes); diff != "" {
			t.Errorf("%s: notes (-want +got):\n%s", name, diff)
		}
	}
}

// several are knowledge bases by name, each with an index and a registry.
type several map[string]*model

func (s several) Candidates(ctx context.Context, name string, q tributary.IndexQuery) ([]tributary.Candidate, error) {
	m, ok := s[name]
	if !ok {
		return nil, tributary.Errorf(tributary.CodeNotFound, "no knowledge base %q", name)
	}
	return m.Candidates(ctx, kb, q)
}

func (s several) Objects(ctx context.Context, name string, ids []string) ([]tributary.Object, error) {
	return s[name].Objects(ctx, kb, ids)
}

func (s several) Record(ctx context.Context, name, document string) (tributary.Record, error) {
	return s[name].Record(ctx, kb, document)
}

func (s several) Await(ctx context.Context, name string, at tributary.At) (tributary.Record, error) {
	return s[name].Await(ctx, kb, at)
}

func TestSeveralKnowledgeBasesAreRankedTogether(t *testing.T) {
	all := several{"red": newModel(), "blue": newModel(), kb: newModel()}
	all["red"].put("a.md", 1, "apple pear", "nothing")
	all["blue"].put("b.md", 1, "apple pear plum", "apple, neighbour")
	all[kb].put("c.md", 1, "apple pear plum of the one that is not asked")
	w := &Worker{Searcher: all, Records: all}
	req := tributary.SearchRequest{Query: "apple pear plum", K: 2, SearchOptions: tributary.SearchOptions{
		KBs: []string{"red", "blue", "red"}, Expand: &tributary.Expand{After: 1},
	}}
	var got []string
	for _, h := range searchFor(t, w, req).Hits {
		got = append(got, h.KB+": "+h.Text)
	}
	want := []string{"blue: apple pear plum\n\napple, neighbour", "red: apple pear\n\nnothing"}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("hits (-want +got):\n%s", diff)
	}
	req.KBs = append(req.KBs, "green")
	_, err := w.Search(t.Context(), kb, req)
	checkError(t, err, tributary.CodeNotFound, `"green"`)
}
