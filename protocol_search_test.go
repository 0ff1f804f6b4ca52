package tributary_test

import (
	"encoding/json"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/tributary-kb/tributary"
)

func TestAFilterRefusesFieldsThatItDoesNotKnow(t *testing.T) {
	for body, want := range map[string]string{
		`{"source": ["wiki"]}`:                         `unknown field "source"`,
		`{"sources": ["wiki"], "not": {"sorces": []}}`: `unknown field "sorces"`,
		`{"any": [{"sources": ["wiki"], "any": []}]}`:  `unknown field "any"`,
		`{"sources": "wiki"}`:                          "cannot unmarshal string",
	} {
		var r tributary.SearchRequest
		if err := json.Unmarshal([]byte(`{"query": "x", "filter": `+body+`, "of another day": 1}`), &r); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%s: got %v, want %q", body, err, want)
		}
	}
	for _, body := range []string{
		`null`, `{}`,
		`{"uri_prefix": "a", "uris": [], "sources": ["b"], "content_types": [], "languages": [], "changed_after": "2026-01-02T00:00:00Z", "metadata": {"any": ["c"]}, "any": [{"languages": ["de"]}], "not": {"uri_prefix": "d"}}`,
	} {
		var r tributary.AskRequest
		if err := json.Unmarshal([]byte(`{"question": "x", "filter": `+body+`, "of another day": 1}`), &r); err != nil {
			t.Errorf("%s: %v", body, err)
		}
	}
}

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
