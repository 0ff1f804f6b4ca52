package queryworker

import (
	"context"
	"errors"
	"fmt"
	"math"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/tributary-kb/tributary"
)

func searchFor(t *testing.T, w *Worker, req tributary.SearchRequest) tributary.SearchReply {
	t.Helper()
	reply, err := w.Search(t.Context(), kb, req)
	if err != nil {
		t.Fatalf("Search(%q): %v", req.Query, err)
	}
	return reply
}

func TestHitTellsWhereItsPassageStands(t *testing.T) {
	m := newModel()
	m.put("a.md", 7, "the apple", "the pear")
	got := searchFor(t, m.worker(), tributary.SearchRequest{Query: "pear"}).Hits
	want := []tributary.Hit{{
		Rank: 1, Score: 1, URI: "a.md", Title: "Title of a.md", Text: "the pear",
		Document: docID("a.md"), Version: 7, ID: "a.md@7#1",
		Location: tributary.Location{Page: 2, Start: 10, End: 18, Chunk: 1, Chunks: 2},
	}}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("hits (-want +got):\n%s", diff)
	}
}

func TestOnlyWhatTheManifestNamesIsFound(t *testing.T) {
	tests := []struct {
		name    string
		arrange func(m *model)
		want    []string
		dropped int
	}{
		{
			"a first version that is being written",
			func(m *model) { m.write("a.md", 1, "apple one") },
			nil, 1,
		},
		{
			"a next version that is being written",
			func(m *model) { m.put("a.md", 1, "apple one"); m.write("a.md", 2, "apple two") },
			[]string{"apple one"}, 1,
		},
		{
			"an old version that is not swept yet",
			func(m *model) { m.put("a.md", 1, "apple one"); m.put("a.md", 2, "apple two") },
			[]string{"apple two"}, 1,
		},
		{
			"an old version that is half swept",
			func(m *model) {
				m.put("a.md", 1, "apple one", "apple more")
				m.put("a.md", 2, "apple two", "apple three")
				m.objects = m.objects[1:]
			},
			[]string{"apple two", "apple three"}, 1,
		},
		{
			"chunks that the next version keeps",
			func(m *model) {
				old := m.write("a.md", 1, "apple one", "apple kept")
				m.commit("a.md", 1, old)
				m.commit("a.md", 2, append(m.write("a.md", 2, "apple two"), old[1]))
			},
			[]string{"apple kept", "apple two"}, 1,
		},
		{
			"a deleted document that is not swept yet",
			func(m *model) { m.put("a.md", 1, "apple one"); m.delete("a.md", 2) },
			nil, 1,
		},
		{
			"the version before one that was refused",
			func(m *model) { m.put("a.md", 1, "apple one"); m.refuse("a.md", 2, "too large") },
			[]string{"apple one"}, 0,
		},
		{
			"the leftovers of another attempt at the same version",
			func(m *model) {
				m.write("a.md", 1, "apple crashed")
				m.objects[0].ID = "other attempt"
				m.put("a.md", 1, "apple one")
			},
			[]string{"apple one"}, 1,
		},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			m := newModel()
			tt.arrange(m)
			got := searchFor(t, m.worker(), tributary.SearchRequest{Query: "apple"})
			if diff := cmp.Diff(tt.want, texts(got.Hits)); diff != "" {
				t.Errorf("texts (-want +got):\n%s", diff)
			}
			if got.Dropped != tt.dropped {
				t.Errorf("dropped %d, want %d", got.Dropped, tt.dropped)
			}
		})
	}
}

func TestCommitBetweenIndexAndRegistryHidesNothing(t *testing.T) {
	m := newModel()
	m.put("a.md", 1, "apple one", "apple too")
	m.searched = func() {
		m.searched = nil
		m.put("a.md", 2, "apple two")
		m.sweep("a.md")
	}
	got := texts(searchFor(t, m.worker(), tributary.SearchRequest{Query: "apple", K: 1}).Hits)
	if diff := cmp.Diff([]string{"apple two"}, got); diff != "" {
		t.Errorf("texts (-want +got):\n%s", diff)
	}
}

