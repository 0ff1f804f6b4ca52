package main

import (
	"time"

	"github.com/spf13/pflag"

	"github.com/tributary-kb/tributary"
)

// rankFlags are the flags of search and ask that say how hits are ranked and
// how much of their documents they have.
type rankFlags struct {
	kbs           []string
	fusion        string
	document      float64
	noRerank      bool
	minScore      float64
	minRelevance  float64
	unique        bool
	diversity     float64
	halfLife      time.Duration
	before, after int
	context       string
	maxAge        time.Duration
	explain       bool
	set           *pflag.FlagSet // nil: no flag was given
}

func (r *rankFlags) add(flags *pflag.FlagSet, explain string) {
	r.set = flags
	flags.StringSliceVar(&r.kbs, "kbs", nil, "search these knowledge `BASES` together, in place of --kb")
	flags.StringVar(&r.fusion, "fusion", "", "how words and meaning are joined: `relative` scores or ranked")
	flags.Float64Var(&r.document, "document-weight", 0, "weight of the document against the passage, `0..1` (default: search.document_weight)")
	flags.BoolVar(&r.noRerank, "no-rerank", false, "skip the configured reranker")
	flags.Float64Var(&r.minScore, "min-score", 0, "leave out hits below this `SCORE`")
	flags.Float64Var(&r.minRelevance, "min-relevance", 0, "leave out hits that have too little of what is asked, `0..1`")
	flags.BoolVar(&r.unique, "unique", false, "merge passages that are nearly the same")
	flags.Float64Var(&r.diversity, "diversity", 0, "how much it counts against a passage to repeat a better one, `0..1`")
	flags.DurationVar(&r.halfLife, "half-life", 0, "prefer passages that changed lately: half of the bonus is lost in `AGE`, e.g. 720h")
	flags.IntVar(&r.before, "before", 0, "take in `N` neighbours before each passage")
	flags.IntVar(&r.after, "after", 0, "take in `N` neighbours after each passage")
	flags.StringVar(&r.context, "context", "", "how much of a document each hit is: `passages`, sections or documents")
	flags.DurationVar(&r.maxAge, "max-age", 0, "only what was verified at its source within this `DURATION`, e.g. 1h; sources that are older are looked at first")
	flags.BoolVar(&r.explain, "explain", false, explain)
}

// options are the flags as the protocol has them; the service checks them.
func (r *rankFlags) options() tributary.SearchOptions {
	o := tributary.SearchOptions{
		KBs: r.kbs, Fusion: tributary.Fusion(r.fusion), MinScore: r.minScore, MinRelevance: r.minRelevance, Unique: r.unique,
		Diversity: r.diversity, Context: tributary.Context(r.context), MaxAgeS: r.maxAge.Seconds(), Explain: r.explain,
	}
	if r.set != nil && r.set.Changed("document-weight") {
		o.DocumentWeight = &r.document
	}
	if r.noRerank {
		off := false
		o.Rerank = &off
	}
	if r.halfLife != 0 {
		o.Recency = &tributary.Recency{HalfLifeSeconds: r.halfLife.Seconds()}
	}
	if r.before != 0 || r.after != 0 {
		o.Expand = &tributary.Expand{Before: r.before, After: r.after}
	}
	return o
}
