package queryworker

import (
	"cmp"
	"math"
	"slices"
	"strings"
	"unicode/utf8"

	"github.com/tributary-kb/tributary"
)

const (
	// maxFilterValues bounds each list of a filter: the index evaluates one
	// condition per value.
	maxFilterValues = 100
	// defaultMaxTokens bounds a hit's text under expand and context.
	defaultMaxTokens = 2000
	// maxAge is a hundred years, in seconds.
	maxAge = 100 * 365 * 24 * 3600.0
)

// newSearch checks the request and fills in what it leaves open.
func (w *Worker) newSearch(kb string, req tributary.SearchRequest) (*search, error) {
	limits := w.limits()
	text := strings.TrimSpace(req.Query)
	k := cmp.Or(req.K, defaultK)
	switch {
	case text == "":
		return nil, invalid("the query is empty")
	case len(text) > limits.MaxQueryBytes:
		return nil, tooLarge("the query's length in bytes", len(text), limits.MaxQueryBytes, "search.max_query_bytes")
	case !utf8.ValidString(text):
		return nil, invalid("the query is not valid UTF-8")
	case k < 0:
		return nil, invalid("k is %d, want 1 to %d", k, limits.MaxK)
	case k > limits.MaxK:
		return nil, tooLarge("k", k, limits.MaxK, "search.max_k")
	}
	kbs, err := knowledgeBases(kb, req.KBs)
	if err != nil {
		return nil, err
	}
	if err := w.checkAlpha(req.Alpha); err != nil {
		return nil, err
	}
	if err := checkFilter("filter", req.Filter); err != nil {
		return nil, err
	}
	if err := checkOptions(&req.SearchOptions); err != nil {
		return nil, err
	}
	s := &search{
		Worker:  w,
		req:     req,
		kb:      kb,
		kbs:     kbs,
		mixes:   map[string]tributary.Mix{},
		k:       k,
		query:   tributary.IndexQuery{Text: text, Filter: req.Filter},
		records: map[string]tributary.Record{},
		weights: map[string]map[string]float64{},
	}
	for _, name := range kbs {
		s.mixes[name] = w.mix(name, req)
	}
	return s, nil
}

// knowledgeBases returns those to search, each once.
func knowledgeBases(kb string, several []string) ([]string, error) {
	if len(several) > tributary.MaxKBs {
		return nil, invalid("kbs names %d knowledge bases, the limit is %d", len(several), tributary.MaxKBs)
	}
	var kbs []string
	for _, name := range append([]string{kb}, several...) {
		if err := tributary.CheckKB(name); err != nil {
			return nil, invalid("%w", err)
		}
		if !slices.Contains(kbs, name) {
			kbs = append(kbs, name)
		}
	}
	if len(several) > 0 && !slices.Contains(several, kb) {
		kbs = kbs[1:]
	}
	return kbs, nil
}

func (w *Worker) checkAlpha(asked *float64) error {
	switch {
	case asked == nil:
		return nil
	case !(*asked >= 0 && *asked <= 1): // so written, NaN is refused too
		return invalid("alpha is %v, want 0 (keywords only) to 1 (vectors only)", *asked)
	case *asked > 0 && w.EmbedQuery == nil:
		return invalid("alpha is %v, but this worker has no embedder: leave alpha out, or set 0", *asked)
	}
	return nil
}

// mix is what the request says, else what is set for the knowledge base, else
// what is set for all.
func (w *Worker) mix(kb string, req tributary.SearchRequest) tributary.Mix {
	limits := w.limits()
	m := tributary.Mix{Alpha: w.Alpha, Fusion: cmp.Or(req.Fusion, limits.Fusions[kb], limits.Fusion)}
	if own, ok := limits.Alphas[kb]; ok {
		m.Alpha = own
	}
	if req.Alpha != nil {
		m.Alpha = *req.Alpha
	}
	m.DocumentWeight = limits.documentWeight(kb, m.Fusion)
	if req.DocumentWeight != nil {
		m.DocumentWeight = *req.DocumentWeight
	}
	if w.EmbedQuery == nil {
		m.Alpha = 0
	}
	return m
}