func TestSearchWidensWhileDropsLeaveTooFewHits(t *testing.T) {
	m := newModel()
	for i := range 60 { // first in the index, and never committed
		uri := fmt.Sprintf("new%02d.md", i)
		m.boost[m.write(uri, 1, "apple")[0].ID] = 1
	}
	m.put("a.md", 1, "apple one", "apple two", "apple three")
	got := searchFor(t, m.worker(), tributary.SearchRequest{Query: "apple", K: 3})
	if len(got.Hits) != 3 || got.Dropped != 60 {
		t.Errorf("got %d hits and %d dropped, want 3 and 60", len(got.Hits), got.Dropped)
	}
	if diff := cmp.Diff([]int{50, 200}, m.limits); diff != "" {
		t.Errorf("limits of the queries (-want +got):\n%s", diff)
	}
}

func TestSearchStopsWideningWhenTheIndexHasNoMore(t *testing.T) {
	m := newModel()
	m.put("a.md", 1, "apple one")
	searchFor(t, m.worker(), tributary.SearchRequest{Query: "apple"})
	if len(m.limits) != 1 {
		t.Errorf("the index was asked %d times, want 1", len(m.limits))
	}
}

func TestSearchGivesUpWidening(t *testing.T) {
	m := newModel()
	for i := range 3000 {
		m.write(fmt.Sprintf("new%d.md", i), 1, "apple")
	}
	got := searchFor(t, m.worker(), tributary.SearchRequest{Query: "apple", K: 100})
	if len(got.Hits) != 0 || len(m.limits) != maxRounds {
		t.Errorf("got %d hits after %d queries, want 0 after %d", len(got.Hits), len(m.limits), maxRounds)
	}
	for _, limit := range m.limits {
		if limit > maxCandidates {
			t.Errorf("the index was asked for %d candidates, the bound is %d", limit, maxCandidates)
		}
	}
}

func TestEachDocumentIsLookedUpOnce(t *testing.T) {
	m := newModel()
	m.put("a.md", 1, "apple one", "apple two", "apple three")
	searchFor(t, m.worker(), tributary.SearchRequest{Query: "apple"})
	if got := m.looked[docID("a.md")]; got != 1 {
		t.Errorf("looked up %d times, want 1", got)
	}
}

func TestEqualScoresComeInTheSameOrder(t *testing.T) {
	m := newModel()
	for _, i := range rand.Perm(8) {
		m.put(fmt.Sprintf("%d.md", i), 1, fmt.Sprintf("apple %d", i))
	}
	m.boost["5.md@1#0"] = 1
	got := texts(searchFor(t, m.worker(), tributary.SearchRequest{Query: "apple", K: 4}).Hits)
	if diff := cmp.Diff([]string{"apple 5", "apple 0", "apple 1", "apple 2"}, got); diff != "" {
		t.Errorf("texts (-want +got):\n%s", diff)
	}
}

func TestRepeatedPassageOfOneDocumentIsOneHit(t *testing.T) {
	m := newModel()
	m.put("a.md", 1, "apple", "apple", "apple pie")
	m.put("b.md", 1, "apple")
	got := searchFor(t, m.worker(), tributary.SearchRequest{Query: "apple", SearchOptions: tributary.SearchOptions{DocumentWeight: new(float64)}})
	var uris []string
	for i, h := range got.Hits {
		uris = append(uris, h.URI+" "+h.Text)
		if h.Rank != i+1 {
			t.Errorf("hit %d has rank %d", i, h.Rank)
		}
	}
	if diff := cmp.Diff([]string{"a.md apple", "a.md apple pie", "b.md apple"}, uris); diff != "" {
		t.Errorf("hits (-want +got):\n%s", diff)
	}
}

