package tributary_test

import (
	"slices"
	"testing"
	"time"

	"github.com/tributary-kb/tributary"
)

func TestFilterNamesWhatKeepsAnObjectOut(t *testing.T) {
	day := time.Date(2026, 1, 2, 0, 0, 0, 0, time.UTC)
	o := tributary.Object{URI: "a/b", Changed: day, Attributes: tributary.Attributes{
		Source: "wiki", ContentType: "text/html", Language: "en", Metadata: map[string]string{"team": "red"},
	}}
	terms := func(f tributary.FilterTerms) tributary.Filter { return tributary.Filter{FilterTerms: f} }
	wiki := tributary.PlainFilter{Sources: []string{"wiki"}}
	for _, test := range []struct {
		filter tributary.Filter
		want   []string
	}{
		{tributary.Filter{}, nil},
		{tributary.Filter{URIPrefix: "a/", Sources: []string{"x", "wiki"}, ContentTypes: []string{"text/html"}, Languages: []string{"en"}}, nil},
		{tributary.Filter{URIPrefix: "b", Sources: []string{"x"}}, []string{"uri_prefix", "sources"}},
		{tributary.Filter{ChangedAfter: day, ChangedUntil: day.Add(1)}, nil},
		{tributary.Filter{ChangedUntil: day}, []string{"changed_before"}},
		{tributary.Filter{ChangedAfter: day.Add(1)}, []string{"changed_after"}},
		{terms(tributary.FilterTerms{URIs: []string{"a"}}), []string{"uris"}},
		{terms(tributary.FilterTerms{Metadata: map[string][]string{"team": {"blue", "red"}}}), nil},
		{terms(tributary.FilterTerms{Metadata: map[string][]string{"tier": nil}}), []string{"metadata"}},
		{terms(tributary.FilterTerms{Any: []tributary.PlainFilter{{Languages: []string{"de"}}, wiki}}), nil},
		{terms(tributary.FilterTerms{Any: []tributary.PlainFilter{{Languages: []string{"de"}}}}), []string{"any"}},
		{terms(tributary.FilterTerms{Not: &wiki}), []string{"not"}},
	} {
		if got := test.filter.Failing(o); !slices.Equal(got, test.want) {
			t.Errorf("%+v: fails by %v, want %v", test.filter, got, test.want)
		}
	}
	if !(tributary.Filter{}).IsZero() || terms(tributary.FilterTerms{Not: &wiki}).IsZero() {
		t.Error("IsZero tells not the empty filter")
	}
}
