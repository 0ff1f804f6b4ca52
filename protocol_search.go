package tributary

import (
	"bytes"
	"encoding/json"
	"slices"
	"strings"
	"time"
)

// SearchOptions say how a search ranks and what it returns. The zero value is
// what suits most.
type SearchOptions struct {
	// KBs searches these knowledge bases together, at most MaxKBs, in place of
	// the one that the request was sent to. Their scores are compared as they
	// stand, so all of them should have the same embedder.
	KBs []string `json:"kbs,omitempty"`
	// Fusion joins the ranking by keywords and that by vectors; "" means what
	// is set for the knowledge base, FusionRelative if nothing is.
	Fusion Fusion `json:"fusion,omitempty"`
	// DocumentWeight, 0 to 1, is what the score of a document, which all its
	// passages among the candidates add to, counts in that of each; nil means
	// what is set for the knowledge base.
	DocumentWeight *float64 `json:"document_weight,omitempty"`
	// Rerank switches the configured reranker on or off; nil means on where
	// one is configured.
	Rerank *bool `json:"rerank,omitempty"`
	// MinScore leaves out hits whose Score is below it.
	MinScore float64 `json:"min_score,omitempty"`
	// MinRelevance leaves out hits that have too little of what is asked: whose
	// HitExplain.Relevance, 0 to 1, is below it.
	MinRelevance float64 `json:"min_relevance,omitempty"`
	// Unique merges passages that are nearly the same, in whatever document,
	// into the best of them.
	Unique bool `json:"unique,omitempty"`
	// Diversity, 0 to 1, is how much it counts against a passage that it has
	// the words of a better one: the 1−λ of maximal marginal relevance. 0 ranks
	// by score alone.
	Diversity float64 `json:"diversity,omitempty"`
	// Recency prefers passages that changed lately.
	Recency *Recency `json:"recency,omitempty"`
	// Expand adds the neighbours of each hit to its text.
	Expand *Expand `json:"expand,omitempty"`
	// Context is how much of the document a hit's text is; "" means
	// ContextPassages.
	Context Context `json:"context,omitempty"`
	// MaxTokens bounds, in estimated tokens, the text of each hit under Context
	// and Expand; 0 means 2000. A section or document that is larger is left
	// at the passage.
	MaxTokens int `json:"max_tokens,omitempty"`
	// MaxAgeS leaves out documents that were last verified at their source
	// longer ago than so many seconds; 0 takes any. Sources that are older are
	// looked at first, within the request's deadline as for AtLeast. A document
	// that no source is followed for is as old as its version. Where nothing is
	// left the search fails with CodeNotYet.
	MaxAgeS float64 `json:"max_age_seconds,omitempty"`
	// Explain asks for the reasons: Hit.Explain and SearchReply.Explain.
	Explain bool `json:"explain,omitempty"`
}

// MaxKBs bounds the knowledge bases of one search.
const MaxKBs = 16

// A Fusion is a way to join two rankings.
type Fusion string

// The fusions. Both weigh the vectors' ranking by alpha and that of the
// keywords by 1−alpha.
const (
	// FusionRelative adds scores, each list's scaled to 0..1.
	FusionRelative Fusion = "relative"
	// FusionRanked adds 61/(60+rank), reciprocal rank fusion (Cormack, Clarke
	// and Büttcher 2009) scaled so that the first of both lists has 1.
	FusionRanked Fusion = "ranked"
)

// A Context is how much of its document a hit's text is.
type Context string

// The contexts.
const (
	ContextPassages  Context = "passages"  // the chunk alone
	ContextSections  Context = "sections"  // all chunks in a row under the same headings
	ContextDocuments Context = "documents" // the whole document
)

// Recency multiplies a passage's score by 1 − w + w × 2^(−age / half-life).
type Recency struct {
	HalfLifeSeconds float64 `json:"half_life_seconds"` // above 0
	// Weight, 0 to 1, is what age can take away at most; 0 means 0.5.
	Weight float64 `json:"weight,omitempty"`
}

// Expand says how many neighbours before and after a hit's chunk its text
// takes in, each 0 to MaxNeighbours. Hits whose texts then meet become one.
type Expand struct {
	Before int `json:"before,omitempty"`
	After  int `json:"after,omitempty"`
}

// MaxNeighbours bounds each side of an Expand.
const MaxNeighbours = 20

// FilterTerms are the parts of a Filter that combine.
type FilterTerms struct {
	URIs []string `json:"uris,omitempty"` // whole URIs
	// Metadata names, by key, the values of which the document must have one.
	Metadata map[string][]string `json:"metadata,omitempty"`
	// Any holds filters of which one must let the passage through.
	Any []PlainFilter `json:"any,omitempty"`
	// Not holds a filter that must not let the passage through.
	Not *PlainFilter `json:"not,omitempty"`
}

// PlainFilter is a Filter that holds no other.
type PlainFilter struct {
	URIPrefix    string              `json:"uri_prefix,omitempty"`
	URIs         []string            `json:"uris,omitempty"`
	Sources      []string            `json:"sources,omitempty"`
	ContentTypes []string            `json:"content_types,omitempty"`
	Languages    []string            `json:"languages,omitempty"`
	ChangedAfter time.Time           `json:"changed_after,omitzero"`
	ChangedUntil time.Time           `json:"changed_before,omitzero"`
	Metadata     map[string][]string `json:"metadata,omitempty"`
}