func TestSearchRefusesWithACode(t *testing.T) {
	alpha := func(a float64) *float64 { return &a }
	now := time.Now()
	tests := []struct {
		name string
		kb   string
		req  tributary.SearchRequest
		code tributary.Code
		text string
	}{
		{"an empty query", kb, tributary.SearchRequest{Query: " \n"}, tributary.CodeInvalid, "query is empty"},
		{"a query that is too long", kb, tributary.SearchRequest{Query: strings.Repeat("x", 101)}, tributary.CodeTooLarge, "101, the limit is 100 (search.max_query_bytes)"},
		{"a query that is not text", kb, tributary.SearchRequest{Query: "a\xff"}, tributary.CodeInvalid, "UTF-8"},
		{"a negative k", kb, tributary.SearchRequest{Query: "a", K: -1}, tributary.CodeInvalid, "k is -1, want 1 to 20"},
		{"a k that is too large", kb, tributary.SearchRequest{Query: "a", K: 21}, tributary.CodeTooLarge, "k is 21, the limit is 20 (search.max_k)"},
		{"an alpha below 0", kb, tributary.SearchRequest{Query: "a", Alpha: alpha(-0.1)}, tributary.CodeInvalid, "alpha is -0.1"},
		{"an alpha above 1", kb, tributary.SearchRequest{Query: "a", Alpha: alpha(1.1)}, tributary.CodeInvalid, "alpha is 1.1"},
		{"an alpha that is no number", kb, tributary.SearchRequest{Query: "a", Alpha: alpha(math.NaN())}, tributary.CodeInvalid, "alpha is NaN"},
		{"an alpha without an embedder", kb, tributary.SearchRequest{Query: "a", Alpha: alpha(0.5)}, tributary.CodeInvalid, "no embedder"},
		{"a filter of too many values", kb, tributary.SearchRequest{Query: "a", Filter: tributary.Filter{Sources: make([]string, 101)}}, tributary.CodeInvalid, "filter.sources has 101 values, the limit is 100"},
		{"a filter that nothing passes", kb, tributary.SearchRequest{Query: "a", Filter: tributary.Filter{ChangedAfter: now, ChangedUntil: now}}, tributary.CodeInvalid, "nothing can pass"},
		{"a malformed knowledge base", "No!", tributary.SearchRequest{Query: "a"}, tributary.CodeInvalid, `"No!"`},
		{"an unknown knowledge base", "other", tributary.SearchRequest{Query: "a"}, tributary.CodeNotFound, `"other"`},
		{"a wait for nothing", kb, tributary.SearchRequest{Query: "a", AtLeast: []tributary.At{{Version: 1}}}, tributary.CodeInvalid, "neither document nor uri"},
		{"a wait for no version", kb, tributary.SearchRequest{Query: "a", AtLeast: []tributary.At{{URI: "a.md"}}}, tributary.CodeInvalid, `"a.md" has no version`},
		{"a wait for two documents at once", kb, tributary.SearchRequest{Query: "a", AtLeast: []tributary.At{{URI: "a.md", Document: "x", Version: 1}}}, tributary.CodeInvalid, "not x"},
		{"too many waits", kb, tributary.SearchRequest{Query: "a", AtLeast: make([]tributary.At, 1001)}, tributary.CodeInvalid, "1001 versions, the limit is 1000"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			w := newModel().worker()
			w.Limits = SearchConfig{MaxK: 20, MaxQueryBytes: 100}
			_, err := w.Search(t.Context(), tt.kb, tt.req)
			checkError(t, err, tt.code, tt.text)
		})
	}
}

func checkError(t *testing.T, err error, code tributary.Code, text string) {
	t.Helper()
	if err == nil {
		t.Fatalf("no error, want one with %q", text)
	}
	if got := tributary.CodeOf(err); got != code || !strings.Contains(err.Error(), text) {
		t.Errorf("got %s %q, want %s with %q", got, err, code, text)
	}
}

func TestQueryVectorFollowsAlpha(t *testing.T) {
	zero, half, one := 0.0, 0.5, 1.0
	tests := []struct {
		name   string
		alpha  *float64
		vector tributary.Vector
		want   []tributary.Vector // of the queries to the index, nil for that by keywords
	}{
		{"by default", nil, tributary.Vector{1, 2}, []tributary.Vector{nil, {1, 2}}},
		{"with an alpha of the request", &half, tributary.Vector{1, 2}, []tributary.Vector{nil, {1, 2}}},
		{"keywords only", &zero, tributary.Vector{1, 2}, []tributary.Vector{nil}},
		{"vectors only", &one, tributary.Vector{1, 2}, []tributary.Vector{{1, 2}}},
		{"with nothing to embed", nil, tributary.Vector{0, 0}, []tributary.Vector{nil}},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			m := newModel()
			w := m.worker()
			w.Alpha = 0.25
			w.EmbedQuery = func(context.Context, string) (tributary.Vector, error) { return tt.vector, nil }
			searchFor(t, w, tributary.SearchRequest{Query: "apple", Alpha: tt.alpha})
			slices.SortFunc(m.vectors, func(a, b tributary.Vector) int { return len(a) - len(b) }) // they are asked at once
			if diff := cmp.Diff(tt.want, m.vectors); diff != "" {
				t.Errorf("vectors (-want +got):\n%s", diff)
			}
		})
	}
}