// checkFilter checks the filter that stands under name.
func checkFilter(name string, f tributary.Filter) error {
	if len(f.URIPrefix) > tributary.MaxURIBytes {
		return invalid("%s.uri_prefix is %d bytes, the limit is %d", name, len(f.URIPrefix), tributary.MaxURIBytes)
	}
	lists := map[string]int{
		"sources": len(f.Sources), "content_types": len(f.ContentTypes), "languages": len(f.Languages),
		"uris": len(f.URIs), "metadata": len(f.Metadata), "any": len(f.Any),
	}
	for key, values := range f.Metadata {
		lists["metadata."+key] = len(values)
	}
	for list, n := range lists {
		if n > maxFilterValues {
			return invalid("%s.%s has %d values, the limit is %d", name, list, n, maxFilterValues)
		}
	}
	if !f.ChangedAfter.IsZero() && !f.ChangedUntil.IsZero() && !f.ChangedAfter.Before(f.ChangedUntil) {
		return invalid("%s.changed_after is not before %s.changed_before: nothing can pass", name, name)
	}
	for _, g := range f.Any {
		if err := checkFilter(name+".any", g.Filter()); err != nil {
			return err
		}
	}
	if f.Not != nil {
		return checkFilter(name+".not", f.Not.Filter())
	}
	return nil
}

// checkOptions checks o and fills in its defaults.
func checkOptions(o *tributary.SearchOptions) error {
	o.Context = cmp.Or(o.Context, tributary.ContextPassages)
	o.MaxTokens = cmp.Or(o.MaxTokens, defaultMaxTokens)
	if o.Fusion != "" {
		if err := checkFusion("fusion", o.Fusion); err != nil {
			return invalid("%w", err)
		}
	}
	switch w := o.DocumentWeight; {
	case w != nil && !(*w >= 0 && *w <= 1):
		return invalid("document_weight is %v, want 0 (passages alone) to 1 (documents alone)", *w)
	case !slices.Contains([]tributary.Context{tributary.ContextPassages, tributary.ContextSections, tributary.ContextDocuments}, o.Context):
		return invalid("context is %q, want %q, %q or %q", o.Context, tributary.ContextPassages, tributary.ContextSections, tributary.ContextDocuments)
	case o.MaxTokens < 0:
		return invalid("max_tokens is %d, want at least 1", o.MaxTokens)
	case math.IsNaN(o.MinScore) || o.MinScore < 0:
		return invalid("min_score is %v, want 0 or more", o.MinScore)
	case !(o.MinRelevance >= 0 && o.MinRelevance <= 1):
		return invalid("min_relevance is %v, want 0 (any) to 1", o.MinRelevance)
	case !(o.MaxAgeS >= 0 && o.MaxAgeS <= maxAge):
		return invalid("max_age_seconds is %v, want 0 (any age) to %v", o.MaxAgeS, maxAge)
	case !(o.Diversity >= 0 && o.Diversity <= 1):
		return invalid("diversity is %v, want 0 (by score alone) to 1", o.Diversity)
	}
	if r := o.Recency; r != nil {
		r := *r
		r.Weight = cmp.Or(r.Weight, defaultRecencyWeight)
		if !(r.HalfLifeSeconds > 0) || math.IsInf(r.HalfLifeSeconds, 1) {
			return invalid("recency.half_life_seconds is %v, want more than 0", r.HalfLifeSeconds)
		}
		if !(r.Weight > 0 && r.Weight <= 1) {
			return invalid("recency.weight is %v, want more than 0, at most 1", r.Weight)
		}
		o.Recency = &r
	}
	if e := o.Expand; e != nil {
		for _, n := range []int{e.Before, e.After} {
			if n < 0 || n > tributary.MaxNeighbours {
				return invalid("expand takes %d neighbours, want 0 to %d", n, tributary.MaxNeighbours)
			}
		}
		if o.Context != tributary.ContextPassages {
			return invalid("expand and context %q are both given: set one", o.Context)
		}
	}
	return nil
}
