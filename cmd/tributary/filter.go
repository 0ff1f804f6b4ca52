package main

import (
	"cmp"
	"time"

	"github.com/spf13/pflag"

	"github.com/tributary-kb/tributary"
)

// queryFlags are the flags that search and ask share.
type queryFlags struct {
	k                          int
	uriPrefix                  string
	sources, types, languages  []string
	changedAfter, changedUntil string
	atLeast                    []string
	alpha                      float64
	timeout                    time.Duration
	set                        *pflag.FlagSet // nil: no flag was given
}

func (q *queryFlags) add(flags *pflag.FlagSet, k int, kUsage string, timeout time.Duration) {
	q.set = flags
	flags.SortFlags = false
	flags.IntVarP(&q.k, "count", "k", k, kUsage)
	flags.StringVar(&q.uriPrefix, "uri-prefix", "", "only documents whose URI begins with `PREFIX`")
	flags.StringSliceVar(&q.sources, "source", nil, "only documents of this `SOURCE`; several mean any of them")
	flags.StringSliceVar(&q.types, "content-type", nil, "only documents of this media `TYPE`, e.g. text/html")
	flags.StringSliceVar(&q.languages, "language", nil, "only documents in this language `CODE`, e.g. en")
	flags.StringVar(&q.changedAfter, "changed-after", "", "only passages changed at or after `TIME`: 2026-01-31, RFC 3339, or an age such as 36h")
	flags.StringVar(&q.changedUntil, "changed-before", "", "only passages changed before `TIME`")
	flags.StringSliceVar(&q.atLeast, "at-least", nil, "wait until this `URI@VERSION` can be searched; may be given several times")
	flags.Float64Var(&q.alpha, "alpha", 0, "weight of meaning against words, `0..1` (default: what suits the embedder)")
	timeoutFlag(flags, &q.timeout, timeout)
}

// filter returns what the flags narrow the search to. Ages count from now.
func (q *queryFlags) filter(now time.Time) (tributary.Filter, error) {
	after, err := parseTime("--changed-after", q.changedAfter, now)
	if err != nil {
		return tributary.Filter{}, err
	}
	until, err := parseTime("--changed-before", q.changedUntil, now)
	if err != nil {
		return tributary.Filter{}, err
	}
	return tributary.Filter{
		URIPrefix: q.uriPrefix, Sources: q.sources, ContentTypes: q.types, Languages: q.languages,
		ChangedAfter: after, ChangedUntil: until,
	}, nil
}

// narrow takes the filters out of r's query and joins them with the flags; a
// flag goes over a term of its kind.
func (q *queryFlags) narrow(r *tributary.SearchRequest, now time.Time) error {
	flags, err := q.filter(now)
	if err != nil {
		return err
	}
	words, f, err := parseTerms(r.Query, now)
	if err != nil {
		return err
	}
	if words == "" {
		return usagef("the query has filters only: add what to look for")
	}
	r.Query, r.Filter = words, f
	r.Filter.URIPrefix = cmp.Or(flags.URIPrefix, f.URIPrefix)
	for _, list := range []struct {
		into *[]string
		flag []string
	}{{&r.Filter.Sources, flags.Sources}, {&r.Filter.ContentTypes, flags.ContentTypes}, {&r.Filter.Languages, flags.Languages}} {
		if len(list.flag) > 0 {
			*list.into = list.flag
		}
	}
	if !flags.ChangedAfter.IsZero() {
		r.Filter.ChangedAfter = flags.ChangedAfter
	}
	if !flags.ChangedUntil.IsZero() {
		r.Filter.ChangedUntil = flags.ChangedUntil
	}
	return nil
}

// weight returns --alpha, nil if it was not given.
func (q *queryFlags) weight() (*float64, error) {
	if q.set == nil || !q.set.Changed("alpha") {
		return nil, nil
	}
	if !(q.alpha >= 0 && q.alpha <= 1) {
		return nil, usagef("--alpha is %v, want 0 (words only) to 1 (meaning only)", q.alpha)
	}
	return &q.alpha, nil
}

func (q *queryFlags) versions() ([]tributary.At, error) {
	var all []tributary.At
	for _, text := range q.atLeast {
		at, err := parseAt(text)
		if err != nil {
			return nil, err
		}
		all = append(all, at)
	}
	return all, nil
}

func (q *queryFlags) check() error {
	if q.k < 1 {
		return usagef("-k is %d, want 1 or more", q.k)
	}
	return nil
}

// parseTime reads a date in local time, an RFC 3339 time, or an age. "" gives
// the zero time.
func parseTime(flag, text string, now time.Time) (time.Time, error) {
	if text == "" {
		return time.Time{}, nil
	}
	if t, err := time.ParseInLocation(time.DateOnly, text, time.Local); err == nil {
		return t, nil
	}
	if t, err := time.Parse(time.RFC3339, text); err == nil {
		return t, nil
	}
	if age, err := time.ParseDuration(text); err == nil && age > 0 {
		return now.Add(-age).UTC().Truncate(time.Second), nil
	}
	return time.Time{}, usagef("%s is %q, want a date (2026-01-31), an RFC 3339 time, or an age (36h)", flag, text)
}