func TestServiceThatIsAwayIsUnavailable(t *testing.T) {
	away := errors.New("connection refused")
	for name, arrange := range map[string]func(*model, *Worker){
		"the embedder": func(_ *model, w *Worker) {
			w.EmbedQuery = func(context.Context, string) (tributary.Vector, error) { return nil, away }
		},
		"the index": func(m *model, _ *Worker) { m.fail = away },
	} {
		t.Run(name, func(t *testing.T) {
			m := newModel()
			w := m.worker()
			w.Alpha = 0.25
			arrange(m, w)
			_, err := w.Search(t.Context(), kb, tributary.SearchRequest{Query: "apple"})
			checkError(t, err, tributary.CodeUnavailable, "connection refused")
		})
	}
}

func TestSearchGoesByKeywordsWhereAVectorCannotBeHad(t *testing.T) {
	m := newModel()
	m.put("a.md", 1, "apple")
	w := m.worker()
	w.Alpha = 0.25
	w.EmbedQuery = func(context.Context, string) (tributary.Vector, error) {
		return nil, &KeywordsOnlyError{Reason: errors.New("the money is spent")}
	}
	got := searchFor(t, w, tributary.SearchRequest{Query: "apple"})
	if len(got.Hits) != 1 || len(got.Notes) != 1 || !strings.Contains(got.Notes[0], "by keywords alone: the money is spent") {
		t.Errorf("hits %+v, notes %q, want one hit, and why it is by keywords", got.Hits, got.Notes)
	}
}

func TestTextThatTheEmbedderRejectsIsInvalid(t *testing.T) {
	w := newModel().worker()
	w.Alpha = 0.25
	w.EmbedQuery = func(context.Context, string) (tributary.Vector, error) {
		return nil, tributary.Rejectf("too many tokens")
	}
	_, err := w.Search(t.Context(), kb, tributary.SearchRequest{Query: "apple"})
	checkError(t, err, tributary.CodeInvalid, "too many tokens")
}

func TestAtLeast(t *testing.T) {
	at := func(version uint64) tributary.SearchRequest {
		return tributary.SearchRequest{Query: "apple", AtLeast: []tributary.At{{URI: "a.md", Version: version}}}
	}
	t.Run("waits for the version", func(t *testing.T) {
		synctest.Test(t, func(t *testing.T) {
			m := newModel()
			m.put("a.md", 1, "apple one")
			time.AfterFunc(time.Second, func() { m.put("a.md", 3, "apple three") })
			got := searchFor(t, m.worker(), at(2))
			if diff := cmp.Diff([]string{"apple three"}, texts(got.Hits)); diff != "" {
				t.Errorf("texts (-want +got):\n%s", diff)
			}
			if got.Seconds != 1 {
				t.Errorf("took %v s, want 1", got.Seconds)
			}
		})
	})
	t.Run("is bounded by the request's deadline", func(t *testing.T) {
		synctest.Test(t, func(t *testing.T) {
			m := newModel()
			m.put("a.md", 1, "apple one")
			ctx, cancel := context.WithTimeout(t.Context(), 5*time.Second)
			defer cancel()
			began := time.Now()
			_, err := m.worker().Search(ctx, kb, at(2))
			checkError(t, err, tributary.CodeNotYet, `"a.md": version 2 was wanted and did not come in time, present version: 1 `)
			if took := time.Since(began); took != 4500*time.Millisecond {
				t.Errorf("waited %s, want 4.5s: the reply needs time too", took)
			}
		})
	})
	t.Run("is bounded by the setting", func(t *testing.T) {
		synctest.Test(t, func(t *testing.T) {
			began := time.Now()
			_, err := newModel().worker().Search(t.Context(), kb, at(2))
			checkError(t, err, tributary.CodeNotYet, "present version: none")
			if took := time.Since(began); took != 30*time.Second {
				t.Errorf("waited %s, want 30s", took)
			}
		})
	})
	t.Run("ends when the request is cancelled", func(t *testing.T) {
		synctest.Test(t, func(t *testing.T) {
			ctx, cancel := context.WithCancel(t.Context())
			time.AfterFunc(time.Second, cancel)
			_, err := newModel().worker().Search(ctx, kb, at(2))
			if !errors.Is(err, context.Canceled) {
				t.Errorf("got %v, want context.Canceled", err)
			}
		})
	})
	t.Run("says why a version was refused", func(t *testing.T) {
		m := newModel()
		m.put("a.md", 1, "apple one")
		m.refuse("a.md", 2, "no text in it")
		_, err := m.worker().Search(t.Context(), kb, at(2))
		checkError(t, err, tributary.CodeNotYet, "version 2 was refused by ingest: no text in it")
	})
	t.Run("is satisfied although a later version was refused", func(t *testing.T) {
		m := newModel()
		m.put("a.md", 2, "apple two")
		m.refuse("a.md", 3, "no text in it")
		if got := searchFor(t, m.worker(), at(2)); len(got.Hits) != 1 {
			t.Errorf("got %d hits, want 1", len(got.Hits))
		}
	})
}

