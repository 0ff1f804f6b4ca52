package main

import (
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/tributary-kb/tributary"
)

func TestQueriesHoldFilters(t *testing.T) {
	now := time.Date(2026, 11, 26, 0, 0, 0, 0, time.UTC)
	old := tributary.PlainFilter{Sources: []string{"old"}, ContentTypes: []string{"application/pdf"}}
	for query, want := range map[string]struct {
		words  string
		filter tributary.Filter
	}{
		"plain words: all of them, note:backup too":          {"plain words: all of them, note:backup too", tributary.Filter{}},
		"reset source:docs the source:wiki password lang:en": {"reset the password", tributary.Filter{Sources: []string{"docs", "wiki"}, Languages: []string{"en"}}},
		"x type:pdf type:text/csv uri:file:///a":             {"x", tributary.Filter{ContentTypes: []string{"application/pdf", "text/csv"}, URIPrefix: "file:///a"}},
		"x changed:>36h":                                     {"x", tributary.Filter{ChangedAfter: now.Add(-36 * time.Hour)}},
		"x meta.team:red":                                    {"x", tributary.Filter{FilterTerms: tributary.FilterTerms{Metadata: map[string][]string{"team": {"red"}}}}},
		"x -source:old -type:pdf -":                          {"x -", tributary.Filter{FilterTerms: tributary.FilterTerms{Not: &old}}},
	} {
		words, filter, err := parseTerms(query, now)
		if err != nil {
			t.Errorf("%q: %v", query, err)
		}
		if diff := cmp.Diff(want.words, words); diff != "" {
			t.Errorf("%q: words (-want +got):\n%s", query, diff)
		}
		if diff := cmp.Diff(want.filter, filter); diff != "" {
			t.Errorf("%q: filter (-want +got):\n%s", query, diff)
		}
	}
	for _, query := range []string{"x changed:2026", "x changed:>someday"} {
		if _, _, err := parseTerms(query, now); err == nil {
			t.Errorf("%q is taken", query)
		}
	}
}