// Filter returns the filter that f stands for.
func (f PlainFilter) Filter() Filter {
	return Filter{
		URIPrefix: f.URIPrefix, Sources: f.Sources, ContentTypes: f.ContentTypes, Languages: f.Languages,
		ChangedAfter: f.ChangedAfter, ChangedUntil: f.ChangedUntil,
		FilterTerms: FilterTerms{URIs: f.URIs, Metadata: f.Metadata},
	}
}

// UnmarshalJSON refuses a field that it does not know, other than the rest of
// the protocol: passed over, it would let through what somebody wants kept out.
func (f *Filter) UnmarshalJSON(data []byte) error {
	type fields Filter // without this method
	decoder := json.NewDecoder(bytes.NewReader(data))
	decoder.DisallowUnknownFields()
	return decoder.Decode((*fields)(f))
}

// IsZero says whether f lets everything through.
func (f Filter) IsZero() bool {
	return f.URIPrefix == "" && len(f.Sources)+len(f.ContentTypes)+len(f.Languages)+len(f.URIs)+len(f.Metadata)+len(f.Any) == 0 &&
		f.Not == nil && f.ChangedAfter.IsZero() && f.ChangedUntil.IsZero()
}

// Match says whether f lets o through.
func (f Filter) Match(o Object) bool { return len(f.Failing(o)) == 0 }

// Failing names the fields of f, as in JSON, that keep o out; nil if it
// passes.
func (f Filter) Failing(o Object) []string {
	var names []string
	check := func(name string, holds bool) {
		if !holds {
			names = append(names, name)
		}
	}
	check("uri_prefix", strings.HasPrefix(o.URI, f.URIPrefix))
	check("uris", oneOf(f.URIs, o.URI))
	check("sources", oneOf(f.Sources, o.Source))
	check("content_types", oneOf(f.ContentTypes, o.ContentType))
	check("languages", oneOf(f.Languages, o.Language))
	check("changed_after", f.ChangedAfter.IsZero() || !o.Changed.IsZero() && !o.Changed.Before(f.ChangedAfter))
	check("changed_before", f.ChangedUntil.IsZero() || !o.Changed.IsZero() && o.Changed.Before(f.ChangedUntil))
	for key, values := range f.Metadata {
		value, has := o.Metadata[key]
		check("metadata", has && oneOf(values, value))
	}
	check("any", len(f.Any) == 0 || slices.ContainsFunc(f.Any, func(g PlainFilter) bool { return g.Filter().Match(o) }))
	check("not", f.Not == nil || !f.Not.Filter().Match(o))
	return names
}

// oneOf says whether value is in list; an empty list takes any.
func oneOf(list []string, value string) bool { return len(list) == 0 || slices.Contains(list, value) }

// HitExplain is how a hit came to its rank.
type HitExplain struct {
	Keyword     *float64 `json:"keyword,omitempty"` // BM25; nil if the keywords did not find it
	KeywordRank int      `json:"keyword_rank,omitempty"`
	Vector      *float64 `json:"vector,omitempty"` // cosine; nil if the vector did not find it
	VectorRank  int      `json:"vector_rank,omitempty"`
	Fused       float64  `json:"fused"`
	Document    *float64 `json:"document,omitempty"` // its document's score; nil if that has no weight
	Rerank      *float64 `json:"rerank,omitempty"`   // nil if the reranker did not see it
	// Relevance is the confidence that the passage would give the reply, 0 to 1,
	// if it were the only one.
	Relevance float64  `json:"relevance"`
	Recency   *float64 `json:"recency,omitempty"` // the factor, nil if none was asked for
	Birth     uint64   `json:"birth"`             // the version that wrote the passage
	Merged    []string `json:"merged,omitempty"`  // URIs of the passages that Unique merged into it
}

// A Mix is how the two rankings of one knowledge base are joined, and what the
// score of a document counts in that of its passages.
type Mix struct {
	Alpha          float64 `json:"alpha"`
	Fusion         Fusion  `json:"fusion"`
	DocumentWeight float64 `json:"document_weight"`
}

// SearchExplain is how a reply came about.
type SearchExplain struct {
	Mix // of the first where several knowledge bases were searched
	// KBs has the mix of each, where several were searched.
	KBs      map[string]Mix `json:"kbs,omitempty"`
	Seeded   bool           `json:"seeded,omitempty"` // the query's vector was moved towards the best keyword hits
	Keywords int            `json:"keywords"`         // candidates that the keywords found
	Vectors  int            `json:"vectors"`          // candidates that the vector found
	Dropped  int            `json:"dropped"`          // candidates that no current manifest names
	// Filtered counts, by field of the filter, the candidates that a search
	// without it would have had and the field kept out.
	Filtered map[string]int `json:"filtered,omitempty"`
	Below    int            `json:"below_min_score,omitempty"` // left out by MinScore
	// Irrelevant counts what MinRelevance left out.
	Irrelevant int      `json:"below_min_relevance,omitempty"`
	TooOld     []TooOld `json:"too_old,omitempty"` // left out by MaxAgeS, at most 20
	Steps      []Step   `json:"steps"`             // in order
}

// Step is one part of the work and what it took.
type Step struct {
	Step   string  `json:"step"`
	MS     float64 `json:"ms"`
	Tokens int     `json:"tokens,omitempty"` // of the texts given to a model, estimated
}

// Age returns how long before now the object changed, 0 for the future and for
// an object without a time.
func (o Object) Age(now time.Time) time.Duration {
	if o.Changed.IsZero() {
		return 0
	}
	return max(now.Sub(o.Changed), 0)
}