// laggingCache is a registry whose cache has not heard of the last commit.
type laggingCache struct {
	*model
	old map[string]tributary.Record
}

func (l laggingCache) Record(_ context.Context, _, document string) (tributary.Record, error) {
	return l.old[document], nil
}

func TestAtLeastIsHonouredBeforeACacheThatLags(t *testing.T) {
	m := newModel()
	m.put("a.md", 1, "apple one")
	old := map[string]tributary.Record{docID("a.md"): m.records[docID("a.md")]}
	m.put("a.md", 2, "apple two")
	w := m.worker()
	w.Records = laggingCache{m, old}
	got := searchFor(t, w, tributary.SearchRequest{Query: "apple", AtLeast: []tributary.At{{URI: "a.md", Version: 2}}})
	if diff := cmp.Diff([]string{"apple two"}, texts(got.Hits)); diff != "" {
		t.Errorf("texts (-want +got):\n%s", diff)
	}
}

// TestHitsAreNamedByOneManifest puts random versions in random states into the
// model, lets commits and sweeps happen between the worker's reads, and checks
// every reply against all manifests there ever were.
func TestHitsAreNamedByOneManifest(t *testing.T) {
	for seed := range uint64(300) {
		r := rand.New(rand.NewPCG(seed, 1))
		m := newModel()
		history := map[string]map[uint64]tributary.Record{} // by URI and version
		step := func() {
			uri := fmt.Sprintf("%d.md", r.IntN(3))
			version := m.records[docID(uri)].Settled() + 1 + uint64(r.IntN(2))
			refs := m.write(uri, version, randomTexts(r)...)
			switch r.IntN(5) {
			case 0: // written, not committed
				return
			case 1:
				m.delete(uri, version)
			default:
				for _, c := range m.records[docID(uri)].Chunks() {
					if r.IntN(2) == 0 {
						refs = append(refs, c)
					}
				}
				m.commit(uri, version, refs)
			}
			if history[uri] == nil {
				history[uri] = map[uint64]tributary.Record{}
			}
			history[uri][version] = m.records[docID(uri)]
			if r.IntN(2) == 0 {
				m.sweep(uri)
			}
		}
		for range 1 + r.IntN(12) {
			step()
		}
		if r.IntN(2) == 0 {
			m.searched = step
		}
		reply := searchFor(t, m.worker(), tributary.SearchRequest{Query: "apple pear plum", K: 1 + r.IntN(8)})
		checkManifests(t, seed, reply.Hits, history)
	}
}

func randomTexts(r *rand.Rand) []string {
	words := []string{"apple", "pear", "plum", "fig"}
	var all []string
	for range 1 + r.IntN(4) {
		all = append(all, words[r.IntN(4)]+" "+words[r.IntN(4)])
	}
	return all
}

func checkManifests(t *testing.T, seed uint64, hits []tributary.Hit, history map[string]map[uint64]tributary.Record) {
	t.Helper()
	versions := map[string]uint64{}
	for i, h := range hits {
		rec, ok := history[h.URI][h.Version]
		if place := rec.Find(h.ID); !ok || place < 0 || place != h.Location.Chunk {
			t.Errorf("seed %d: hit %s is not named by version %d of %s", seed, h.ID, h.Version, h.URI)
		}
		if v, ok := versions[h.URI]; ok && v != h.Version {
			t.Errorf("seed %d: versions %d and %d of %s in one reply", seed, v, h.Version, h.URI)
		}
		versions[h.URI] = h.Version
		if i > 0 && hits[i-1].Score < h.Score {
			t.Errorf("seed %d: hit %d scores above the one before", seed, i)
		}
	}
}
